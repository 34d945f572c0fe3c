# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# How far something is that takes minutes. On a terminal one line that is rewritten each second,
# for all steps that run on it side by side; elsewhere a line every 20 seconds. What a step took
# last time is kept beside the caches, and tells how much of it is over.
#
#   progress_begin NAME [LOG [SINCE]]     a step begins, or did at SINCE (EPOCHSECONDS)
#   progress_end NAME [failed]            it has ended; how long it took is kept unless it failed
#   progress_mark N/M WHAT                printed by the step itself, into its LOG
#   progress_wait NAME LOG PID [SINCE]    begin, wait for a child, end; its status
#
# A step belongs to the shell that began it: when that is gone nothing more is shown.

PROGRESS_DIR=${XENFERRY_CACHE:-/var/cache/xenferry}/progress
PROGRESS_EVERY=${PROGRESS_EVERY:-20}

progress_on_terminal() { [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; }

# Before anything else is said on a terminal; a line that is being rewritten comes back by itself.
progress_clear() { ! progress_on_terminal || printf '\r\033[K' >&2; }

progress_mark() { printf '@@ %s %s\n' "$1" "${*:2}"; }

progress_took() { # NAME: the file that has the seconds
    printf '%s/%s.took\n' "$PROGRESS_DIR" "${1//[^a-zA-Z0-9.-]/_}"
}

progress_text() { # NAME BEGIN LOG
    local name=$1 now=$((EPOCHSECONDS - $2)) last='' mark=''
    read -r last 2>/dev/null <"$(progress_took "$name")" || true
    case $last in '' | *[!0-9]* | 0) last='' ;; esac
    # Its last mark, or what a step within it said last in this way.
    [ -z "$3" ] || mark=$(sed -n 's/^@@ //p; /^[^:]*: [0-9]* s/p' "$3" 2>/dev/null | tail -n 1)
    if [ -z "$last" ]; then
        printf '%s: %d s' "$name" $now
    elif [ $now -le "$last" ]; then
        printf '%s: %d s of about %d, %d %%' "$name" $now "$last" $((now * 100 / last))
    else
        printf '%s: %d s, longer than last time (%d)' "$name" $now "$last"
    fi
    printf '%s\n' "${mark:+, $mark}"
}

# The terminal's line: every step that runs on it, each as it has left its text.
progress_paint() { # SCREEN SPINNER
    local f pid text line=''
    for f in "$PROGRESS_DIR/$1".*.now; do
        read -r pid text 2>/dev/null <"$f" || continue
        if progress_alive "$pid"; then
            line+="${line:+ | }$text"
        else
            rm -f "$f"
        fi
    done
    line="$2 $line"
    printf '\r\033[K%s' "${line:0:$((${COLUMNS:-80} - 1))}" >&2
}

# One that has ended and that nobody has waited for yet (state Z) is gone.
progress_alive() { # PID
    local stat
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    case ${stat##*) } in Z* | X*) return 1 ;; esac
}

progress_loop() { # NAME BEGIN LOG OWNER
    local name=$1 turn=0 spin="|/-\\" screen='' mine=''
    if progress_on_terminal; then
        screen=$(readlink "/proc/$BASHPID/fd/2")
        screen=${screen//\//_}
        mine="$PROGRESS_DIR/$screen.${name//[^a-zA-Z0-9.-]/_}.now"
        COLUMNS=$(stty size <&2 2>/dev/null | cut -d' ' -f2) || true
        exec 7>"$PROGRESS_DIR/$screen.lock"
    fi
    while progress_alive "$4"; do
        if [ -n "$screen" ]; then
            echo "$BASHPID $(progress_text "$name" "$2" "$3")" >"$mine"
            # Who has the lock paints for all; it is free when that one's step has ended.
            ! flock -n 7 || progress_paint "$screen" "${spin:$((turn % 4)):1}"
        elif [ $turn != 0 ] && [ $(((turn - 1) % PROGRESS_EVERY)) = 0 ]; then
            progress_text "$name" "$2" "$3" >&2
        fi
        turn=$((turn + 1))
        sleep 1
    done
}

progress_begin() { # NAME [LOG [SINCE]]
    mkdir -p "$PROGRESS_DIR" 2>/dev/null && [ -w "$PROGRESS_DIR" ] || return 0
    # 8 and 9 are lock descriptors of the lab; whoever reads our output does not wait for this.
    local owner=$BASHPID since=${3:-$EPOCHSECONDS} # in the background both would be others
    progress_loop "$1" "$since" "${2-}" "$owner" </dev/null >/dev/null 8>&- 9>&- &
    printf '%s %s\n' $! "$since" >"$PROGRESS_DIR/$BASHPID.${1//[^a-zA-Z0-9.-]/_}.step"
}

progress_end() { # NAME [failed]
    local step=$PROGRESS_DIR/$BASHPID.${1//[^a-zA-Z0-9.-]/_}.step pid begun
    read -r pid begun 2>/dev/null <"$step" || return 0
    rm -f "$step"
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    progress_clear
    [ "${2-}" != failed ] || return 0
    printf '%s\n' $((EPOCHSECONDS - begun)) >"$(progress_took "$1")"
}

progress_wait() { # NAME LOG PID [SINCE]
    local rc=0
    progress_begin "$1" "$2" "${4-}"
    wait "$3" || rc=$?
    progress_end "$1" "$([ $rc = 0 ] || echo failed)"
    return $rc
}
