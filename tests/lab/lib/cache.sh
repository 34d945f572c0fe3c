# SPDX-License-Identifier: LGPL-2.1-or-later
# The cache of built things. An item is a directory CACHE/NAME/KEY with a few
# files and a MANIFEST ("size sha256 file"). KEY is a hash of all it is made
# from. Items appear complete by one rename, or not at all.

# key_of WORDS/FILES on stdin -> 16 hex digits. What a builder says of itself makes no other item.
key_of() { grep -v '^ *progress_mark ' | sha256sum | cut -c1-16; }

manifest() { # of all files in DIR
    local list f
    list=$(cd "$1" && find . -type f -printf '%P\n' | sort)
    while read -r f; do
        printf '%s %s %s\n' "$(stat -c %s "$1/$f")" "$(sha256sum <"$1/$f" | cut -d' ' -f1)" "$f"
    done <<<"$list" >"$1/MANIFEST"
}

# cache_ok DIR: cheap check: every file of the manifest is there at full size.
cache_ok() {
    local size sum file
    [ -s "$1/MANIFEST" ] || return 1
    while read -r size sum file; do
        [ "$(stat -c %s "$1/$file" 2>/dev/null)" = "$size" ] || return 1
    done <"$1/MANIFEST"
}

# cache_verify DIR: every byte.
cache_verify() {
    cache_ok "$1" &&
        awk '{ print $2 "  " $3 }' "$1/MANIFEST" | (cd "$1" && sha256sum --quiet --check -)
}

# cache_get NAME KEY BUILDER: prints the item's directory, built if needed.
# BUILDER is called with an empty directory to fill; its output goes to a log, in
# which it marks how far it is (progress_mark).
cache_get() {
    local name=$1 builder=$3 dir=$CACHE/$1/$2 tmp log t0
    if cache_ok "$dir"; then
        touch "$dir"
        printf '%s\n' "$dir"
        return
    fi
    mkdir -p "$CACHE/$name" "$CACHE/log"
    log=$CACHE/log/$name.log
    (
        flock -w 1200 9 || die "$name: another builder holds $CACHE/$name.lock"
        cache_ok "$dir" && exit 0
        t0=$(now)
        rm -rf "$dir" "$CACHE/$name"/tmp.*
        tmp=$(mktemp -d "$CACHE/$name/tmp.XXXXXX")
        say "building $name$(cache_took "$name")"
        progress_begin "$name" "$log"
        # A bash of its own: in a subshell set -e would be off, because this
        # one's status is tested below. It keeps the lock as long as any part of it lives.
        if ! "${CACHE_SELF:-$LAB/lab}" _build "$builder" "$tmp" >"$log" 2>&1; then
            progress_end "$name" failed
            rm -rf "$tmp"
            tail -n 5 "$log" >&2
            die "$name did not build; the whole story: $log"
        fi
        manifest "$tmp"
        progress_end "$name"
        mv "$tmp" "$dir"
        say "built $name in $(took "$t0") s"
        cache_prune "$name"
    ) 9>"$CACHE/$name.lock" || return 1
    printf '%s\n' "$dir"
}

# How long it took last time, as words to go on with.
cache_took() {
    local s
    read -r s 2>/dev/null <"$(progress_took "$1")" && printf ' (%s s last time)' "$s"
    true
}

# Keep the two newest keys of an item.
cache_prune() {
    local old
    find "$CACHE/$1" -mindepth 1 -maxdepth 1 -type d ! -name 'tmp.*' -printf '%T@ %p\n' |
        sort -rn | tail -n +3 | cut -d' ' -f2- | while read -r old; do
        rm -rf "$old"
    done
}
