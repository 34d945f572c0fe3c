#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Install those of the Debian packages listed in the given files that are missing.
# --only-say: do not, but say which in one sentence; without dpkg nothing is known, nor said.
# A file holds one package a line; `#` begins a comment; a file that is not there is empty. Of A|B, which
# are called differently in different releases, one is needed: what is installed, else what apt has.
# Touches apt only when something is missing.
set -eu -o pipefail

only_say=no
if [ "${1-}" = --only-say ]; then
    only_say=yes
    shift
fi
if ! command -v dpkg-query >/dev/null; then
    [ $only_say = no ] || exit 0
    echo "make deps: this machine has no dpkg; install the equivalents of $* by hand" >&2
    exit 1
fi

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }
one_of() { # A|B...: the one to have
    local names name
    IFS='|' read -ra names <<<"$1"
    for name in "${names[@]}"; do
        ! installed "$name" || { echo "$name"; return; }
    done
    [ ${#names[@]} = 1 ] || for name in "${names[@]}"; do
        # The program apt-cache is not to write into a closed pipe, so grep has to read on.
        ! apt-cache policy "$name" 2>/dev/null | grep 'Candidate: [0-9]' >/dev/null || { echo "$name"; return; }
    done
    echo "${names[0]}"
}

missing=()
for list in "$@"; do
    [ -e "$list" ] || continue
    while read -r package _; do
        case $package in '' | '#'*) continue ;; esac
        package=$(one_of "$package")
        installed "$package" || missing+=("$package")
    done <"$list"
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ $only_say = yes ]; then
    echo "Some packages are missing; run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "make deps: missing: ${missing[*]}" >&2
    echo "make deps: run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "make deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y install --no-install-recommends "${missing[@]}"
