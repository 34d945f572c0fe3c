# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of xl in fish: Xenferry's sub-commands, their options as each says them itself, running
# domains and hosts; of the distribution's xl, which has none for fish, the sub-commands.

function __xenferry_command # the sub-command, once it is there
    for word in (commandline -opc)[2..]
        string match -q -- '-*' $word; or begin
            echo $word
            return
        end
    end
    return 1
end

function __xenferry_ours
    string match -qr '^(migrate(-.*)?|disk-move)$' -- (__xenferry_command)
end

function __xenferry_words
    if not set -l cmd (__xenferry_command)
        string split ' ' 'migrate migrate-recover migrate-status migrate-report migrate-postcopy migrate-wait migrate-cancel migrate-drain migrate-cpu disk-move'
        xl help 2>/dev/null | string match -rg '^ ([a-z][a-z-]*)'
    else if string match -q -- '-*' (commandline -ct)
        xl $cmd --help 2>/dev/null | string match -rag '(?:^|[ [])(--?[a-zA-Z][a-z-]*)'
    else
        xl list 2>/dev/null | awk 'NR > 1 && $1 != "Domain-0" { print $1 }'
        __fish_print_hostnames
    end
end

complete -c xl -n 'not __xenferry_command; or __xenferry_ours' -a '(__xenferry_words)'
complete -c xl -n 'not __xenferry_command' -f
