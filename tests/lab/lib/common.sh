# SPDX-License-Identifier: LGPL-2.1-or-later
# What every part of the lab shares: where things are, how to say what went
# wrong, and pids that are checked before they are used. Sourced by `lab`.

SUITE=${LAB_SUITE:-bookworm} # LAB_SUITE: of_suite, for a builder
CACHE=${XENFERRY_CACHE:-/var/cache/xenferry}
STATE=${XENFERRY_LAB_STATE:-/run/xenferry-lab}
MAX_SECONDS=${XENFERRY_LAB_MAX:-3600}
NS=${XENFERRY_LAB_NS:-xflab}
READY=$STATE/selftest-passed # tests check for this file before they start

say() {
    progress_clear
    printf 'lab: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# Seconds since boot with hundredths, for "took" lines.
now() { cut -d' ' -f1 /proc/uptime; }
took() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

# of_suite SUITE CMD...: a function that asks $SUITE, and the builders that it starts.
of_suite() {
    local -x LAB_SUITE=$1
    local SUITE=$1
    shift
    "$@"
}

suite_ok() {
    case ${1-} in
    bookworm | trixie) ;;
    *) die "a suite is bookworm or trixie, not '${1-}'" ;;
    esac
}

# What this machine runs itself.
own_suite() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

# Of a host that is up; a lab of before there were suites has one.
suite_of() { cat "$STATE/suite.$1" 2>/dev/null || echo bookworm; } # HOST

# Each suite's items have a name of their own, so that pruning one keeps the other's.
of_name() { [ "$SUITE" = bookworm ] && printf '%s\n' "$1" || printf '%s-%s\n' "$1" "$SUITE"; } # NAME

# The release of Xen that a suite has.
xen_release() {
    case $SUITE in
    bookworm) echo 4.17 ;;
    trixie) echo 4.20 ;;
    esac
}

need_root() { [ "$(id -u)" = 0 ] || die "must run as root"; }

host_ok() {
    case ${1-} in
    a | b) ;;
    *) die "host is 'a' or 'b', not '${1-}'" ;;
    esac
}

# The Debian mirror this machine itself uses, else the public one.
mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 2>/dev/null |
        awk -v s="$SUITE" '$2 == s && $3 == "main" { print $1; exit }')
    printf '%s\n' "${uri:-http://deb.debian.org/debian}"
}

# pid_save NAME PID: remember PID with its start time, so that a recycled
# number is never taken for ours.
pid_save() {
    printf '%s %s\n' "$2" "$(pid_start "$2")" >"$STATE/pid.$1"
}

pid_start() {
    # Field 22 of stat, counted after the command's closing parenthesis. One that has ended and
    # that nobody has waited for yet (state Z) runs no more.
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 !~ /[ZX]/ { print $20 }' || true
}

# pid_of NAME: prints the pid if that very process still runs.
pid_of() {
    local pid start
    read -r pid start 2>/dev/null <"$STATE/pid.$1" || return 1
    [ -n "$start" ] && [ "$(pid_start "$pid")" = "$start" ] || return 1
    printf '%s\n' "$pid"
}

# pid_kill NAME [SIGNAL]: end it and wait until it is gone.
pid_kill() {
    local pid i
    if pid=$(pid_of "$1"); then
        kill "-${2:-TERM}" "$pid" 2>/dev/null || true
        for i in $(seq 100); do
            pid_of "$1" >/dev/null || break
            [ "$i" = 50 ] && kill -KILL "$pid" 2>/dev/null
            sleep 0.05
        done
    fi
    rm -f "$STATE/pid.$1"
}

# Run detached from our terminal and descriptors; the pid goes to NAME.
# spawn NAME LOGFILE CMD...
spawn() {
    local name=$1 log=$2
    shift 2
    # 8 and 9 are lock descriptors: a daemon must not keep them.
    setsid "$@" </dev/null >"$log" 2>&1 8>&- 9>&- &
    pid_save "$name" $!
}

# retry SECONDS CMD...: until CMD succeeds or the time is over.
retry() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

in_ns() { ip netns exec "$NS" "$@"; }
