# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# shellcheck disable=SC2016,SC2154 # programs of awk; what xenferry-plan sets
#
# Of xenferry-plan: carrying the plan out.

AT_ONCE=4 # moves in flight; the hosts' own limits apply below that

# One move, by Pacemaker if the guest is its resource; status as of xl migrate.
move() { # NAME RESOURCE FROM TO NODE
    if [ "$2" = - ]; then
        on "$3" "xl migrate --quiet $1 $4"
    else
        # --wait returns when Pacemaker has nothing left to do, whatever came of it.
        on "$3" "crm_resource -M -r $2 -N $5 -u PT10M && crm_resource --wait --timeout=3600s" &&
            on "$4" "xl list $1 >/dev/null"
    fi
}

step() { # LINE of the plan
    sed -n "$1p" "$work/steps" >"$work/step"
    IFS=$tab read -r name resource from to node <"$work/step"
}

begin() { # LINE of the plan
    step "$1"
    say "$name: $from -> $to"
    # Not the lock: ssh may leave a process behind that serves further connections.
    {
        trap '' INT HUP
        move "$name" "$resource" "$from" "$to" "$node" 9>&- 2>"$work/move.$1" >/dev/null
        printf '%s %s\n' "$1" $? >&3
    } &
    flying=$((flying + 1))
}

# Waits until a move has ended: its line and status in `ended` and `status`.
await() {
    # A signal may interrupt the reading.
    until read -r ended status <&3; do :; done
    flying=$((flying - 1))
    step "$ended"
    case $status in
    0)
        say "$name runs at $to"
        printf '%s %s\n' "$(date +%s)" "$name" >>"$state/moved"
        ;;
    *) say "$name: status $status: $(tail -n 1 "$work/move.$ended" | cut -c 1-300)" ;;
    esac
}

# In the plan's order, AT_ONCE at a time. What was refused, perhaps for memory that another guest still
# holds, is tried again when one has left, as long as any does.
act() {
    tabs '
        part == "hosts" { host[$1] = $9; node[$1] = $7; next }
        part == "guests" { name[$1] = $8; resource[$1] = $7; next }
        { print name[$1], resource[$1], host[$2], host[$3], node[$3] }
        ' part=hosts "$work/hosts" part=guests "$work/guests" part=plan "$work/plan" >"$work/steps"
    flying=0 failed=0 waiting='' stop=no
    mkfifo "$work/ended"
    exec 3<>"$work/ended"
    trap 'stop=yes; say "no further move is started; those under way end"' INT TERM HUP
    todo=$(seq "$(wc -l <"$work/steps")")
    # shellcheck disable=SC2086
    while set -- $todo && { [ $# -gt 0 ] && [ $stop = no ] || [ $flying -gt 0 ]; }; do
        if [ $# -gt 0 ] && [ $stop = no ] && [ $flying -lt $AT_ONCE ]; then
            begin "$1"
            shift
            todo=$*
            continue
        fi
        await
        case $status in
        0)
            todo="$waiting $todo"
            waiting=''
            ;;
        1) waiting="$waiting $ended" ;;
        *) failed=$((failed + 1)) ;;
        esac
    done
    # shellcheck disable=SC2086
    set -- $todo $waiting
    [ $((failed + $#)) = 0 ] || {
        say "$((failed + $#)) of $(wc -l <"$work/steps") moves did not take place"
        return 3
    }
}

begin_run() {
    mkdir -p "$state" || die "cannot make $state"
    exec 9>"$state/lock"
    flock -n 9 || die "another xenferry-plan --run is at work (it holds $state/lock)"
    # Only what counts is kept.
    if [ -e "$state/moved" ]; then
        tail -n 10000 "$state/moved" >"$state/moved.new" && mv "$state/moved.new" "$state/moved"
    fi
}
