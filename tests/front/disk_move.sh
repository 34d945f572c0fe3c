#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# disk-move is ours whatever the words are: the real xl has no such command and is never called. What
# it refuses it refuses with status 1, and touches nothing.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOC'
echo called >>"$(dirname "$0")/called"
EOC
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run

refused() { refused_by disk-move "$@"; }

out=$("$XL" disk-move --help)
same "--help: status" 0 $?
contains "--help" "disk-move [options] DOMAIN DISK TARGET" "$out"
for o in --bandwidth --no-verify --delete-source; do
    contains "--help" "$o" "$out"
    grep -q -- "Fl ${o#-}" docs/xl-disk-move.1 || fail "$o is not in the manual"
done
refused "no words" "takes a domain, a disk and a target"
refused "two words" "takes a domain, a disk and a target" g1 xvda
refused "four words" "takes a domain, a disk and a target" g1 xvda /a /b
refused "an empty word" "takes a domain, a disk and a target" g1 "" /a
refused "an unknown option" "no option '--tcp'" --tcp g1 xvda /a
refused "no value" "takes a value" g1 xvda /a --bandwidth
for n in 0 -1 x 1x 1000001 99999999999999999999; do
    refused "--bandwidth $n" "--bandwidth takes a whole number" --bandwidth "$n" g1 xvda /a
done
refused "a bandwidth without a value" "takes a value" --bandwidth
refused "a value for what takes none" "no option '--no-verify=yes'" --no-verify=yes g1 xvda /a
refused "an option of migrate" "no option '--disk-bandwidth'" --disk-bandwidth 5 g1 xvda /a
refused "a host, as for migrate" "takes a domain, a disk and a target" g1 xvda=/a
# Whatever was typed, nothing of it reaches the terminal as it is.
"$XL" disk-move $'--\e[31m\a' g1 xvda /a 2>"$work/err"
grep -q $'[\e\a]' "$work/err" && fail "control characters are printed"
# Here is no Xen.
refused "no Xen" "" --bandwidth 10 --no-verify --delete-source g1 xvda "$work/new.img"

[ -e "$work/new.img" ] && fail "the target was made before there was anything to do"
[ -e "$work/bin/called" ] && fail "the real xl was called"
finish
