#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every sentence in which the source accuses its peer (EPROTO, EBADMSG) is spelled out in a test,
# which has provoked it: of each the longest piece without a conversion is looked for, the remedy
# behind it left out. A new one without a test fails here.
set -u

cd "$(dirname "$0")/.." || exit 1
sources=(precopy/copy*.c precopy/{leave,sender,switch,state_link}.c postcopy/server*.c postcopy/rejoin.c transport/link.c
    libxl-ext/peer/{agree,bootstrap,hello,hello_in}.c libxl-ext/source/{recover,move*}.c
    disks/{relay,verify}.c)
# What no peer can bring about; each with its reason.
never=(
    "the destination took more than it was sent" # nothing is read while nothing is on its way
)
# What takes a whole host, in tests/lab/t.
lab=("has no Xenferry")
failed=0 found=0

# The longest piece of the first string of each such call.
sentences() { # FILE
    tr -s '\n\t ' ' ' <"$1" | grep -oE 'xf_fail(_peer)?\(([^;"]|"([^"\\]|\\.)*")*;' |
        grep -E '(EPROTO|EBADMSG|EPROTONOSUPPORT),' | sed -E 's/([^\\])" "/\1/g; s/^[^"]*"(([^"\\]|\\.)*)".*/\1/' |
        awk '{ sub(/[;:] .*/, ""); n = split($0, p, /%[-0-9.*]*l*[a-z]/); best = p[1]
               for (i = 2; i <= n; i++) if (length(p[i]) > length(best)) best = p[i]
               print best }'
}

is_tested() { # PIECE
    local s
    for s in "${never[@]}"; do
        [ "$s" != "$1" ] || return 0
    done
    for s in "${lab[@]}"; do
        case $1 in *"$s"*) grep -rqF -- "$s" tests/lab/t && return ;; esac
    done
    grep -rqF --include='*.c' -- "$(sed -E 's/^[ (]+//; s/[ (]+$//' <<<"$1")" tests/unit tests/procguest tests/conformance
}

for f in "${sources[@]}"; do
    while IFS= read -r s; do
        case $s in "the source"*) continue ;; esac # the destination's, of the source
        found=$((found + 1))
        is_tested "$s" || {
            echo "$f accuses its peer, and no test says so: $s"
            failed=$((failed + 1))
        }
    done < <(sentences "$f")
done
echo "$found sentences, $failed without a test"
[ $found -ge 20 ] && [ $failed = 0 ]
