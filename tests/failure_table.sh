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

rows=$(sed -n '/^## Where a failure leaves/,/^### /s/^| //p' "$design" | sed 1d)
[ "$(wc -l <<<"$rows")" -gt 30 ] || bad "the table of failures is not where it is looked for"
while IFS= read -r row; do
    grep -qE '`[^`]*test_[a-z_]+|`tests/|`[a-z-]+\.sh`|lab `' <<<"$row" || bad "no test: ${row%%|*}"
    # A test, and its cases in quotes.
    while IFS=$'\t' read -r test cases; do
        file=$(find tests -name "${test%.c}.c")
        [ -n "$file" ] || { bad "no such test: $test" && continue; }
        while IFS= read -r case; do
            [ -z "$case" ] || grep -qF "$case" "$file" || bad "$test has no case \"$case\""
        done < <(grep -oE '"[^"]+"' <<<"$cases" | tr -d '"')
    done < <(grep -oE '`(tests/[a-z]+/)?test_[a-z_]+(\.c)?`( \(("[^"]+"(, )?)+\))?' <<<"$row" |
        sed -E 's/^`(tests\/[a-z]+\/)?([a-z_]+(\.c)?)`/\2\t/')
    for test in $(grep -oE 'lab `[a-z-]+`' <<<"$row" | tr -d '`' | cut -d' ' -f2); do
        [ -e "tests/lab/t/$test.sh" ] || bad "no such lab test: $test"
    done
done <<<"$rows"
exit $wrong
