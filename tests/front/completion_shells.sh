#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What zsh, in a terminal of tmux's, and fish complete of an xl command line (bash: completion.sh). Domains and
# hosts are made up.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

top=$(cd "$(dirname "$0")/../.." && pwd)
t() { tmux -S "$work/tmux" -f /dev/null "$@"; }
trap 't kill-server 2>/dev/null; rm -rf "$work"' EXIT
fake "$work/bin/real" <<'EOS'
case $1 in
list)
    echo "Name ID Mem VCPUs State Time(s)"
    echo "Domain-0 0 640 1 r----- 1.0"
    echo "web1 3 128 1 -b---- 1.0"
    echo "web2 4 128 1 -b---- 1.0" ;;
help)
    printf 'Usage xl [-vfN] <subcommand> [args]\n\nxl full list of subcommands:\n\n'
    printf ' %-19s %s\n' unpause "Unpause a paused domain" migrate "Migrate a domain" ;;
*) exit 1 ;;
esac
EOS
ln -s "$XL" "$work/bin/xl"
mkdir "$work/.ssh" "$work/zsh"
printf '%s\n' 'host2,192.0.2.2 ssh-ed25519 AAAA' '|1|hashed ssh-ed25519 AAAA' 'host3 ssh-ed25519 AAAA' >"$work/.ssh/known_hosts"
echo >"$work/guest.cfg"
export PATH=$work/bin:$PATH XENFERRY_REAL_XL=$work/bin/real HOME=$work LC_ALL=C.UTF-8 XDG_CONFIG_HOME=$work/fish
export XDG_DATA_HOME=$work/fish XDG_CACHE_HOME=$work/fish
cd "$work" || exit 2
mine=$(bash -c '. "$1/completion/xenferry.bash"; echo $_xenferry_commands' bash "$top" | tr ' ' '\n' | sort)

# shellcheck disable=SC2016 # expanded by fish
# fish says what it would complete: words, a tab, and what they are.
completes() { # WANTED LINE
    same "fish: $2" "$1" "$(fish -c 'source $argv[1]; complete -C $argv[2]' -- "$top/completion/xenferry.fish" "$2" |
        cut -f1 | sort -u | tr '\n' ' ' | sed 's/ $//')"
}
completes "migrate-recover migrate-report" "xl migrate-re"
completes "unpause" "xl unp"
completes "web1 web2" "xl migrate web"
completes "web1 web2" "xl -v migrate --tcp web"
completes "host2 host3" "xl migrate web1 host"
completes "--max-downtime --max-rounds" "xl migrate --max-"
completes "--json" "xl migrate-status --j"
completes "guest.cfg" "xl create guest"
completes "guest.cfg" "xl migrate -C guest"
completes "" "xl guest"
# shellcheck disable=SC2016
same "fish: the commands" "$mine" "$(fish -c 'source $argv[1]; complete -C "xl "' -- "$top/completion/xenferry.fish" |
    cut -f1 | grep -v unpause | sort)"

cp "$top/completion/xenferry.zsh" "$work/zsh/_xl"
t new-session -d -x 100 -y 40 "env -u TMUX ZDOTDIR=$work zsh -f -i" || fail "no terminal"
# shows WHAT TEXT: waits until a line of the screen, but for blanks at its end, is that
shows() {
    local i
    for ((i = 0; i < 600; i++)); do
        ! t capture-pane -p -t 0 | grep -qE "^$2 *\$" || return 0
        sleep 0.1
    done
    fail "zsh: $1: no line '$2' on: $(t capture-pane -p -t 0)"
}
line() { # TYPED SHOWN: what stands below it, or what it has become
    t send-keys -t 0 C-u C-l
    shows "cleared" '\$'
    t send-keys -t 0 -l "$1"
    t send-keys -t 0 Tab
    shows "$1" "$2"
}
t send-keys -t 0 -l "PS1='\$ ' fpath=($work/zsh \$fpath); autoload -Uz compinit; compinit -u -d $work/dump"
t send-keys -t 0 Enter
shows "started" '\$'
line "xl migrate-re" "migrate-recover +migrate-report"
line "xl unp" '\$ xl unpause'
line "xl migrate web" "web1 +web2"
line "xl -v migrate --tcp web" "web1 +web2"
line "xl migrate web1 host" "host2 +host3"
line "xl migrate --max-" "--max-downtime +--max-rounds"
line "xl migrate-status --j" '\$ xl migrate-status --json'
line "xl create gue" '\$ xl create guest.cfg'
line "xl migrate -C gue" '\$ xl migrate -C guest.cfg'
for cmd in $mine; do
    [ "$cmd" = migrate ] || line "xl ${cmd%?}" "\\\$ xl $cmd"
done
finish
