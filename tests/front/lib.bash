# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the front's tests share: a directory of their own, a fake real xl that tells how it
# was called, and comparisons. $XL is the front command under test.
set -u -o pipefail

XL=${XL:?path of the front command}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
export XENFERRY_CONFIG=$work/none.xml
unset XENFERRY_REAL_XL XENFERRY_DEPTH
bad=0

fail() {
    echo "FAIL: $*"
    bad=1
}

# same WHAT WANTED GOT
same() {
    [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}

# contains WHAT PART TEXT
contains() {
    case $3 in *"$2"*) ;; *) fail "$1: no '$2' in '$3'" ;; esac
}

# refused_by COMMAND NAME PART WORDS...: status 1, nothing on stdout, one line with PART on stderr
refused_by() {
    local command=$1 name=$2 part=$3 out rc
    shift 3
    out=$("$XL" "$command" "$@" 2>"$work/err")
    rc=$?
    same "$name: status" 1 $rc
    same "$name: output" "" "$out"
    same "$name: lines" 1 "$(wc -l <"$work/err")"
    contains "$name" "$part" "$(cat "$work/err")"
}

finish() {
    [ $bad = 0 ] && echo passed
    exit $bad
}

# A fake xl at $1 whose body is standard input.
fake() {
    {
        echo '#!/bin/bash'
        cat
    } >"$1"
    chmod +x "$1"
}
