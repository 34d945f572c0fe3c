#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An older build and this one move a process guest to each other, both ways, byte-verified, pre-copy
# and with PULL. The older one is built here from its commit, in a git worktree under build/.
#   old_new.sh [COMMIT]     default: the last one that speaks version 1 of the wire protocol
# Needs root (userfaultfd) and the history of the repository. `make old-new` builds what is ours.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 2
commit=${1:-2541128}
old=build/oldnew/$commit
logs=build/oldnew/logs
ends() { # WHICH: its program
    case $1 in
    old) echo "$old/build/tests/oldnew/end" ;;
    new) echo build/tests/oldnew/end ;;
    esac
}

build_old() {
    if [ ! -e "$old/.git" ]; then
        git worktree prune
        if ! git worktree add --detach "$old" "$commit" >/dev/null 2>&1; then
            echo "old_new: cannot check out $commit" >&2
            exit 2
        fi
    fi
    # The one file of ours that it needs; it asks for what was not there then.
    mkdir -p "$old/tests/oldnew"
    cmp -s tests/oldnew/end.c "$old/tests/oldnew/end.c" || cp tests/oldnew/end.c "$old/tests/oldnew/"
    ${MAKE:-make} -C "$old" build/tests/oldnew/end >"$logs/build.log" 2>&1 || {
        tail -n 20 "$logs/build.log"
        exit 2
    }
}

passed=0
failed=0
move() { # FROM TO VERSION MODE [encrypt]
    local name="$1 -> $2, ${*:4}" dir rc=0 sink version=$3
    dir=$(mktemp -d)
    mkfifo "$dir/to" "$dir/from"
    : >"$dir/truth"
    timeout 120 "$(ends "$2")" sink "$dir/truth" "${@:4}" <"$dir/to" >"$dir/from" 2>"$logs/sink" &
    sink=$!
    # The ends of the pipes in this order, or each would wait for the other to open one.
    timeout 120 "$(ends "$1")" source "$dir/truth" "${@:4}" >"$dir/to" <"$dir/from" 2>"$logs/source"
    rc=$?
    wait "$sink" || rc=1
    grep -q "^source: version $version, " "$logs/source" || rc=1
    grep -q "^sink: version $version, .* 0 pages differ" "$logs/sink" || rc=1
    case $4 in # and it was what it says
    precopy) grep -q ", 0 pages left out" "$logs/source" || rc=1 ;;
    *) grep -Eq ', [1-9][0-9]* pages left out' "$logs/source" || rc=1 ;;
    esac
    if [ $rc = 0 ]; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name"
    fi
    sed 's/^/      | /' "$logs/source" "$logs/sink"
    rm -rf "$dir"
}

mkdir -p "$logs"
build_old
for how in precopy hybrid postcopy; do
    move old new 1 $how
    move new old 1 $how
    move new old 1 $how encrypt
    move old new 1 $how encrypt
    move old old 1 $how # so the program itself is right there
    move new new 2 $how
done
echo
echo "$passed passed, $failed failed"
[ $failed = 0 ]
