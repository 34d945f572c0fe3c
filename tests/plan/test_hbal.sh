#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xenferry-plan between made-up hosts with the real hbal: the load is spread, hosts are emptied, and
# features, guests that are to be apart, and memory are heeded.
# shellcheck source=tests/plan/lib.bash
. "$(dirname "$0")/lib.bash"
hbal=$("$here/hbal.sh") || {
    echo "hbal cannot be had here"
    exit 1
}
printf '#!/bin/sh\nexec %s "$@"\n' "$hbal" >"$work/bin/hbal"
chmod +x "$work/bin/hbal"

# Four hosts, most guests on the first; h2 lacks a bit that the others have.
four() {
    fresh
    host h1 16 65536 11264 0000000f:00000003
    host h2 16 65536 30720 0000000f:00000001
    host h3 16 65536 49152 0000000f:00000003
    host h4 16 65536 63488 0000000f:00000003
    guest h1 web1 8192 4 350
    guest h1 web2 8192 4 330
    guest h1 db1 16384 8 400
    guest h1 job1 8192 8 200
    guest h1 job2 4096 8 150
    guest h2 job3 16384 4 20
    guest h2 job4 16384 4 20
    guest h3 job5 14336 4 100
}
all="h1 h2 h3 h4"
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 < b + 0) }'; }
score() { sed -n "s/.*hbal's score: \([0-9.]*\) -> \([0-9.]*\)/\\$1/p" "$work/err"; }

# shellcheck disable=SC2086
balance() {
    four
    plan balance --apart web1,web2 $all
    same "balance" 0 $rc
    [ -n "$(moves)" ] || fail "no plan: $out $err"
    less "$(score 2)" "$(score 1)" || fail "the score does not fall: $err"
    local to='' guest from
    while read -r guest from to; do
        [ "$from" != h1 ] || [ "$to" != h2 ] || fail "$guest goes to h2, which lacks a feature"
    done < <(moves)
    # Of the two at least one goes, and not both to one host.
    same "apart" "" "$(moves | awk '/^web/ { print $3 }' | sort | uniq -d)"
    contains "apart" web "$(moves)"
    local now after
    read -r now after < <(awk '$1 == "h1" { print $2, $4 }' <<<"$out")
    less "$after" "$now" || fail "h1: $now -> $after"

    plan balance -l 1 $all
    same "one move at most" 1 "$(moves | wc -l)"
    plan balance --min-gain 50 $all
    same "no gain is enough" "" "$(moves)"
    plan balance --exclude web1,web2,db1,job1 $all
    lacks "excluded" "$(printf '\nweb')" "$(echo; moves)"
    plan balance --threshold 99 $all
    contains "nobody is above" "nothing to do" "$err"
}

# shellcheck disable=SC2086
drain() {
    four
    plan drain $all
    same "drain" 0 $rc
    same "everybody goes" "db1 job1 job2 web1 web2" "$(moves | awk '{ print $1 }' | sort | xargs)"
    same "not to h2" "" "$(moves | grep ' h2$')"
    # More than the others have room for.
    host h3 16 65536 4096 0000000f:00000003
    host h4 16 65536 17000 0000000f:00000003
    plan drain $all
    same "too much" 3 $rc
    contains "too much" "stays: no host has room and all features" "$err"
    [ -n "$(moves)" ] || fail "nothing goes although there is some room"
}

# What the plan says is what is done; then there is nothing left to do with a guest that has just moved.
# shellcheck disable=SC2086
run() {
    four
    plan balance --run $all
    same "--run" 0 $rc
    [ -n "$(moves)" ] || fail "nothing to run"
    local guest from to
    while read -r guest from to; do
        same "$guest is there" "$to" "$(cut -d ' ' -f 1 "$work/at/$guest")"
        grep -qxF "$from: xl migrate --quiet $guest $to" "$work/log" || fail "$guest: $(cat "$work/log")"
    done < <(moves)
    same "no other moves" "$(moves | wc -l)" "$(wc -l <"$work/log")"
    local before
    before=$(moves | awk '{ print $1 }')
    plan balance $all
    while read -r guest from to; do
        lacks "moved just now" " $guest " " $(xargs <<<"$before") "
    done < <(moves)

    # Refused for memory that another guest holds; there is room when that one has left.
    fresh
    host h1 8 32768 13000 0000000f:00000001
    host h2 8 32768 20000 0000000f:00000001
    guest h1 a1 8192 4 10
    guest h1 a2 8192 4 10
    echo 8000 >"$work/free/h2"
    plan drain --run h1 h2
    same "no memory" 3 $rc
    echo 16384 >"$work/free/h2"
    plan drain --run h1 h2
    same "with memory" 0 $rc
}

balance
drain
run
finish
