#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Pages about moves in a real browser, from a file and without a network: what it draws stays within
# its drawing and the window, no text covers another, colours are found, and it prints. Compared by
# texts and boxes (probe.js), not by pixels.
# Status 77, with the reason: there is no browser here (see `browser`).
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/../front/lib.bash"
here=$(cd "$(dirname "$0")" && pwd)

"$here/browser" root >/dev/null || exit
mkdir "$work/page"
chmod 755 "$work" "$work/page"
long=WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW
python3 "$here/reports.py" web1 | "$XL" migrate-report "$work/page/one.html" || fail "one.html"
python3 "$here/reports.py" "$long" web1 "東京 <script>alert(1)</script>" g4 |
    "$XL" migrate-report "$work/page/many.html" || fail "many.html"

# A copy with the probe: the page's own rule allows no script, and so not this one.
for page in one many; do
    python3 - "$work/page/$page.html" "$here/probe.js" >"$work/page/$page-probe.html" <<'EOP'
import re
import sys

page, probe = (open(name, encoding="utf-8").read() for name in sys.argv[1:])
page, n = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
assert n == 1 and page.count("</body>") == 1
print(page.replace("</body>", "<script>" + probe + "</script></body>"))
EOP
done

# look PAGE WIDTH: what the probe says of it, in $seen
look() {
    "$here/browser" run "$work/page" --window-size="$2,1200" --dump-dom "file:///page/$1.html" \
        >"$work/dom" 2>"$work/err" || fail "$1: status $?: $(tail -n 3 "$work/err")"
    seen=$(sed -n '/<pre id="probe">/,/<\/pre>/p' "$work/dom" | sed '1d;$d')
    [ -n "$seen" ] || fail "$1, $2 wide: no answer: $(head -c 300 "$work/dom")"
    same "$1, $2 wide: faults" "" "$(grep -E '^(outside|covered|black|broken)' <<<"$seen")"
    awk '$1 == "page" && $2 > $3 { exit 1 }' <<<"$seen" || fail "$1: wider than the window: $seen"
}

for width in 1000 500; do
    look one-probe $width
    same "one, $width wide: drawings" 6 "$(grep -c ^svg <<<"$seen")"
    contains "one, $width wide" "heading web1 to host2: moved" "$seen"
done
look many-probe 1000
contains "many" "heading 4 moves, 3 of them done" "$seen"
contains "many" "svg When each move ran" "$seen"
contains "a name with markup" "heading 東京 &lt;script&gt;alert(1)&lt;/script&gt; to host2: stayed" "$seen"

# As it is, with its rule: it is drawn all the same.
"$here/browser" run "$work/page" --dump-dom file:///page/one.html >"$work/dom" 2>"$work/err" ||
    fail "one.html: status $?"
contains "as it is" 'aria-label="Faults by latency"' "$(cat "$work/dom")"
"$here/browser" run "$work/page" --no-pdf-header-footer --print-to-pdf=/page/one.pdf \
    file:///page/one.html >/dev/null 2>"$work/err" || fail "printing: status $?"
same "printed" "%PDF-" "$(head -c 5 "$work/page/one.pdf")"
pages=$(grep -ac '/Type */Page\b' "$work/page/one.pdf")
((pages >= 1 && pages <= 6)) || fail "printed on $pages pages"
finish
