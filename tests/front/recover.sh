#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# migrate-recover is ours whatever the words are: the real xl has no such command and is never
# called. What it refuses it refuses with status 1, and says so where it was asked to.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOC'
echo called >>"$(dirname "$0")/called"
EOC
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run

refused() { refused_by migrate-recover "$@"; }

out=$("$XL" migrate-recover --help)
same "--help: status" 0 $?
contains "--help" "--resume [--force] DOMAIN" "$out"
refused "no domain" "migrate-recover takes a domain"
refused "an unknown option" "no option '--tcp'" --tcp g1
refused "--force alone" "--force works only with --resume" --force g1
refused "two domains" "and nothing more" --resume g1 g2
out=$("$XL" migrate-recover --json --force g1 2>/dev/null)
contains "an error in JSON" '"type":"error"' "$out"

[ -e "$work/bin/called" ] && fail "the real xl was called"
[ -e "$work/run" ] && fail "something was written before there was anything to do"
finish
