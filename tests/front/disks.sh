#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The options for disks that move with their guest, wrong or right: the real xl never sees them, and a
# wrong one is refused with what it takes, in one line, before anything is asked of Xen or of the host.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOS'
echo called >>"$(dirname "$0")/called"
EOS
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run

# refused NAME PART WORDS...: the sentence names the remedy, or where it is
refused() {
    refused_by migrate "$@"
    contains "$1: the remedy" "--help" "$(cat "$work/err")"
}

help=$("$XL" migrate --help)
for o in '--with-disks[=VDEV,...]' '--disk VDEV=TARGET' '--disk-bandwidth MIB' --throttle-disks --no-verify-disks --delete-source; do
    contains "--help" "$o" "$help"
    name=${o%%[[ ]*}
    grep -q -- "^\.It Fl ${name#-}" docs/xl-migrate.1 || fail "$name is not in the manual"
done

# --with-disks
for v in '' ',' 'xvda,' ',xvda' 'xvda,,xvdb' XVDA xvda=/srv/a ../xvda 'xvd a' 'xvda;reboot' $'xvda\n' /dev/xvda abcdefghijklmnopq; do
    refused "--with-disks=$v" "is not the name of a disk, such as xvda (\`xl block-list\` shows them)" "--with-disks=$v" g1 host2
done
refused "too many" "at most 7 disks can move" --with-disks=a,b,c,d,e,f,g,h g1 host2
refused "a blank in place of =" "takes a domain and a host" --with-disks xvda g1 host2

# --disk
for v in '' xvda xvda= xvda=web1.img xvda=./web1.img xvda=vg xvda=VG:vg0 'xvda=http://h/a' =; do
    refused "--disk '$v'" "--disk takes a disk and where it goes, such as" --disk "$v" g1 host2
done
for v in =/srv/a ',=/srv/a' 'xvda,xvdb=/srv/' 'xvd*=/srv/' $'xvda\e[31m=/srv/'; do
    refused "--disk '$v'" "is not the name of a disk" --disk "$v" g1 host2
done
refused "no value" "--disk needs a value: VDEV=TARGET" g1 host2 --disk
refused "a blank in place of =" "--disk takes a disk and where it goes" --disk xvda /srv/a g1 host2
refused "twice" "--disk names disk xvda twice" --disk xvda=/a --disk xvda=/b g1 host2
refused "too long" "the target of disk xvda is too long" --disk "xvda=/$(printf 'a%.0s' {1..500})" g1 host2

# --disk-bandwidth
for v in '' -1 x 1x 1.5 ' 5' 0x10 1048577 99999999999999999999; do
    refused "--disk-bandwidth '$v'" "--disk-bandwidth takes a whole number from 0 to 1048576" --with-disks --disk-bandwidth "$v" g1 host2
done
refused "no bandwidth" "--disk-bandwidth needs a value: MIB" --with-disks g1 host2 --disk-bandwidth

# What says how disks move needs some that do; and takes no value.
for o in --throttle-disks --no-verify-disks --delete-source '--disk-bandwidth=5'; do
    refused "$o alone" "${o%=*} says how disks move: add --with-disks" "$o" g1 host2
done
for o in --throttle-disks --no-verify-disks --delete-source; do
    refused "$o=yes" "$o" --with-disks "$o=yes" g1 host2
done

# With others.
refused "--cold" "--cold and --with-disks contradict each other" --cold --with-disks g1 host2
refused "--cold, --disk" "--cold and --disk contradict each other" --disk xvda=/srv/ g1 host2 --cold
for o in --with-disks --disk=xvda=/srv/; do
    refused "--stock $o" "--stock and ${o%%=*} contradict each other" --stock "$o" g1 host2
done

# Whatever was typed, nothing of it reaches the terminal as it is.
"$XL" migrate --disk $'xvda\e[31m\a=/srv/' g1 host2 2>"$work/err"
grep -q $'[\e\a]' "$work/err" && fail "control characters are printed"

# Right, it is a move of ours: here is no Xen.
"$XL" migrate --quiet --with-disks=xvda,xvdb --disk xvdb=vg:vg0 --disk-bandwidth 5 --throttle-disks \
    --no-verify-disks --delete-source g1 host2 >"$work/out" 2>"$work/err"
same "right: status" 1 $?
same "right: output" "" "$(cat "$work/out")"
contains "right" "was not touched" "$(cat "$work/err")"

[ -e "$work/bin/called" ] && fail "the real xl was called"
finish
