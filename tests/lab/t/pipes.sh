#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The bootstrap over other pipes than ssh, a stock source that meets our receiver, and the
# stream that we feed to the stock one, read by Xen's own checker.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a piped --mem 128 --fill 24 --rate 100 --ip 113 --disk vdb

case_begin "Ganeti's way: socat at both ends"
on b "setsid socat TCP-LISTEN:7777,reuseaddr SYSTEM:'xl migrate-receive' \
    </dev/null >/tmp/socat.log 2>&1 &"
until_true 20 on b "ss -ltn | grep -q ':7777 '" || bad "socat does not listen"
if timeout 240 "$here/../lab" ssh a \
    "xl migrate --$transport -s 'socat - TCP:${address[b]}:7777 #' $guest hostb" \
    >"$work/out" 2>&1 </dev/null; then
    intact b
    empty a
else
    bad "status not 0: $(tail -n 3 "$work/out"); $(on b 'cat /tmp/socat.log')"
fi
case_end

case_begin "a rune of one's own (-s ''), and verify-stream-v2"
if timeout 240 "$here/../lab" ssh b "xl migrate --$transport -s '' $guest \
    'ssh ${address[a]} env XENFERRY_RECORD_STREAM=/tmp/stream xl migrate-receive'" \
    >"$work/out" 2>&1 </dev/null; then
    intact a
    on a "PYTHONPATH=\$(echo /usr/lib/xen-4.*/lib/python) python3 \
        /usr/lib/xen-4.*/bin/verify-stream-v2 -f xl -v -i /tmp/stream" >"$work/verify" 2>&1 ||
        bad "verify-stream-v2: $(tail -n 2 "$work/verify")"
    grep -q 'HVM context' "$work/verify" || bad "it saw no HVM context: $(tail -n 2 "$work/verify")"
else
    bad "status not 0: $(tail -n 3 "$work/out")"
fi
case_end

case_begin "a stock source and our receiver"
if timeout 400 "$here/../lab" ssh a "/usr/sbin/xl migrate $guest ${address[b]}" \
    >"$work/out" 2>&1 </dev/null; then
    intact b
else
    bad "status not 0: $(tail -n 3 "$work/out")"
fi
case_end

case_begin "our source and a stock command line, by configuration"
on b "printf '%s' '<xenferry><migrate transport=\"${transport#transport=}\"/></xenferry>' >/etc/xen/xenferry.xml"
if timeout 240 "$here/../lab" ssh b "xl migrate $guest ${address[a]}" >"$work/out" 2>&1 \
    </dev/null; then
    intact a
    grep -q 'moved to' "$work/out" || bad "that was not ours: $(tail -n 3 "$work/out")"
else
    bad "status not 0: $(tail -n 3 "$work/out")"
fi
on b "rm /etc/xen/xenferry.xml"
case_end
finish
