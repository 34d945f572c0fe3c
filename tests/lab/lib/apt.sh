# SPDX-License-Identifier: LGPL-2.1-or-later
# A private apt: its own sources, lists and cache, so that nothing of the
# machine's own configuration changes.

# apt_setup DIR: prepare and fetch the lists (binary and source).
apt_setup() {
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
    : >"$1/status"
    local m
    m=$(mirror)
    printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        deb "$m" "$SUITE" deb-src "$m" "$SUITE" >"$1/sources.list"
    timeout 180 apt-get $(apt_opts "$1") -q update
}

apt_opts() {
    printf -- '-o %s ' "Dir::Etc::sourcelist=$1/sources.list" "Dir::Etc::sourceparts=-" \
        "Dir::State::lists=$1/lists" "Dir::State::status=$1/status" \
        "Dir::Cache=$1/cache" "APT::Sandbox::User=root" "Acquire::Languages=none"
}

# apt_unpack DIR PACKAGE...: the files of these packages, and of no others, under DIR/deb. For a builder.
apt_unpack() {
    local dir=$1 f
    shift
    mkdir -p "$dir"
    progress_mark 1/2 "package lists"
    apt_setup "$dir/apt"
    progress_mark 2/2 packages
    (cd "$dir" && timeout 180 apt-get $(apt_opts "$dir/apt") -q download "$@")
    for f in "$dir"/*.deb; do
        dpkg -x "$f" "$dir/deb"
    done
}
