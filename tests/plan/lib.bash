# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the planner's tests share: made-up hosts that a made-up ssh answers for, and comparisons.
#   $work/hosts/HOST.{info,list0,list1}   what xl says there, list1 a made-up minute after list0
#   $work/hosts/HOST.resources            what Pacemaker says there
#   $work/hosts/HOST.cpu                  what xl migrate-cpu --json says there
#   $work/hosts/HOST.down                 it does not answer
#   $work/free/HOST                       MiB: a move there is refused if it needs more
#   $work/status/GUEST                    what its move ends with
#   $work/hold                            no move ends while this is there
#   $work/at/GUEST                        where it is: "HOST MIB"
#   $work/log                             moves, as they were asked for
set -u -o pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{bin,hosts,free,status,at}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PLAN=$here/../../cluster/xenferry-plan
bad=0

fail() {
    echo "FAIL: $*"
    bad=1
}
same() { # WHAT WANTED GOT
    [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}
contains() { # WHAT PART TEXT
    case $3 in *"$2"*) ;; *) fail "$1: no '$2' in '$3'" ;; esac
}
lacks() { # WHAT PART TEXT
    case $3 in *"$2"*) fail "$1: '$2' in '$3'" ;; esac
}
finish() {
    [ $bad = 0 ] && echo passed
    exit $bad
}

cat >"$work/bin/ssh" <<'FAKE'
#!/bin/bash
w=${0%/bin/ssh}
while [ "$1" != -- ]; do shift; done
h=$2 c=$3 d=$w/hosts
[ -e "$d/$h.info" ] && [ ! -e "$d/$h.down" ] || { echo "ssh: no route to $h" >&2; exit 255; }
moved() { # GUEST TO
    (
        flock 9
        read -r from mib <"$w/at/$1" || exit 1
        [ "$from" = "$h" ] || { echo "no domain $1" >&2; exit 1; }
        free=$(cat "$w/free/$2")
        [ "$free" -ge "$mib" ] || { echo "$2 has too little memory" >&2; exit 1; }
        echo $((free - mib)) >"$w/free/$2"
        echo $(($(cat "$w/free/$h") + mib)) >"$w/free/$h"
        echo "$2 $mib" >"$w/at/$1"
    ) 9>>"$w/lock"
}
case $c in
'xl info') cat "$d/$h.info" ;;
*'xl migrate-cpu --json 2>/dev/null || echo none') [ ! -e "$d/$h.cpu" ] && echo none || cat "$d/$h.cpu" ;;
*'crm_resource --list-raw'*) [ ! -e "$d/$h.resources" ] || cat "$d/$h.resources" ;;
'cat /proc/uptime && xl list')
    if [ -e "$d/$h.asked" ]; then
        rm "$d/$h.asked"
        echo '1060.00 1.00'
        cat "$d/$h.list1"
    else
        touch "$d/$h.asked"
        echo '1000.00 1.00'
        cat "$d/$h.list0"
    fi
    ;;
'xl migrate --quiet '*)
    # Word by word, as its shell would.
    read -r _ _ _ guest to <<<"$c"
    echo "$h: $c" >>"$w/log"
    while [ -e "$w/hold" ]; do sleep 0.1; done
    if [ -e "$w/status/$guest" ]; then echo "$guest: as told" >&2; exit "$(cat "$w/status/$guest")"; fi
    moved "$guest" "$to"
    ;;
'crm_resource -M -r '*)
    echo "$h: $c" >>"$w/log"
    read -r _ _ _ resource _ to _ <<<"$c"
    moved "$(cat "$w/status/of.$resource")" "${to%.example}"
    ;;
'xl list '*)
    read -r _ _ guest _ <<<"$c"
    read -r at _ <"$w/at/$guest" && [ "$at" = "$h" ]
    ;;
*) echo "ssh was asked for: $c" >>"$w/strange"; exit 127 ;;
esac
FAKE
chmod +x "$work/bin/ssh"

header='Name                                        ID   Mem VCPUs	State	Time(s)'
# host NAME CPUS TOTAL_MIB FREE_MIB HW_CAPS: a host with nothing but dom0
host() {
    printf '%-23s: %s\n' host "$1.example" nr_cpus "$2" total_memory "$3" free_memory "$4" hw_caps "$5" \
        >"$work/hosts/$1.info"
    echo "$4" >"$work/free/$1"
    local n
    for n in 0 1; do
        echo "$header" >"$work/hosts/$1.list$n"
        row "$1" $n Domain-0 0 1024 2 r----- $((100 + n))
    done
}
row() { # HOST WHICH_LIST NAME ID MIB VCPUS STATE SECONDS
    printf '%-40s %5d %5d %5d     %6s  %8.1f\n' "${@:3}" >>"$work/hosts/$1.list$2"
}
# cpu HOST VENDOR FEATURES: they are its usual ones; FEATURES as in JSON
cpu() {
    printf '{"type":"cpu","host":null,"vendor":"%s","usual":{"leaf":13,"subleaf":0,"extended_leaf":2147483656,"features":[%s]},"most":{"leaf":13,"subleaf":0,"extended_leaf":2147483656,"features":["itsc",%s]}}\n' \
        "$2" "$3" "$3" >"$work/hosts/$1.cpu"
}
ids=0
# guest HOST NAME MIB VCPUS PERCENT [STATE]: it uses PERCENT of one processor
guest() {
    ids=$((ids + 1))
    row "$1" 0 "$2" $ids "$3" "$4" "${6:--b----}" 1000
    row "$1" 1 "$2" $ids "$3" "$4" "${6:--b----}" "$(awk -v p="$5" 'BEGIN { print 1000 + 60 * p / 100 }')"
    [[ $2 == */* ]] || [ ${#2} -gt 64 ] || echo "$1 $3" >"$work/at/$2"
}
# Forget all hosts and what was done.
fresh() {
    rm -rf "$work"/{hosts,free,status,at}/* "$work/log" "$work/strange" "$work/state"
    ids=0
    touch "$work/log"
}

# plan ARGUMENTS: what it prints goes to $out, its notes to $err, its status to $rc
plan() {
    rm -f "$work"/hosts/*.asked
    PATH=$work/bin:$PATH "$PLAN" "$1" --interval 1 --state "$work/state" "${@:2}" >"$work/out" 2>"$work/err" </dev/null
    rc=$?
    out=$(cat "$work/out") err=$(cat "$work/err")
    [ ! -e "$work/strange" ] || fail "$*: $(cat "$work/strange")"
}
moves() { sed -n 's/^move \([^ ]*\) \([^ ]*\) -> \([^ ]*\) .*/\1 \2 \3/p' "$work/out"; }
