#compdef xl
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of xl in zsh: Xenferry's sub-commands, their options as each says them itself, running
# domains and hosts; of the distribution's xl, which has none for zsh, the sub-commands.

local cmd=${${words[2,CURRENT-1]:#-*}[1]}
local -a found
case $cmd in
'')
    found=(migrate migrate-recover migrate-status migrate-report migrate-postcopy migrate-wait migrate-cancel
        migrate-drain migrate-cpu disk-move ${(f)"$(xl help 2>/dev/null | sed -n 's/^ \([a-z][a-z-]*\).*/\1/p')"})
    _wanted commands expl command compadd -a found
    ;;
migrate | migrate-* | disk-move)
    if [[ $PREFIX == -* ]]; then
        found=(${(f)"$(xl $cmd --help 2>/dev/null | grep -oE '(^|[ [])--?[a-zA-Z][a-z-]*' | tr -d '[ ')"})
        _wanted options expl option compadd -a found
    else
        found=(${(f)"$(xl list 2>/dev/null | awk 'NR > 1 && $1 != "Domain-0" { print $1 }')"})
        _alternative 'domains:domain:compadd -a found' 'hosts:host:_hosts' 'files:file:_files'
    fi
    ;;
*) _default ;;
esac
