#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# migrate-report: which lines it takes, and what it refuses in one sentence without touching the file.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"
here=$(cd "$(dirname "$0")" && pwd)

python3 "$here/../browser/reports.py" web1 db1 >"$work/lines"
"$XL" migrate-report "$work/page.html" <"$work/lines"
same "two moves: status" 0 $?
contains "two moves" "<h1>2 moves, 2 of them done</h1>" "$(cat "$work/page.html")"
same "its end" "</html>" "$(tail -n 1 "$work/page.html" | tail -c 8)"
# The last line may lack its newline, and empty ones may be between.
printf '\n%s' "$(grep '"report"' "$work/lines" | head -n 1)" | "$XL" migrate-report "$work/page.html"
contains "one move" "<h1>web1 to host2: moved</h1>" "$(cat "$work/page.html")"
contains "--help" "Usage: xl migrate-report FILE" "$("$XL" migrate-report --help)"

# refused NAME PART WORDS... <LINES
refused() {
    local name=$1 part=$2 out
    shift 2
    echo old >"$work/old.html"
    out=$("$XL" migrate-report "$@" 2>"$work/err")
    same "$name: status" 1 $?
    same "$name: output" "" "$out"
    contains "$name" "$part" "$(cat "$work/err")"
    same "$name: one line" 1 "$(wc -l <"$work/err")"
    same "$name: the file" old "$(cat "$work/old.html")"
}
f=$work/old.html
refused "no report" "no report of a move" "$f" </dev/null
refused "only others" "no report of a move" "$f" <<<'{"type":"note","text":"x"}'
refused "no JSON" "line 2: a report is not JSON" "$f" <<<$'{"type":"note"}\nnonsense'
refused "a damaged one" "no valid field \"domain\"" "$f" <<<'{"type":"report"}'
refused "a long line" "too long" "$f" < <(head -c 200000 /dev/zero | tr '\0' x)
refused "no file" "name one file" </dev/null
refused "two files" "name one file" "$f" "$f" </dev/null
refused "an option" "no option '--html'" --html "$f" </dev/null
refused "a directory" "not a regular file" "$work" <"$work/lines"
same "nothing is left beside it" "bin err lines old.html page.html" "$(cd "$work" && echo *)"
same "nor hidden" "" "$(cd "$work" && find . -name '.?*')"
finish
