#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xenferry-plan between made-up hosts and a made-up hbal: what it accepts, what it gives to hbal and to
# shells, what it says, and how it carries a plan out. test_hbal.sh has the real one.
# shellcheck source=tests/plan/lib.bash
. "$(dirname "$0")/lib.bash"

# It plans what $work/wanted says, as "GUEST_ALIAS NODE_ALIAS" lines, and keeps what it was given.
cat >"$work/bin/hbal" <<'FAKE'
#!/bin/bash
w=${0%/bin/hbal}
echo "$*" >"$w/hbal.args"
while [ $# -gt 0 ]; do
    case $1 in -t) cp "$2" "$w/hbal.text" ;; -U) cp "$2" "$w/hbal.load" ;; esac
    shift
done
[ ! -e "$w/raw" ] || { cat "$w/raw"; exit 0; }
while read -r g n; do echo "    gnt-instance migrate -f -n $n $g"; done <"$w/wanted"
echo 'Cluster score improved from 9.00000000 to 1.00000000'
FAKE
chmod +x "$work/bin/hbal"
wanted() { printf '%s\n' "$@" >"$work/wanted"; }

three() { # the first of them busy
    fresh
    host h1 8 32768 8000 0000000f:00000001
    host h2 8 32768 20000 0000000f:00000001
    host h3 8 32768 20000 0000000f:00000001
    guest h1 a1 4096 4 300
    guest h1 a2 4096 4 350
    guest h1 a3 4096 4 20
    guest h2 b1 4096 4 20
    wanted "g2 n2"
}

command_line() {
    plan balance --help
    same "--help" 0 $rc
    contains "--help" "Exit status" "$out"
    same "--help fits" 0 "$(awk 'length($0) > 80' "$work/out" | wc -l)"
    local words option
    while read -r option; do
        grep -qE "^\.It Fl (. , )?-${option#--}( |$)" "$here/../../docs/xenferry-plan.8" || fail "$option is not in the manual"
    done < <(grep -oE -- '--[a-z][a-z-]*' "$work/out" | sort -u)
    while read -r words; do
        # shellcheck disable=SC2086
        plan $words
        same "'$words'" 2 $rc
        same "one line for '$words'" 1 "$(wc -l <"$work/err")"
    done <<'WRONG'
shuffle h1 h2
balance
balance h1
balance h1 h1
balance h1 -x h2
balance h1 h2;reboot
balance h1 $(reboot)
balance -oProxyCommand=x h1
balance --threshold h1
balance --threshold 101 h1 h2
balance --threshold=0x10 h1 h2
balance --interval 0 h1 h2
balance --moves 99999999999999999999 h1 h2
balance --min-gain 1e9 h1 h2
balance --exclude a;b h1 h2
balance --apart a,,b h1 h2
balance --features /nonexistent h1 h2
balance --exclude
WRONG
    mkdir -p "$work/few"
    local tool
    for tool in awk cat cut env grep head mktemp rm sed tail tr; do ln -sf "$(command -v "$tool")" "$work/few/"; done
    err=$(PATH=$work/few "$(command -v sh)" "$PLAN" balance h1 h2 2>&1)
    same "without hbal" 1 $?
    contains "without hbal" "apt-get install ganeti-htools" "$err"
    same "without hbal, lines" 1 "$(wc -l <<<"$err")"
}

thresholds() {
    three
    plan balance --threshold 90 h1 h2 h3
    same "nobody is above" 0 $rc
    contains "nobody is above" "nothing to do" "$err"
    [ ! -e "$work/hbal.args" ] || fail "hbal was asked although nobody is above"
    plan balance h1 h2 h3
    same "above" "a2 h1 h2" "$(moves)"
    contains "the reason" "h1 uses 84 % of its processors, above 80 %" "$err"
    # (300 + 350 + 20 + 1.7 of dom0) / 8, before and after
    same "load of h1" "h1 84 -> 40 % 76 -> 63 %" "$(awk '$1 == "h1" { $1 = $1; print }' <<<"$out")"
    contains "what goes" "move a2 h1 -> h2  (3.5 processors, 4096 MiB)" "$out"
    contains "hbal's score" "9.00000000 -> 1.00000000" "$err"
    contains "options" "-l 5 -g 0.01" "$(cat "$work/hbal.args")"
    same "not asked to move" "" "$(cat "$work/log")"
    plan balance -l 2 --min-gain=0.5 h1 h2 h3
    contains "damped" "-l 2 -g 0.5" "$(cat "$work/hbal.args")"
    # hbal moves b1 instead: that does not help h1.
    wanted "g4 n3"
    plan balance h1 h2 h3
    same "no help" "" "$(moves)"
    contains "no help" "no move found that would help" "$err"
    # Memory counts as well.
    three
    host h1 8 32768 2000 0000000f:00000001
    guest h1 a1 16384 4 10
    wanted "g1 n2"
    plan balance h1 h2 h3
    contains "memory" "h1 uses 94 % of its memory, above 80 %" "$err"
    same "memory" "a1 h1 h2" "$(moves)"
}

