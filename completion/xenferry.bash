# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of xl in bash: Xenferry's sub-commands, their options as each says them itself, running
# domains and hosts. What is not Xenferry's is left to the completion of the distribution's xl.

_xenferry_commands='migrate migrate-recover migrate-status migrate-report migrate-postcopy migrate-wait
    migrate-cancel migrate-drain migrate-cpu disk-move'
_xenferry_stock=/usr/share/bash-completion/completions/xl

_xenferry_rest() { # the distribution's
    if ! declare -F _xl >/dev/null && [ -r $_xenferry_stock ]; then
        # shellcheck source=/dev/null
        . $_xenferry_stock
        complete -F _xenferry -o default xl # it has taken ours away
    fi
    ! declare -F _xl >/dev/null || _xl xl "${COMP_WORDS[COMP_CWORD]}"
}

_xenferry() {
    local cur=${COMP_WORDS[COMP_CWORD]} cmd='' i words
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || { cmd=${COMP_WORDS[i]}; break; }
    done
    case $cmd in
    '')
        _xenferry_rest
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$_xenferry_commands" -- "$cur")
        return
        ;;
    migrate | migrate-* | disk-move) ;;
    *)
        _xenferry_rest
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        words=$(xl "$cmd" --help 2>/dev/null | grep -oE '(^|[ [])--?[a-zA-Z][a-z-]*' | tr -d '[ ')
    else
        words=$(xl list 2>/dev/null | awk 'NR > 1 && $1 != "Domain-0" { print $1 }')
        # Hosts that are known by name.
        words+=" $(awk '$1 !~ /^[|@#]/ { sub(/,.*/, "", $1); print $1 }' ~/.ssh/known_hosts 2>/dev/null)"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur" | sort -u)
}

complete -F _xenferry -o default xl
