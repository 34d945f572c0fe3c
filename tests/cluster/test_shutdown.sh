#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A host without a cluster shuts down: a real systemd, in namespaces of its own and with few units,
# among them service/xenferry-drain.service.in. The guests leave before what comes after it stops; a drain
# that takes too long is told to begin no more, and its moves are not killed. The other units and xl are
# made up, and write what happens into a log.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 2
top=$PWD
systemd=/lib/systemd/systemd

skip() { # WHY: status 77, and the reason as the last line
    echo "$*"
    exit 77
}
fail() {
    echo "FAIL: $*"
    bad=1
}

# --- inside: this process becomes the first of a machine ---
if [ "${1-}" = boot ]; then # DIR
    mount -t proc -o nosuid,nodev,noexec proc /proc || exit
    # Of this machine nothing is to be changed.
    mount --bind -o ro /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys || exit
    mount -t tmpfs tmpfs /run && mkdir /run/lock || exit
    mount -t cgroup2 cgroup /sys/fs/cgroup || exit
    hostname shutdown
    exec env -i container=test SYSTEMD_UNIT_PATH="$2/units" "PATH=$PATH" $systemd --system \
        --show-status=no --log-target=console --log-level=notice
fi

[ "$(id -u)" = 0 ] || skip "needs root"
[ -x $systemd ] || skip "no systemd here"
tree=/sys/fs/cgroup
[ -e $tree/cgroup.procs ] || tree=/sys/fs/cgroup/unified
[ -w $tree/cgroup.procs ] || skip "no cgroup of version 2 here"
unshare --mount --net --uts --ipc --pid --cgroup --fork true 2>/dev/null || skip "no namespaces here"

bad=0
work=$(mktemp -d)
group=$tree/xenferry-shutdown-$$
# shellcheck disable=SC2317 # by the trap
clean() {
    local i
    # Its processes have ended with its first one.
    for ((i = 0; i < 100; i++)); do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -e "$group" ] || break
        sleep 0.1
    done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 143' TERM INT
mkdir "$group" || exit

# unit NAME LINES: a service that is up until it is stopped
unit() {
    {
        printf '[Unit]\n%s\n[Service]\nType=oneshot\nRemainAfterExit=yes\n' "${2-}"
        printf 'ExecStart=/bin/sh -c "echo %s starts >>%s/log"\n' "$1" "$work"
        printf 'ExecStop=/bin/sh -c "echo %s stops >>%s/log"\n' "$1" "$work"
    } >"$work/units/$1.service"
}
units() { # [LINES for the drain's own section]
    local name
    rm -rf "$work/units"
    mkdir -p "$work/units/xenferry-drain.service.d"
    for name in basic sysinit shutdown umount final poweroff network-online remote-fs; do
        cp "/lib/systemd/system/$name.target" "$work/units/" || exit
    done
    cp /lib/systemd/system/systemd-poweroff.service "$work/units/" || exit
    sed "s|@SBINDIR@|$work|; s|/etc/default/|$work/|" "$top/service/xenferry-drain.service.in" \
        >"$work/units/xenferry-drain.service"
    # There is no Xen here.
    printf '[Unit]\nConditionPathExists=\n[Service]\n%s\n' "${1-}" >"$work/units/xenferry-drain.service.d/test.conf"
    unit xenstored
    unit xendomains "After=xenstored.service"
    cat >"$work/units/default.target" <<END
[Unit]
Requires=xenferry-drain.service xendomains.service xenstored.service ready.service
END
    # When all is up.
    cat >"$work/units/ready.service" <<END
[Unit]
After=xenferry-drain.service xendomains.service xenstored.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "echo ready >>$work/log"
END
}

# A drain whose mover, a process of its own, writes its end. With `slow` it goes on until the drain is told
# to begin no more.
echo 'DRAIN_OPTIONS="--to host2 host3"' >"$work/xenferry-drain"
cat >"$work/xl" <<END
#!/bin/bash
cd $work
trap 'echo told >>log; touch told' TERM
echo "xl \$*" >>log
(
    trap 'echo killed >>log' TERM INT HUP
    until [ ! -e slow ] || [ -e told ]; do sleep 0.1; done
    echo "moved" >>log
) &
until wait \$!; do :; done
wait
echo "xl ends" >>log
END
chmod +x "$work/xl"

# Starts that machine, and shuts it down when it is up; its log in $log.
shutdown() {
    local runner pid end
    rm -f "$work/log" "$work/told"
    # shellcheck disable=SC2016 # expanded there
    bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' _ "$group" \
        unshare --mount --net --uts --ipc --pid --cgroup --fork --kill-child \
        bash "$0" boot "$work" >"$work/console" 2>&1 </dev/null &
    runner=$!
    end=$((SECONDS + 240))
    until grep -q ready "$work/log" 2>/dev/null || ! kill -0 $runner 2>/dev/null || [ $SECONDS -ge $end ]; do
        sleep 0.2
    done
    pid=$(cat "/proc/$runner/task/$runner/children")
    # What a power button does: SIGRTMIN+4.
    # shellcheck disable=SC2086 # one number and a space
    [ -z "$pid" ] || kill -RTMIN+4 ${pid% }
    until ! kill -0 $runner 2>/dev/null; do
        [ $SECONDS -lt $end ] || {
            fail "it does not shut down"
            kill -KILL $runner
        }
        sleep 0.2
    done
    wait $runner
    log=$(sed -n '/^ready/,$p' "$work/log" | sed 1d | paste -sd ';')
}
check() { # WHAT LOG
    [ "$log" = "$2" ] && return
    fail "$1: '$log', not '$2'"
    cat "$work/log" "$work/console"
}

units
shutdown
check "a shutdown" "xl migrate-drain --to host2 host3;moved;xl ends;xendomains stops;xenstored stops"

touch "$work/slow"
units "TimeoutStopSec=10"
shutdown
check "one that takes long" "xl migrate-drain --to host2 host3;told;moved;xl ends;xendomains stops;xenstored stops"
[ $bad = 0 ] && echo passed
exit $bad
