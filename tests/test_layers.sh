#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# layers.sh finds an include against the direction, a folder that does not say, and a circle.
set -u -o pipefail
layers=$(cd "$(dirname "$0")" && pwd)/layers.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 2
failed=0

folder() { # NAME USES
    mkdir -p "$1"
    [ -z "$2" ] || printf '# %s\n\nUses: %s\n' "$1" "$2" >"$1/README.md"
}
fresh() {
    rm -rf ./*
    folder pages transport
    folder transport nothing
    folder precopy 'pages transport'
    echo '#include "pages/vm.h"' >precopy/copy.c
    echo '#include <stdio.h>' >pages/vm.h
    echo '#include "transport/err.h"' >transport/err.c
}
expect() { # WHAT STATUS SAYS
    local said rc
    said=$("$layers" "$tree" 2>&1)
    rc=$?
    if [ $rc != "$2" ] || [[ $said != *$3* ]]; then
        echo "$1: status $rc: $said"
        failed=1
    fi
}

fresh
expect "as it should be" 0 ""
echo '#include "precopy/copy.h"' >>pages/vm.h
expect "against the direction" 1 "pages/vm.h:2: pages may not use precopy"
fresh
rm pages/README.md
expect "a folder that does not say" 1 "pages/README.md: no line"
fresh
folder transport pages
expect "a circle" 1 "circle"
exit $failed
