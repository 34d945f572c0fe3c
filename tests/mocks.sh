#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a test replaces has to be there to be replaced. Every global symbol that a test's object
# defines must be
#   one of the product, which it replaces, or
#   one that the product or a helper needs from elsewhere (a library's, which it stands in for), or
#   declared in a header of the tests: a helper's.
# Anything else is a mock whose name is wrong, or that of something which is gone: nobody would call
# it, and the test would pass without it.
#   mocks.sh NAMES OBJECT...    NAMES: of the product, and what is needed from elsewhere, a line each
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 2
names=$1
shift
bad=0

# main and the entry points of libFuzzer are called by what is linked in later.
for object in "$@"; do
    while read -r symbol; do
        grep -qw --include='*.h' -r -- "$symbol" tests && continue
        echo "$object: nothing that it is linked with has or needs $symbol: is a mock's name wrong?" >&2
        bad=1
    done < <(nm -g --defined-only "$object" | awk 'NF == 3 { print $3 }' |
        grep -vxE 'main|LLVMFuzzer[A-Za-z]*|__(odr_)?asan.*|__wrap_.*' | grep -vxF -f "$names")
done
exit $bad
