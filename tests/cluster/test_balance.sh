#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Four nodes, the first of them busy. xenferry-plan, with the real hbal, finds what has to leave it, heeds
# a processor feature and guests that are to be apart, and has Pacemaker move them, as it printed: every
# guest keeps its boot id. Then there is nothing more to do.
# shellcheck disable=SC2317 # called by until_true
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"

cluster_up 4 g1=1 g2=1 g3=1 g4=2 g5=3 g6=4
hosts="xen1 xen2 xen3 xen4"
work=$MNT/node/xen1/tmp/plan # hbal is in the nodes' image, and must find what it is given
mkdir -p "$work/bin" "$MNT/shared"/{host,load}

# Two guests use most of xen1. xen2 is the idlest, and lacks a feature.
for n in 1 2 3 4; do
    echo "4 16384 aes $([ $n = 2 ] || echo avx2)" >"$MNT/shared/host/xen$n"
    echo "xen$n aes" >>"$work/alike"
    printf '%s\n' "$(node_pid $n)" >"$work/pid.xen$n" # the kernel's has no end of line
done
echo "2048 2 150" >"$MNT/shared/load/g1"
echo "2048 2 140" >"$MNT/shared/load/g2"
echo "1024 1 30" >"$MNT/shared/load/g3"
echo "1024 1 5" >"$MNT/shared/load/g4"
for g in g5 g6; do echo "1024 1 20" >"$MNT/shared/load/$g"; done

# As ssh: a shell there. Its clock goes a minute from each look to the next.
cat >"$work/bin/ssh" <<'END'
#!/bin/bash
while [ "$1" != -- ]; do shift; done
work=${0%/bin/ssh} shared=/mnt/shared
read -r pid _ <"$work/pid.$2" || exit 255
case $3 in
*/proc/uptime*)
    read -r up _ <"$shared/uptime.$2" || exit 255
    echo "$((${up%.*} + 60)).00 1.00" >"$shared/uptime.$2"
    ;;
esac
printf '%s: %s\n' "$2" "${3%%$'\n'*}" >>"$work/asked"
exec nsenter -t "$pid" -m -u -i -n -p -r -w env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c "${3//\/proc\/uptime//shared/uptime.$2}" </dev/null
END
cat >"$work/bin/hbal" <<'END'
#!/bin/bash
root=/mnt/node/xen1
exec chroot $root /usr/bin/hbal "${@//$root/}"
END
chmod +x "$work/bin"/*

plan() { # ARGUMENTS: output in $work/out and $out, notes in $err, status in $rc
    local n
    : >"$work/asked"
    for n in 1 2 3 4; do echo "1000.00 1.00" >"$MNT/shared/uptime.xen$n"; done
    # shellcheck disable=SC2086 # a list
    PATH=$work/bin:$PATH TMPDIR=$work "$TOP/cluster/xenferry-plan" balance --interval 1 --threshold 60 \
        --apart g1,g2 --state "$work/state" "$@" $hosts >"$work/out" 2>"$work/err" </dev/null
    rc=$?
    out=$(cat "$work/out") err=$(cat "$work/err")
}
moves() { sed -n 's/^move \([^ ]*\) \([^ ]*\) -> \([^ ]*\) .*/\1 \2 \3/p' "$work/out"; }
part_of() { case $2 in *"$1"*) ;; *) fail "no '$1' in: $2" ;; esac; }
# Where the plan leaves GUEST, which is on xenN now.
planned() { # GUEST N
    moves | awk -v guest="$1" -v at="xen$2" '$1 == guest { at = $3 } END { print at }'
}

# With processors that are alike, xen2 is the place to go.
plan --features "$work/alike"
[ $rc = 0 ] || fail "the plan of hosts that are alike: status $rc: $err"
moves | grep -q ' xen2$' || fail "nothing goes to the idlest host: $out $err"
plan
[ $rc = 0 ] || fail "the plan: status $rc: $err"
[ ! -s "$MNT/shared/log" ] || fail "a plan moves something: $(cat "$MNT/shared/log")"
before=$(moves)

plan --run
[ $rc = 0 ] || fail "--run: status $rc: $err"
part_of "xen1 uses 80 % of its processors, above 60 %" "$err" # 150 + 140 + 30 of 400
[ "$(moves)" = "$before" ] || fail "not the plan that was shown: $before; $out"
moves | grep -qE '^g[12] xen1 ' || give_up "neither busy guest leaves: $out $err"
! moves | grep -q ' xen2$' || fail "a guest goes where a feature lacks: $out"
for g in g1=1 g2=1 g3=1 g4=2 g5=3 g6=4; do
    to=$(planned "${g%=*}" "${g#*=}")
    at "${g%=*}" "${to#xen}"
done
while read -r guest from to; do
    grep -qx "$from: crm_resource -M -r $guest -N $to -u PT10M && crm_resource --wait --timeout=3600s" "$work/asked" ||
        fail "$guest was not moved by Pacemaker: $(cat "$work/asked")"
    [ "$(grep -cx "$from begin $guest $to" "$MNT/shared/log")" = 1 ] || fail "$guest was not moved once from $from to $to"
done < <(moves)
[ "$(happened begin)" = "$(moves | wc -l)" ] || fail "not the moves of the plan: $(cat "$MNT/shared/log")"
! grep -q ': xl migrate ' "$work/asked" || fail "a move behind Pacemaker's back: $(cat "$work/asked")"
[ "$(where g1)" != "$(where g2)" ] || fail "g1 and g2 are together, on $(where g1)"
until_true "the cluster does not know where they are" all_known
[ "$(most_moves)" -le 2 ] || fail "$(most_moves) moves of a node at once"
none_lost

plan
[ $rc = 0 ] || fail "after it: status $rc: $err"
[ -z "$(moves)" ] || fail "more is to be moved: $out"
part_of "nothing to do" "$err"
finish