text_for_hbal() {
    three
    host h3 8 32768 20000 0000000f:00000000
    guest h2 b2 2048 2 0 --p---
    guest h2 a9--incoming 4096 1 0 --p---
    guest h3 a3 4096 1 0
    plan balance --exclude a1 --apart a2,b1 h1 h2 h3
    same "text" "all|g|preferred||

n1|32768|12480|8000|0|0|8|N|g|1|cpu:1.0|N|1|2|1.0
n2|32768|8672|20000|0|0|8|N|g|1|cpu:1.0|N|1|2|1.0
n3|32768|8672|20000|0|0|8|N|g|1||N|1|2|1.0

g1|4096|0|4|running|Y|n1||ext||1|-
g2|4096|0|4|running|Y|n1||ext|apart:1|1|-
g3|4096|0|4|running|Y|n1||ext||1|-
g4|4096|0|4|running|Y|n2||ext|apart:1|1|-
g5|4096|0|1|running|Y|n3||ext||1|-
d1|0|0|0|running|Y|n1||ext||1|-
d2|0|0|0|running|Y|n2||ext||1|-
d3|0|0|0|running|Y|n3||ext||1|-

htools:migration:cpu
htools:iextags:apart" "$(head -n 18 "$work/hbal.text")"
    same "load of a2" "g2 4.3750 0.0001 0.0001 0.0001" "$(grep ^g2 "$work/hbal.load")"
    contains "fixed" "--exclude-instances=d1,d2,d3,g1,g3,g5" "$(cat "$work/hbal.args")"
    contains "excluded" "a1 stays: it is excluded" "$err"
    contains "twice" "a3 stays: it runs on several hosts" "$err"
    contains "paused" "b2 is paused" "$err"
    printf '%s\n' 'h1 avx512f aes' 'h2 aes' 'h3 aes' >"$work/features"
    plan balance --features "$work/features" h1 h2 h3
    contains "features" "|N|g|1|cpu:avx512f|N|1|2|1.0" "$(cat "$work/hbal.text")"
    same "features of one" 1 "$(grep -c cpu:avx512f "$work/hbal.text")"
    echo 'h1 a|b' >"$work/features"
    plan balance --features "$work/features" h1 h2 h3
    same "a feature that is none" 1 $rc
    plan balance --features <(echo h1 aes) h1 h2 h3
    same "a host without features" 1 $rc
}

