#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# migrate-cpu is ours whatever the words are. Its command line, and what it says where there is no
# Xen; what it says of hosts: tests/unit/test_cpu_command.c.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOC'
echo called >>"$(dirname "$0")/called"
EOC
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run
manual=$(dirname "$0")/../../docs/xl-migrate.1

refused() { refused_by migrate-cpu "$@"; }

out=$("$XL" migrate-cpu --help)
same "--help: status" 0 $?
contains "--help" "Usage: xl migrate-cpu [-s COMMAND] [--json] [HOST...]" "$out"
same "--help fits" 0 "$(awk 'length($0) > 80' <<<"$out" | wc -l)"
same "--help wins" "$out" "$("$XL" migrate-cpu --tcp --help h1)"
section=$(sed -n '/^\.Ss migrate-cpu/,/^\.Ss [^m]/p' "$manual")
for option in 's' '-json'; do
    contains "the manual" ".Fl $option" "$section"
done
refused "an unknown option" "there is no option '--tcp'" --tcp h1
refused "no value" "a value is missing behind '-s'" h1 -s
refused "an empty host" "a host has no name" ""
# shellcheck disable=SC2046 # one word each
refused "too many hosts" "at most 63 hosts" $(seq 64)
out=$("$XL" migrate-cpu --json --tcp 2>/dev/null)
contains "an error in JSON" '"type":"error"' "$out"
if [ ! -e /dev/xen/privcmd ] && [ ! -e /proc/xen/privcmd ]; then
    refused "no Xen" "cannot talk to Xen"
fi
[ ! -e "$work/bin/called" ] || fail "the real xl was called"
finish
