#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --detach-pci is ours, wrong or right: the real xl never sees it, and a wrong one is refused with what
# it takes before anything is asked of Xen or of the host.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOS'
echo "the real xl was called: $*"
EOS
export PATH=$work/bin:$PATH

# refused NAME PART WORDS...: exit status 1, PART among the errors, nothing on the output
refused() {
    local name=$1 part=$2 out
    shift 2
    out=$("$XL" migrate "$@" 2>"$work/err")
    same "$name: exit status" 1 $?
    same "$name: output" "" "$out"
    contains "$name" "$part" "$(tr '\n' ' ' <"$work/err" | tr -s ' ')"
}

for map in '' 05:00.0 05:00.0= 05:00.0=all =06:00.0 05:00.8=06:00.0 none=none '05:00.0 =06:00.0'; do
    refused "wrong: '$map'" "--detach-pci takes none, or two PCI addresses" --detach-pci="$map" g1 host2
done
refused "twice" "names 0000:05:00.0 twice" --detach-pci=05:00.0=06:00.0 --detach-pci=0000:05:00.0=none g1 h
refused "with --stock" "--stock and --detach-pci contradict each other" --stock --detach-pci g1 host2
# Right, it is a move of ours, and such a one needs a host: the word behind it is no value of it.
refused "one word is missing" "migrate takes a domain and a host" --detach-pci g1
contains "--help" "--detach-pci[=MAP]" "$("$XL" migrate --help)"
finish
