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
