#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/mocks.sh, which holds what a test replaces against what is there: a mock with a wrong name is
# found, and what is right is not.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

top=$(cd "$(dirname "$0")/../.." && pwd)
printf '%s\n' xf_status_close libxl_domain_info >"$work/names"

# object WHAT FUNCTION: one that defines it
object() {
    printf 'int %s(void);\nint %s(void) { return 0; }\nint main(void) { return %s(); }\n' "$2" "$2" "$2" |
        gcc -xc -c -o "$work/$1.o" -
}
object product xf_status_close
object library libxl_domain_info
object helper move_open # of tests/unit/fake_move.h
object wrong xf_status_clsoe

for o in product library helper; do
    "$top/tests/mocks.sh" "$work/names" "$work/$o.o" || fail "$o: refused"
done
if said=$("$top/tests/mocks.sh" "$work/names" "$work/product.o" "$work/wrong.o" 2>&1); then
    fail "a mock with a wrong name is not found"
fi
[[ $said == *wrong.o*xf_status_clsoe* ]] || fail "it says: $said"
finish
