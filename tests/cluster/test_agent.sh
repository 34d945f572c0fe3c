#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The agent's actions, one by one, for every status of xl migrate and every state of a domain: what
# it calls, what it returns, and that it never destroys a domain whose pages may be needed. Its xl is
# made up; what Pacemaker makes of the results is test_policy.sh's.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 2
agent=$PWD/cluster/Guest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
mkdir "$work/bin" "$work/lib"
echo 'builder = "xl"' >"$work/g1.cfg"

# What the agent uses of resource-agents' functions.
cat >"$work/lib/ocf-shellfuncs" <<'END'
OCF_SUCCESS=0 OCF_ERR_GENERIC=1 OCF_ERR_UNIMPLEMENTED=3 OCF_ERR_INSTALLED=5 OCF_ERR_CONFIGURED=6
OCF_NOT_RUNNING=7
ocf_exit_reason() { echo "reason: $*" >&2; }
ocf_is_probe() { [ "${OCF_RESKEY_CRM_meta_interval:-0}" = 0 ]; }
check_binary() { command -v "$1" >/dev/null || exit $OCF_ERR_INSTALLED; }
END
# The domain is the file `state`; STATUS_migrate and so on what a command ends with, AFTER_migrate
# the state that it leaves. A state is a column of xl list, or absent, or broken.
cat >"$work/bin/xl" <<'END'
#!/bin/bash
cd "$(dirname "$0")/.." || exit 9
state=$(cat state)
what=$1
[[ " $* " != *" --resume "* ]] || what=resume
what=${what//-/_}
if [ "$1" = list ]; then
    # As time goes by: the next state of those that are listed.
    [ ! -s later ] || { head -n 1 later >state; sed -i 1d later; }
    case $state in
    absent) echo "$2 is an invalid domain identifier (rc=-6)" >&2; exit 1 ;;
    broken) echo "libxl: error: cannot open the privileged command interface" >&2; exit 1 ;;
    esac
    printf 'Name                                        ID   Mem VCPUs\tState\tTime(s)\n'
    printf '%-40s %5d %5d %5d     %6s %8.1f\n' "$2" 3 128 1 "$state" 12.5
    exit
fi
if [ "$1" = migrate-status ]; then
    [ -e moving ] || exit 1
    echo '{"type":"status","role":"source","domain":"'"$3"'"}'
    exit
fi
echo "$*" >>calls
status=STATUS_$what after=AFTER_$what
if [ "$1" = migrate-wait ]; then rm -f moving; fi
[ -z "${!after-}" ] || echo "${!after}" >state
exit "${!status:-0}"
END
chmod +x "$work/bin/xl"

