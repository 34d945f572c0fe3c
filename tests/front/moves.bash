# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Made-up moves of this host, for tests of what shows them. Sourced after lib.bash.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2154 # work: lib.bash
export XENFERRY_RUN_DIR=$work/run
mkdir -m 700 "$work/run"
publishers=()
trap 'kill "${publishers[@]}" 2>/dev/null; rm -rf "$work"' EXIT

# say_move SOCKET MEMBERS...: what the move of this socket says from now on; members of its JSON
# replace those of a move in its second round.
say_move() {
    local socket=$1 role=source
    shift
    [[ $socket == source-* ]] || role=destination
    python3 - "$role" "$@" >"$work/$socket.json.new" <<'EOP'
import json
import sys

status = {"role": sys.argv[1], "pid": 4711, "xenferry": "0.9.0", "domain": "web1", "domid": 5,
          "host": "host2", "phase": "COPY", "round": 2, "round_pages": 1000, "round_done": 250,
          "pages_sent": 300000, "left_out": 0, "missing": 0, "faults": 0, "requested": 0,
          "fault_median_s": 0, "fault_p99_s": 0, "rate_bytes_per_s": 117440512,
          "dirty_pages_per_s": 768, "wire_bytes": 1234567890123, "eta_s": 12.5, "elapsed_s": 60.25,
          "age_s": 0.5, "no_switch": ""}
for member in sys.argv[2:]:
    status.update(json.loads("{" + member + "}"))
print(json.dumps(status, ensure_ascii=False))
EOP
    mv "$work/$socket.json.new" "$work/$socket.json"
}

# move SOCKET MEMBERS...: the same of a new one
move() {
    say_move "$@"
    python3 "$here/publish.py" "$work/run/$1" "$work/$1.json" &
    publishers+=($!)
    until [ -S "$work/run/$1" ]; do sleep 0.05; done
}

# end_move SOCKET
end_move() {
    rm -f "$work/run/$1"
}
