#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# circles.sh finds files of a folder that call each other in a circle, and a call into a folder that
# may not be used, and neither where there is none.
set -u -o pipefail
circles=$(cd "$(dirname "$0")" && pwd)/circles.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 2
failed=0

file() { # NAME TEXT
    mkdir -p "${1%/*}" "build/obj/${1%/*}"
    echo "$2" >"$1.c"
    gcc -c -o "build/obj/$1.o" "$1.c" || exit 2
}
fresh() {
    rm -rf ./*
    file libxl-ext/source/move 'int tick(void), host(void); int move(void) { return tick() + host(); }'
    file libxl-ext/source/tick 'int note(void); int tick(void) { return note(); }'
    file libxl-ext/source/note 'static int move(void) { return 1; } int note(void) { return move(); }'
    file libxl-ext/host/host 'int host(void) { return 0; }'
    file tools/xl 'int move(void); int main(void) { return move(); }' # of libxl-ext/libxl_ext.h
    echo 'Uses: libxl-ext' >tools/README.md
    echo 'Uses: libxl-ext libxl-ext/host' >libxl-ext/source/README.md
    echo 'Uses: libxl-ext' >libxl-ext/host/README.md
}
expect() { # WHAT STATUS SAYS
    local said rc
    said=$("$circles" "$tree" 2>&1)
    rc=$?
    if [ $rc != "$2" ] || [[ $said != *$3* ]]; then
        echo "$1: status $rc: $said"
        failed=1
    fi
}

fresh
expect "as it should be" 0 ""
file libxl-ext/source/note 'int move(void); int note(void) { return move(); }'
expect "a circle of three" 1 "libxl-ext/source: files call each other in a circle"
fresh
file libxl-ext/host/host 'int note(void); int host(void) { return note(); }'
expect "a call upwards" 1 \
    "libxl-ext/host/host.c uses note of libxl-ext/source/note.c: libxl-ext/host may not use"
rm libxl-ext/source/note.c
expect "an object whose source has gone" 0 ""
rm -r build
expect "nothing built" 2 "build first"
exit $failed
