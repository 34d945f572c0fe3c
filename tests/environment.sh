#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which variables of the environment the product reads: those that docs/environment.md lists, in the
# files that it names, and those for tests by xf_test_env() alone.
#   environment.sh [DIR]     the top of a checkout; default: this one
set -u -o pipefail
cd "${1:-$(dirname "$0")/..}" || exit 2
page=docs/environment.md
bad=0
say() {
    echo "$*" >&2
    bad=1
}

# "VARIABLE FILE" of each row of the table under a heading.
rows() { # HEADING
    awk -v heading="## $1" '
        /^## / { on = $0 == heading }
        on && /^\| `/ {
            split($0, cell, "|")
            n = split(cell[2], names, "`")
            m = split(cell[3], files, "`")
            for (i = 2; i <= n; i += 2)
                for (j = 2; j <= m; j += 2) print names[i], files[j]
        }' "$page"
}

# What the source reads by FUNCTION, as "VARIABLE FILE:LINE"; a macro becomes the string it names.
reads() { # FUNCTION
    local file line call name
    # `-o`: each of several in a line. Without an argument it is only spoken of.
    grep -rnoE "\\b$1\([^()]+\)" --include='*.[ch]' tools libxl-ext disks qmp precopy postcopy pages transport |
        while IFS=: read -r file line call; do
            name=${call#*\(}
            name=${name%\)}
            case $name in
            'const char *'*) continue ;; # its own declaration
            '"'*'"') name=${name:1:-1} ;;
            *[!A-Z0-9_]*) ;; # a variable of C's
            *)
                name=$(grep -rhoE --include='*.[ch]' "define $name \"[^\"]*\"" tools libxl-ext \
                    disks qmp precopy postcopy pages transport | sed 's/.*"\(.*\)"/\1/' | head -n 1)
                ;;
            esac
            printf '%s %s:%s\n' "${name:-?}" "$file" "$line"
        done
}

hold() { # HEADING FUNCTION
    local listed variable place seen=
    listed=$(rows "$1")
    while read -r variable place; do
        [ -n "$variable" ] || continue
        # The one place where a name is handed in.
        [ "$variable ${place%:*}" != "name transport/test_env.c" ] || continue
        seen+="$variable ${place%:*}"$'\n'
        grep -qxF -- "$variable ${place%:*}" <<<"$listed" ||
            say "$place: $2($variable): no such row in $page, \"$1\""
    done < <(reads "$2")
    while read -r variable place; do
        [ -n "$variable" ] || continue
        grep -qxF -- "$variable $place" <<<"$seen" ||
            say "$page: \"$1\": $place does not read $variable by $2()"
    done <<<"$listed"
}

[ -e "$page" ] || say "$page: there is none"
hold "For users" getenv
hold "For tests" xf_test_env
while IFS=: read -r file line _; do
    say "$file:$line: reads the environment in another way than getenv() and xf_test_env()"
done < <(grep -rnE '\b(secure_getenv\(|environ\b|envp\b)' --include='*.[ch]' tools libxl-ext disks qmp precopy \
    postcopy pages transport | grep -vE ':[[:space:]]*(/?\*|//)|environ(ment)?[^;({]*\*/')
exit $bad
