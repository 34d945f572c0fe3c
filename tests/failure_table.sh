#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# docs/design.md, "Where a failure leaves the guest": every row names a test, and every test
# that the documents name exists, with the case in quotes behind it.
#   failure_table.sh [DESIGN.md]
# shellcheck disable=SC2016 # backquotes of Markdown
set -eu -o pipefail
cd "$(dirname "$0")/.."
design=${1:-docs/design.md}
wrong=0
bad() {
    echo "$design: $*"
    wrong=1
}

# Where each test is; a process for each of them would take ten times as long as all the rest.
declare -A file_of
while IFS= read -r path; do
    name=${path##*/}
    file_of[${name%.c}]=$path
done < <(find tests -name 'test_*.c')

# A test that a row names: how it is written, and which part of it is the name.
in_c='`(tests/[a-z]+/)?(test_[a-z_]+)(\.c)?`( \((("[^"]+"(, )?)+)\))?'
in_lab='lab `([a-z-]+)`'
has_case='"([^"]+)"(.*)'

look_at_c() { # ROW
    local rest=$1 name cases
    while [[ $rest =~ $in_c ]]; do
        rest=${rest#*"${BASH_REMATCH[0]}"}
        name=${BASH_REMATCH[2]} cases=${BASH_REMATCH[5]}
        if [ -z "${file_of[$name]-}" ]; then
            bad "no such test: $name"
            continue
        fi
        while [[ $cases =~ $has_case ]]; do
            cases=${BASH_REMATCH[2]}
            grep -qF -- "${BASH_REMATCH[1]}" "${file_of[$name]}" ||
                bad "$name has no case \"${BASH_REMATCH[1]}\""
        done
    done
}
look_at_lab() { # ROW
    local rest=$1
    while [[ $rest =~ $in_lab ]]; do
        rest=${rest#*"${BASH_REMATCH[0]}"}
        [ -e "tests/lab/t/${BASH_REMATCH[1]}.sh" ] || bad "no such lab test: ${BASH_REMATCH[1]}"
    done
}

rows=$(sed -n '/^## Where a failure leaves/,/^### /s/^| //p' "$design" | sed 1d)
[ "$(wc -l <<<"$rows")" -gt 30 ] || bad "the table of failures is not where it is looked for"
any='`[^`]*test_[a-z_]+|`tests/|`[a-z-]+\.sh`|lab `'
while IFS= read -r row; do
    [[ $row =~ $any ]] || bad "no test: ${row%%|*}"
    look_at_c "$row"
    look_at_lab "$row"
done <<<"$rows"
exit $wrong
