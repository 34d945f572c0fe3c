#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# migrate-status --metrics: text that follows the rules of OpenMetrics and of the format before it,
# with the right figures and whole names, and files that appear complete or not at all.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/front/moves.bash
. "$(dirname "$0")/moves.bash"

# metrics: the samples, one a line; fails if any rule is broken
metrics() {
    "$XL" migrate-status --metrics >"$work/out" || fail "status $?"
    python3 "$here/openmetrics.py" "$work/out" || fail "not OpenMetrics"
}
has() { # WHAT LINE
    grep -qxF -- "$2" <<<"$samples" || fail "$1: no line '$2' in: $samples"
}
lacks() { # WHAT WORD
    ! grep -qF -- "$2" <<<"$samples" || fail "$1: '$2' is there"
}

samples=$(metrics)
has "no move" 'xenferry_moves role=source 0'
has "no move" 'xenferry_ended_moves outcome=moved 0'
lacks "no move" xenferry_move_

move source-5.sock
of='domain=web1,peer=host2,pid=4711,role=source'
samples=$(metrics)
has "in COPY" 'xenferry_moves role=source 1'
has "in COPY" "xenferry_move_phase domain=web1,peer=host2,phase=COPY,pid=4711,role=source 1"
has "in COPY" "xenferry_move_elapsed_seconds $of 60.25"
has "in COPY" "xenferry_move_round $of 2"
has "in COPY" "xenferry_move_round_done_bytes $of 1024000"
has "in COPY" "xenferry_move_rate_bytes_per_second $of 117440512"
has "in COPY" "xenferry_move_dirty_bytes_per_second $of 3145728"
has "in COPY" "xenferry_move_memory_bytes_total $of 1228800000"
has "in COPY" "xenferry_move_wire_bytes_total $of 1234567890123"
has "in COPY" "xenferry_move_waiting $of 0"
lacks "in COPY" xenferry_move_missing
lacks "in COPY" quantile

# In PULL, at both ends; what is not known has no line.
say_move source-5.sock '"phase": "PULL", "left_out": 5000, "missing": 1200, "faults": 70' \
    '"requested": 30, "fault_median_s": 0.0004, "fault_p99_s": 0.002, "eta_s": null' \
    '"dirty_pages_per_s": null'
move destination-77.sock '"pid": 77, "domain": "db \"1\" \\ \u00e4", "host": "", "domid": null' \
    '"rate_bytes_per_s": null, "eta_s": null, "pages_sent": null, "phase": "SKELETON"' \
    '"wire_bytes": null, "dirty_pages_per_s": null'
samples=$(metrics)
has "in PULL" "xenferry_move_missing_bytes $of 4915200"
has "in PULL" "xenferry_move_faults_total $of 70"
has "in PULL" "xenferry_move_requested_faults_total $of 30"
has "in PULL" \
    "xenferry_move_fault_latency_seconds domain=web1,peer=host2,pid=4711,quantile=0.99,role=source 0.002"
lacks "in PULL" "xenferry_move_eta_seconds"
has "the other end" 'xenferry_move_elapsed_seconds domain=db "1" \ ä,peer=,pid=77,role=destination 60.25'
lacks "the other end" "xenferry_move_wire_bytes_total domain=db"
contains "escapes" 'domain="db \"1\" \\ ä"' "$(cat "$work/out")"

# One that waits, and a process that does not answer.
say_move source-5.sock '"phase": "CHECK", "waits_for": "2 moves are under way here, the limit is 2"'
echo nonsense >"$work/destination-77.sock.json"
samples=$(metrics)
has "waiting" "xenferry_move_waiting $of 1"
has "silent" 'xenferry_silent_processes - 1'

# Into a file: complete, readable, in place of an older one, and nothing beside it.
mkdir "$work/textfile"
echo old >"$work/textfile/xenferry.prom"
(umask 022 && cd "$work/textfile" && "$XL" migrate-status --metrics xenferry.prom) ||
    fail "to a file: status $?"
python3 "$here/openmetrics.py" "$work/textfile/xenferry.prom" >/dev/null || fail "the file"
same "its mode" 644 "$(stat -c %a "$work/textfile/xenferry.prom")"
same "its neighbours" xenferry.prom "$(ls -A "$work/textfile")"

# refused NAME PART WORDS...
refused() {
    local name=$1 part=$2
    shift 2
    out=$("$XL" migrate-status "$@" 2>"$work/err")
    same "$name: status" 1 $?
    same "$name: output" "" "$out"
    contains "$name" "$part" "$(cat "$work/err")"
    same "$name: one line" 1 "$(wc -l <"$work/err")"
}
refused "no such directory" "No such file or directory" --metrics "$work/none/x.prom"
refused "a directory" "not a regular file" --metrics "$work/textfile"
refused "a device" "not a regular file" --metrics /dev/null
refused "no name" "the file is empty" --metrics ""
refused "two files" "one file only" --metrics a b
refused "with JSON" "contradict each other" --metrics --json
refused "watching" "contradict each other" --watch --metrics
# A full disk: the older file stays.
if [ -w /dev/full ]; then
    "$XL" migrate-status --metrics >/dev/full 2>"$work/err" && fail "a full disk: status 0"
    contains "a full disk" "standard output" "$(cat "$work/err")"
fi
finish
