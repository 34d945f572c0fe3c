#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# service/xenferry-drain.service.in: its order at shutdown, that a move is never killed by it, and what
# systemd-analyze makes of it, if that is here.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unit=$work/xenferry-drain.service
failed=0
bad() {
    echo "$*"
    failed=1
}

sed "s|@SBINDIR@|$work|" service/xenferry-drain.service.in >"$unit"
printf '#!/bin/sh\n' >"$work/xl"
chmod +x "$work/xl"

# value KEY: of all its lines
value() { sed -n "s/^$1=//p" "$unit" | xargs; }
for before in xendomains.service xenstored.service network-online.target remote-fs.target; do
    [[ " $(value After) " == *" $before "* ]] || bad "does not start after $before, so it stops after it"
done
[ -z "$(value Before)" ] || bad "starts before $(value Before)"
[ "$(value ExecStart)" = "" ] || bad "does something when it starts"
[ "$(value KillMode) $(value SendSIGKILL)" = "process no" ] || bad "moves may be killed"
[ "$(value RemainAfterExit)" = yes ] || bad "it is not stopped at shutdown"
# What it calls is there.
read -r _ command _ <<<"$(value ExecStop)"
[ "$command" = migrate-drain ] || bad "runs xl $command"
grep -q "DRAIN_OPTIONS=" docs/xl-migrate-drain.1 || bad "the manual does not name its options"

if command -v systemd-analyze >/dev/null; then
    said=$(SYSTEMD_UNIT_PATH="$work:" systemd-analyze verify --man=no "$unit" 2>&1) || bad "systemd-analyze: $said"
    # Other units of this machine may be in disorder.
    ! grep xenferry <<<"$said" || bad "systemd-analyze complains"
    # A mistake is seen.
    sed -i 's/^Type=.*/Type=none/' "$unit"
    said=$(SYSTEMD_UNIT_PATH="$work:" systemd-analyze verify --man=no "$unit" 2>&1)
    grep -q xenferry <<<"$said" || bad "systemd-analyze sees no mistake"
fi
exit $failed