# act ACTION STATE [VARIABLE=...]: runs it; sets rc, calls, said.
act() {
    local action=$1
    echo "$2" >"$work/state"
    shift 2
    : >"$work/calls"
    rc=0
    env PATH="$work/bin:$PATH" OCF_FUNCTIONS_DIR="$work/lib" OCF_RESOURCE_INSTANCE=g1 \
        OCF_RESKEY_config="$work/g1.cfg" OCF_RESKEY_CRM_meta_migrate_target=xen2 "$@" \
        "$agent" "$action" >"$work/out" 2>"$work/err" || rc=$?
    rm -f "$work/moving" "$work/later"
    calls=$(tr '\n' ';' <"$work/calls")
    said=$(sed -n 's/^reason: //p' "$work/err")
}
# want WHAT STATUS CALLS [WORDS]
want() {
    [ "$rc" = "$2" ] || { bad=1; echo "FAIL: $1: status $rc, not $2: $(cat "$work/err")"; }
    [ "$calls" = "$3" ] || { bad=1; echo "FAIL: $1: called '$calls', not '$3'"; }
    [ $# -lt 4 ] || [[ $said == *"$4"* ]] || { bad=1; echo "FAIL: $1: says '$said'"; }
}
moving() { touch "$work/moving"; }
later() { printf '%s\n' "$@" >"$work/later"; }

runs=-b---- idle=------ paused=--p--- suspended=---ss- off=---s-- crashed=---sc- dying=--p--d
for s in $runs $idle $paused r-----; do
    act monitor "$s"
    want "monitor $s" 0 ""
done
act monitor absent; want "monitor absent" 7 ""
act monitor $off; want "monitor off" 7 ""
act monitor $crashed; want "monitor crashed" 7 ""
act monitor broken; want "probe, xl broken" 1 "" "does not say"
act monitor broken OCF_RESKEY_CRM_meta_interval=30000; want "monitor, xl broken" 190 "" "does not say"
later absent absent $runs
act monitor ---sr- OCF_RESKEY_CRM_meta_interval=30000; want "monitor while it reboots" 0 ""
moving; act monitor $suspended; want "monitor while it leaves" 7 ""
act monitor $suspended; want "monitor left suspended" 1 "" "xl migrate-recover g1"

act start absent AFTER_create=$runs; want start 0 "create $work/g1.cfg name=\"g1\";"
act start absent STATUS_create=1; want "start fails" 1 "create $work/g1.cfg name=\"g1\";"
act start absent OCF_RESKEY_name=web; want "start by name" 0 "create $work/g1.cfg name=\"web\";"
act start $runs; want "start, runs" 0 ""
act start broken; want "start, xl broken" 1 "" "does not say"
act start $suspended; want "start, suspended" 0 "migrate-recover --resume g1;"
act start $suspended STATUS_resume=1; want "start, runs elsewhere" 1 "migrate-recover --resume g1;" "suspended here"
act start absent OCF_RESKEY_config=/nowhere; want "start without file" 5 "" "cannot be read"
act start absent OCF_RESKEY_config=; want "start without config" 6 "" "config is not set"
act start absent OCF_RESKEY_shutdown_timeout=1m; want "not a number" 6 "" "number of seconds"

stop="shutdown -F g1;"
act stop absent; want "stop absent" 0 ""
act stop $runs AFTER_shutdown=absent; want stop 0 "$stop"
act stop $runs AFTER_shutdown=absent OCF_RESKEY_config=/nowhere; want "stop without file" 0 "$stop"
act stop $runs OCF_RESKEY_shutdown_timeout=1 AFTER_destroy=absent; want "stop by force" 0 "${stop}destroy g1;"
act stop $runs OCF_RESKEY_CRM_meta_timeout=2000 AFTER_destroy=absent; want "stop in time" 0 "${stop}destroy g1;"
act stop $dying AFTER_destroy=absent; want "stop dying" 0 "destroy g1;"
act stop broken; want "stop, xl broken" 1 "" "does not say"
# A suspended domain: the move first.
rest="migrate-wait g1;" recover="migrate-recover --quiet g1;"
moving; act stop $suspended AFTER_migrate_wait=absent; want "stop in PULL" 0 "$rest"
act stop $suspended AFTER_migrate_recover=absent; want "stop, mover dead" 0 "$rest$recover"
for s in 1 5 7; do
    act stop $suspended STATUS_migrate_recover=$s
    want "stop, recover $s" 1 "$rest$recover" "may be needed elsewhere"
done
act stop $suspended STATUS_migrate_recover=6 AFTER_resume=$runs AFTER_shutdown=absent
want "stop, runs nowhere" 0 "$rest${recover}migrate-recover --resume g1;$stop"

to="migrate --no-wait --quiet g1 xen2;"
act migrate_to $runs AFTER_migrate=absent; want "migrate_to" 0 "$to"
act migrate_to $runs AFTER_migrate=$suspended AFTER_migrate_wait=absent; want "migrate_to, PULL" 0 "$to$rest"
act migrate_to $runs AFTER_migrate=$suspended STATUS_migrate_wait=7; want "migrate_to, mover killed" 0 "$to$rest"
act migrate_to $runs AFTER_migrate=absent OCF_RESKEY_migrate_options="--precopy --rdma"
want "migrate_to with options" 0 "migrate --no-wait --quiet --precopy --rdma g1 xen2;"
act migrate_to $runs AFTER_migrate=absent STATUS_migrate=9; want "migrate_to, without its PCI device" 0 "$to"
for s in 1 3 4 143; do
    act migrate_to $runs STATUS_migrate=$s
    want "migrate_to, status $s" 1 "$to" "runs on here (status $s"
done
act migrate_to $runs STATUS_migrate=6 AFTER_migrate=$suspended AFTER_resume=$runs
want "migrate_to, status 6" 1 "${to}migrate-recover --resume g1;" "runs on here (status 6"
act migrate_to $runs STATUS_migrate=8 AFTER_migrate=absent
want "migrate_to, it ends" 1 "$to" "has ended while it was moved"
act migrate_to $runs STATUS_migrate=8
want "migrate_to, it reboots" 1 "$to" "runs on here (status 8"
for s in 5 7; do
    act migrate_to $runs STATUS_migrate=$s AFTER_migrate=$suspended AFTER_migrate_recover=absent
    want "migrate_to, status $s, recovered" 0 "$to$recover"
    act migrate_to $runs STATUS_migrate=$s AFTER_migrate=$suspended STATUS_migrate_recover=$s
    want "migrate_to, status $s" 1 "$to$recover" "xl migrate-recover g1 here"
    act migrate_to $runs STATUS_migrate=$s AFTER_migrate=$suspended STATUS_migrate_recover=6 AFTER_resume=$runs
    want "migrate_to, status $s, runs nowhere" 1 "$to${recover}migrate-recover --resume g1;" "runs on here"
done

act migrate_from $runs; want migrate_from 0 ""
act migrate_from absent; want "migrate_from, absent" 1 "" "has not arrived"
act validate-all absent; want validate 0 ""
act promote $runs; want unknown 3 ""
act meta-data absent; want meta-data 0 ""
xmllint --noout --nonet "$work/out" 2>"$work/err" || { bad=1; echo "FAIL: meta-data: $(cat "$work/err")"; }

[ $bad = 0 ] && echo passed
exit $bad