hostile() {
    three
    # shellcheck disable=SC2016
    local name nasty=('x;touch pwned' '$(touch pwned)' '`touch pwned`' 'x|y' '-rf' '4711' "it's" $'tab\tname' '../../x' 'a&b'
        "$(printf 'n%.0s' {1..300})")
    for name in "${nasty[@]}"; do guest h1 "$name" 512 1 100; done
    printf 'no row at all\n%s\n' "$(head -c 5000 /dev/zero | tr '\0' x)" >>"$work/hosts/h1.list1"
    row h1 1 short 99 12 1 'rrrrrr' 1
    echo "huge 5 99999999999999 1 -b---- 1.0" >>"$work/hosts/h1.list1"
    printf '%s\n' 'g2 n2' >"$work/wanted"
    plan balance h1 h2 h3
    same "hostile names" 0 $rc
    same "hostile names" "a2 h1 h2" "$(moves)"
    same "all of them fixed" ${#nasty[@]} "$(grep -c 'its name cannot be used' "$work/err")"
    contains "a bad row" "a line of xl list cannot be read: no row at all" "$err"
    same "no control characters" "" "$(tr -d '\n -~' <"$work/err")"
    # Lines of hbal's text have the number of fields that they should.
    same "fields" "" "$(awk -F'|' '/^[gd][0-9]/ && NF != 12 || /^n[0-9]/ && NF != 15' "$work/hbal.text")"
    # What hbal plans with a guest that may not move, or none, is refused.
    for name in 'g4 n2' 'g2;reboot n9'; do
        wanted "$name"
        plan balance --run h1 h2 h3
        same "hbal says $name" 1 $rc
        same "hbal says $name" "" "$(cat "$work/log")"
    done
    echo '    gnt-instance failover -f g2' >"$work/raw"
    plan balance --run h1 h2 h3
    same "hbal fails over" 1 $rc
    rm "$work/raw"
    [ ! -e "$work/pwned" ] || fail "a name was run"

    # Hosts that lie, each in another way.
    three
    local what n=3
    for what in 'nr_cpus : 0' 'nr_cpus : 8x' 'total_memory : 99999999999' 'free_memory : 40000' 'host : a;b'; do
        n=$((n + 1))
        host h$n 8 32768 20000 0000000f:00000001
        sed -i "s/^${what%% *} .*/$what/" "$work/hosts/h$n.info"
    done
    head -c 2000000 /dev/zero | tr '\0' 'x' >>"$work/hosts/h3.list0"
    plan balance h1 h2 h3 h4 h5 h6 h7 h8
    same "hosts that lie" 0 $rc
    same "hosts that lie" 6 "$(grep -c 'is left out' "$work/err")"
    contains "a flood" "h3 is left out" "$err"
    three
    sed -i 's/^hw_caps.*/hw_caps : zz;/' "$work/hosts/h2.info"
    plan balance h1 h2 h3
    same "no words of features" 1 $rc
    contains "no words of features" "h2: no hw_caps" "$err"
}

# Answers with random damage.
garbage() {
    local READ_HOST=
    # shellcheck source=cluster/plan/collect.sh disable=SC2034
    . "$here/../../cluster/plan/collect.sh"
    # shellcheck disable=SC2046
    python3 -B "$here/garbage.py" "$READ_HOST" $(seq 400) || fail "garbage"
}

silent() {
    three
    touch "$work/hosts/h3.down"
    plan balance h1 h2 h3
    same "one is down" 0 $rc
    contains "one is down" "h3 is left out: it does not answer" "$err"
    touch "$work/hosts/h2.down"
    plan balance h1 h2 h3
    same "two are down" 1 $rc
    three
    touch "$work/hosts/h1.down"
    plan drain h1 h2 h3
    same "the drained one is down" 1 $rc
}

running() {
    three
    wanted 'g2 n2' 'g3 n3'
    plan balance --run h1 h2 h3
    same "--run" 0 $rc
    same "--run" "h1: xl migrate --quiet a2 h2
h1: xl migrate --quiet a3 h3" "$(sort "$work/log")"
    same "remembered" "a2 a3" "$(awk '{ print $2 }' "$work/state/moved" | sort | xargs)"
    : >"$work/wanted"
    plan balance h1 h2 h3
    contains "within the hour" "a2 stays: it was moved within the hour" "$err"
    contains "within the hour" "g2,g3" "$(cat "$work/hbal.args")"
    wanted 'g2 n2' 'g3 n3'
    awk '{ print $1 - 3601, $2 }' "$work/state/moved" >"$work/old"
    printf 'x y\n99999999999999 a1\n' | cat - "$work/old" >"$work/state/moved"
    plan balance h1 h2 h3
    same "after the hour" "a2 h1 h2
a3 h1 h3" "$(moves)"

    # a1 has room only once b1 has left: refused, and tried again. a3 is refused for good, a2 fails.
    three
    echo 100 >"$work/free/h2"
    echo 1 >"$work/status/a3"
    echo 3 >"$work/status/a2"
    wanted 'g1 n2' 'g4 n3' 'g3 n3' 'g2 n3'
    plan balance --run h1 h2 h3
    same "some refused" 3 $rc
    same "a1" "h2 4096" "$(cat "$work/at/a1")"
    same "b1" "h3 4096" "$(cat "$work/at/b1")"
    same "a2 is not tried again" 1 "$(grep -c 'quiet a2' "$work/log")"
    contains "the others" "2 of 4 moves did not take place" "$err"
    contains "why" "a2: status 3: a2: as told" "$err"
    same "only those that moved" "a1 b1" "$(awk '{ print $2 }' "$work/state/moved" | sort | xargs)"

    three
    mkdir -p "$work/state"
    PATH=$work/bin:$PATH flock "$work/state/lock" "$PLAN" balance --run --state "$work/state" h1 h2 h3 2>"$work/err"
    same "two at once" 1 $?
    contains "two at once" "another xenferry-plan" "$(cat "$work/err")"
}

eventually() { # WHAT COMMAND...: within minutes
    local i
    for i in {1..3000}; do
        if "${@:2}"; then return; fi
        sleep 0.1
    done
    fail "$1: not after $((i / 10)) s"
}

# Told to end, it begins no further move and waits for those under way.
stopped() {
    three
    guest h1 a4 512 1 10
    guest h1 a5 512 1 10
    wanted 'g1 n3' 'g2 n2' 'g3 n3' 'g5 n2' 'g6 n2'
    touch "$work/hold"
    PATH=$work/bin:$PATH "$PLAN" balance --run --interval 1 --state "$work/state" h1 h2 h3 >"$work/out" 2>"$work/err" &
    local pid=$!
    # shellcheck disable=SC2016
    eventually "four moves at once" bash -c '[ "$(wc -l <"$1")" -ge 4 ]' bash "$work/log"
    kill "$pid"
    eventually "it says so" grep -q 'no further move is started' "$work/err"
    rm -f "$work/hold"
    wait "$pid"
    same "stopped" 3 $?
    same "none after that" 4 "$(wc -l <"$work/log")"
    same "those under way have ended" 4 "$(wc -l <"$work/state/moved")"
    contains "stopped" "1 of 5 moves did not take place" "$(cat "$work/err")"
}

draining() {
    three
    wanted 'g1 n2' 'g2 n3'
    guest h1 p1 512 1 0 --p---
    plan drain --exclude a3 h1 h2 h3
    same "two stay" 3 $rc
    contains "drain" "-O n1 --evac-mode" "$(cat "$work/hbal.args")"
    lacks "drain" "-l 5" "$(cat "$work/hbal.args")"
    contains "excluded" "a3 stays: it is excluded" "$err"
    contains "paused" "p1 is paused" "$err"
    three
    wanted 'g1 n2' 'g2 n3'
    plan drain h1 h2 h3
    contains "no room" "a3 stays: no host has room" "$err"
    wanted 'g1 n2' 'g2 n3' 'g3 n2'
    plan drain --run h1 h2 h3
    same "all leave" 0 $rc
    same "all leave" "" "$(grep -l '^h1 ' "$work"/at/*)"
    plan drain h1 h2 h3
    same "the hour does not matter" 0 $rc
}

pacemaker() {
    three
    # shellcheck disable=SC2016
    printf '%s\n' 'resource web' 'config web /etc/xen/a2.cfg' 'resource r3' 'config r3 /srv/x.cfg' 'file /srv/x.cfg a3' \
        'resource $(reboot)' 'name x;y a1' >"$work/hosts/h1.resources"
    # Not for another host's guests.
    printf '%s\n' 'resource mine' 'name mine a1' >"$work/hosts/h2.resources"
    echo a2 >"$work/status/of.web"
    echo a3 >"$work/status/of.r3"
    wanted 'g1 n3' 'g2 n2' 'g3 n3'
    plan balance --run h1 h2 h3
    same "Pacemaker" 0 $rc
    same "Pacemaker" "h1: crm_resource -M -r r3 -N h3.example -u PT10M && crm_resource --wait --timeout=3600s
h1: crm_resource -M -r web -N h2.example -u PT10M && crm_resource --wait --timeout=3600s
h1: xl migrate --quiet a1 h3" "$(sort "$work/log")"
    three
    echo 'no answer' >"$work/hosts/h2.resources"
    plan balance --run h1 h2 h3
    same "Pacemaker is silent" 1 $rc
    same "Pacemaker is silent" "" "$(cat "$work/log")"
    plan balance h1 h2 h3
    same "a plan all the same" 0 $rc
}

tags() { # HOST_ALIAS: given to hbal
    awk -F '|' -v n="$1" '$1 == n { print $11; exit }' "$work/hbal.text"
}
named_features() {
    three
    cpu h1 GenuineIntel '"fpu","avx512f","leaf 0x7.2 edx bit 31"'
    cpu h2 GenuineIntel '"fpu"'
    plan balance h1 h2 h3
    same "not all say" "" "$(tags n1)"
    cpu h3 AuthenticAMD '"fpu"'
    plan balance h1 h2 h3
    same "status" 0 $rc
    same "of h1" "cpu:vendor-genuineintel,cpu:avx512f,cpu:leaf-0x7.2-edx-bit-31" "$(tags n1)"
    same "of h2" "cpu:vendor-genuineintel" "$(tags n2)"
    same "of h3" "cpu:vendor-authenticamd" "$(tags n3)"
    # What nobody would call a feature: as if it said nothing.
    local list
    # shellcheck disable=SC2016 # as it stands
    for list in '"a|b"' '"a,b"|' '"-x"' '"$(reboot)"' "$(printf '"%0999d"' 0)" '{}'; do
        cpu h2 GenuineIntel "$list"
        plan balance h1 h2 h3
        same "hostile $list" "0 " "$rc $(tags n1)"
    done
    printf '%s\n' 'h1 aes' 'h2 aes' 'h3 aes' >"$work/features"
    plan balance --features "$work/features" h1 h2 h3
    same "a file is stronger" "" "$(tags n1)"
}

cd "$work" || exit 2
# Some of them, if named.
parts=" ${*:-command_line thresholds text_for_hbal named_features hostile garbage silent running stopped draining pacemaker} "
want() { [[ $parts == *" $1 "* ]]; }
want command_line && command_line
want thresholds && thresholds
want text_for_hbal && text_for_hbal
want named_features && named_features
want hostile && hostile
want garbage && garbage
want silent && silent
want running && running
want stopped && stopped
want draining && draining
want pacemaker && pacemaker
finish
