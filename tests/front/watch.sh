#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# migrate-status --watch in a terminal of tmux's: the table at several sizes, what ends it, and that
# the terminal is as before then; and in pipes.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/front/moves.bash
. "$(dirname "$0")/moves.bash"

t() { tmux -S "$work/tmux" -f /dev/null "$@"; }
trap 't kill-server 2>/dev/null; kill "${publishers[@]}" 2>/dev/null; rm -rf "$work"' EXIT
screen() { t capture-pane -p -t 0; }
# shows WHAT TEXT: waits until the screen has it
shows() {
    local i
    for ((i = 0; i < 600; i++)); do
        [[ $(screen) != *"$2"* ]] || return 0
        sleep 0.1
    done
    fail "$1: no '$2' on: $(screen)"
}
lacks() { # WHAT TEXT
    [[ $(screen) != *"$2"* ]] || fail "$1: '$2' on: $(screen)"
}
type_in() { t send-keys -t 0 "$@"; }
# fits WIDTH: no line reaches the last column
fits() {
    [ "$(screen | LC_ALL=C.UTF-8 wc -L)" -lt "$1" ] || fail "$1 columns: too wide: $(screen)"
}

# as_before WHAT: the screen that was there is back, and the terminal is set as it was
as_before() {
    shows "$1" "back 0"
    shows "$1" "before all this"
    same "$1: another screen" 0 "$(t display -p -t 0 '#{alternate_on}')"
    same "$1: the cursor" 1 "$(t display -p -t 0 '#{cursor_flag}')"
    same "$1: wrapping" 1 "$(t display -p -t 0 '#{wrap_flag}')"
    type_in "stty -a >$work/stty; echo d''one" Enter
    shows "$1" "done"
    contains "$1: settings" " icanon" "$(cat "$work/stty")"
    contains "$1: settings" " echo " "$(cat "$work/stty")"
}
begin() {
    type_in "clear; echo before all this; $XL migrate-status --watch; echo back \$?" Enter
}

move source-5.sock
move source-6.sock '"pid": 6, "domid": 6, "domain": "a-guest-with-a-long-name", "phase": "PULL"' \
    '"left_out": 5000, "missing": 1250, "dirty_pages_per_s": null'
move source-7.sock '"pid": 7, "domid": 7, "domain": "waiter", "phase": "CHECK", "round": 0' \
    '"waits_for": "2 moves are under way here, the limit is 2", "rate_bytes_per_s": null' \
    '"eta_s": null, "round_pages": null, "dirty_pages_per_s": null'
move destination-8.sock '"pid": 8, "domid": 8, "domain": "\u6771\u4eac\u00e4", "host": "host9"' \
    '"phase": "SKELETON", "rate_bytes_per_s": null, "eta_s": null, "dirty_pages_per_s": null'
LC_ALL=C.UTF-8 t -u new-session -d -x 80 -y 24 \
    "env PS1='> ' LC_ALL=C.UTF-8 XL=$XL bash --norc --noprofile -i"

begin
shows "80 columns" "DOMAIN       PEER         PHASE"
shows "80 columns" "4 moves, 1 waiting"
same "a move in COPY" \
    "web1         > host2      COPY 2   [##......]  25%  112 MiB  3.0 MiB     12.5 s" \
    "$(screen | grep web1)"
same "a move in PULL" \
    "a-guest-wit~ > host2      PULL     [######..]  75%  112 MiB              12.5 s" \
    "$(screen | grep a-guest)"
same "wide characters" "東京ä        < host9      SKELETON" "$(screen | grep host9 | sed 's/ *$//')"
shows "why it waits" "waiter waits: 2 moves are under way here, the limit is 2"
same "those that wait come last" waiter \
    "$(screen | grep -E '> |< ' | tail -n 1 | cut -d' ' -f1)"
same "it has a screen of its own" 1 "$(t display -p -t 0 '#{alternate_on}')"
same "without a cursor" 0 "$(t display -p -t 0 '#{cursor_flag}')"
lacks "its own screen" "before all this"
fits 80

# The state of a move changes, and another ends.
say_move source-5.sock '"round": 3, "round_done": 990'
shows "it goes on" "COPY 3   [#######.]  99%"
end_move source-6.sock
shows "one has ended" "3 moves, 1 waiting"
lacks "one has ended" "a-guest"

for size in 132x30 60x20 40x10 20x8 9x4; do
    t resize-window -t 0 -x "${size%x*}" -y "${size#*x}"
    case $size in
    132x30) shows "$size" "DOMAIN                        PEER" ;;
    60x20) shows "$size" "web1         > host2      COPY 3    99%  112 MiB     12.5 s" ;;
    40x10) shows "$size" "web1         COPY 3    99%     12.5 s" ;;
    20x8) shows "$size" "web1       COPY 3" ;;
    9x4) shows "$size" "and 2 m~" ;;
    esac
    fits "${size%x*}"
    same "$size: one title" 1 "$(screen | grep -c '^DOMAIN')"
done
t resize-window -t 0 -x 80 -y 24
shows "80 columns again" "[#######.]"
type_in q
as_before "q"

begin
shows "again" "DOMAIN"
type_in C-c
as_before "Ctrl-C"

begin
shows "again" "DOMAIN"
type_in C-z
shows "Ctrl-Z" "before all this"
same "Ctrl-Z: another screen" 0 "$(t display -p -t 0 '#{alternate_on}')"
type_in "fg" Enter
shows "it comes back" "DOMAIN"
# shellcheck disable=SC2009 # of this session only
kill "$(ps -o pid=,args= --ppid "$(t display -p -t 0 '#{pane_pid}')" | awk '/migrate-status/ { print $1; exit }')"
shows "SIGTERM" "before all this"
same "SIGTERM: another screen" 0 "$(t display -p -t 0 '#{alternate_on}')"

# A terminal that cannot show more than ASCII, and one that is none.
type_in "clear; LC_ALL=C $XL migrate-status --watch" Enter
shows "ASCII" "???          < host9"
type_in q
type_in "clear; TERM=dumb $XL migrate-status --watch" Enter
shows "a dumb terminal" "web1 to host2: COPY round 3  99%  112 MiB/s  dirty 3.0 MiB/s  ETA 12.5 s"
type_in C-c

# --- pipes ---
say_move source-5.sock
mapfile -t lines < <("$XL" migrate-status --watch web1 | head -n 1)
same "a pipe" "web1 to host2: COPY round 2  25%  112 MiB/s  dirty 3.0 MiB/s  ETA 12.5 s" "${lines[0]}"
"$XL" migrate-status --watch web1 >"$work/out" &
watcher=$!
until grep -q 'round 2' "$work/out"; do sleep 0.1; done
say_move source-5.sock '"phase": "SWITCH"'
until grep -q 'SWITCH' "$work/out"; do sleep 0.1; done
end_move source-5.sock
wait $watcher
same "the move has ended: status" 0 $?
same "no escapes" 0 "$(grep -c $'\033' "$work/out")"
out=$("$XL" migrate-status --watch --json waiter | head -n 2 | jq -r .waits_for | sort -u)
same "JSON" "2 moves are under way here, the limit is 2" "$out"
"$XL" migrate-status --watch nobody >"$work/out" 2>"$work/err"
same "no such move: status" 1 $?
contains "no such move" 'no move of a domain "nobody"' "$(cat "$work/err")"
finish
