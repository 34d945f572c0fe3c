#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What bash completes of an xl command line. Domains and hosts are made up.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/real" <<'EOS'
[ "$1" = list ] || exit 1
echo "Name ID Mem VCPUs State Time(s)"
echo "Domain-0 0 640 1 r----- 1.0"
echo "web1 3 128 1 -b---- 1.0"
echo "web2 4 128 1 -b---- 1.0"
EOS
ln -s "$XL" "$work/bin/xl"
mkdir "$work/.ssh"
printf '%s\n' 'host2,192.0.2.2 ssh-ed25519 AAAA' '|1|hashed ssh-ed25519 AAAA' 'host3 ssh-ed25519 AAAA' >"$work/.ssh/known_hosts"
export PATH=$work/bin:$PATH XENFERRY_REAL_XL=$work/bin/real HOME=$work
# shellcheck source=completion/xenferry.bash
. "$(dirname "$0")/../../completion/xenferry.bash"
# The distribution's.
_xl() { [ "$COMP_CWORD" != 1 ] || mapfile -t COMPREPLY < <(compgen -W 'list unpause' -- "$2"); }

completes() { # WANTED WORDS...: the last is what is completed
    local wanted=$1
    shift
    COMP_WORDS=(xl "$@") COMP_CWORD=$#
    _xenferry
    same "xl $*" "$wanted" "${COMPREPLY[*]}"
}

completes "migrate-recover migrate-report" migrate-re
completes "unpause" unp
completes "web1 web2" migrate web
completes "web1 web2" -v migrate --tcp web
completes "host2 host3" migrate web1 host
completes "--max-downtime --max-rounds" migrate --max-
completes "--json" migrate-status --j
completes "" list web
for cmd in $_xenferry_commands; do
    COMP_WORDS=(xl "$cmd" -) COMP_CWORD=2
    _xenferry
    [[ " ${COMPREPLY[*]} " == *" --help "* ]] || fail "$cmd has no --help: ${COMPREPLY[*]}"
done
# None of our commands is missing.
known=$(sed -n 's/^    {"\([a-z-]*\)", cmd_.*/\1/p' "$(dirname "$0")/../../tools/xl.c" | grep -v receive | sort)
same "the commands" "$known" "$(tr -s ' \n' '\n' <<<"$_xenferry_commands" | sort)"
finish
