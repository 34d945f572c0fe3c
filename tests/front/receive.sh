#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `xl migrate-receive` for a stock source: the real xl behind the front behaves to the byte
# as it does alone, over pipes and sockets. Of our own source: that it hears why it is not served.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

banner='xl migration receiver ready, send binary domain data.'
# Greets as xl does, keeps what comes in, answers with bytes of every kind.
fake "$work/bin/xl" <<EOS
printf '%s\n' "\$@" >$work/words
echo "migration target: Ready to receive domain." >&2
[ -z "\${FAKE_SILENT:-}" ] || exit 3
printf '%s\n' "\${FAKE_BANNER:-$banner}"
cat >$work/received
cat $work/answer
[ -z "\${FAKE_SIGNAL:-}" ] || kill -"\$FAKE_SIGNAL" \$\$
exit "\${FAKE_STATUS:-0}"
EOS
export PATH=$work/bin:$PATH

{
    printf 'Xen saved domain, xl format\n \0 \r'
    head -c 700000 /dev/urandom
} >"$work/stream"
{
    printf 'domain received, ready to unpause\0%s\n' "$banner" # a second banner is content
    head -c 200000 /dev/urandom
} >"$work/answer"
{
    echo "$banner"
    cat "$work/answer"
} >"$work/wanted"

check_bytes() {
    cmp "$work/stream" "$work/received" || fail "$1: what the real xl received"
    cmp "$work/wanted" "$work/out" || fail "$1: what the source received"
    rm -f "$work/received" "$work/out"
}

# Pipes.
# shellcheck disable=SC2002
cat "$work/stream" | "$XL" -v migrate-receive -e -p 2>"$work/err" | cat >"$work/out"
same "pipe: exit status" "0 0 0" "${PIPESTATUS[*]}"
check_bytes pipe
same "pipe: words" "-v migrate-receive -e -p" "$(tr '\n' ' ' <"$work/words" | sed 's/ $//')"
same "pipe: stderr" "migration target: Ready to receive domain." "$(cat "$work/err")"

# A source that waits for the banner, as every real one does, and sends byte by byte.
mkfifo "$work/to" "$work/from"
"$XL" migrate-receive <"$work/to" >"$work/from" 2>/dev/null &
pid=$!
exec 7>"$work/to" 8<"$work/from"
read -r -t 30 line <&8 || fail "no banner"
same "banner" "$banner" "$line"
for ((i = 0; i < 32; i++)); do
    dd if="$work/stream" bs=1 skip=$i count=1 status=none >&7
done
tail -c +33 "$work/stream" >&7
exec 7>&-
{ echo "$banner"; cat <&8; } >"$work/out"
wait $pid || fail "waiting source: exit status"
check_bytes "waiting source"
exec 8<&-

# Sockets, as sshd and socat give them: the same one for input and output.
socat -t 30 EXEC:"$XL migrate-receive" STDIO <"$work/stream" >"$work/out" 2>/dev/null
check_bytes "one socket"

# The same over TCP.
"$(command -v socat)" -t 30 TCP-LISTEN:0,bind=127.0.0.1 EXEC:"$XL migrate-receive",nofork \
    2>"$work/err" &
pid=$!
for ((i = 0; i < 100; i++)); do
    port=$(ss -Hltnp 2>/dev/null | sed -n "s/.*127\.0\.0\.1:\([0-9]*\) .*pid=$pid,.*/\1/p")
    [ -z "$port" ] || break
    sleep 0.1
done
if [ -n "${port:-}" ]; then
    socat -t 30 STDIO "TCP:127.0.0.1:$port" <"$work/stream" >"$work/out"
    wait $pid
    check_bytes "TCP"
else
    kill $pid
    fail "socat does not listen"
fi

# Exit statuses and signals are the real xl's.
for status in 0 1 2 255; do
    FAKE_STATUS=$status "$XL" migrate-receive < <(cat "$work/stream") >"$work/out" 2>/dev/null
    same "exit status" $status $?
done
for signal in TERM KILL INT SEGV PIPE; do
    FAKE_SIGNAL=$signal "$XL" migrate-receive < <(cat "$work/stream") >"$work/out" 2>/dev/null
    rc=$?
    same "signal $signal" $((128 + $(kill -l $signal))) $rc
done

# A real xl that says something else, or nothing, is passed on as it is after our banner.
FAKE_SILENT=1 "$XL" migrate-receive < <(cat "$work/stream") >"$work/out" 2>/dev/null
same "silent: exit status" 3 $?
same "silent: output" "$banner" "$(cat "$work/out")"
: >"$work/answer"
FAKE_BANNER='xl migration receiver is not ready' "$XL" migrate-receive < <(cat "$work/stream") >"$work/out"  2>/dev/null
same "other words" "$banner
xl migration receiver is not ready" "$(cat "$work/out")"
FAKE_BANNER='xl migration' "$XL" migrate-receive < <(cat "$work/stream") >"$work/out" 2>/dev/null
same "half a banner" "$banner
xl migration" "$(cat "$work/out")"

# A source that goes away before it says anything.
"$XL" migrate-receive < <(:) >"$work/out" 2>/dev/null
same "no source: exit status" 0 $?
same "no source: input" "" "$(cat "$work/received")"

# Signals are passed on; the answer's status comes back.
fake "$work/bin/xl" <<EOS
trap 'echo \$1 >$work/signalled; exit 9' TERM
trap 'echo HUP >$work/signalled; exit 8' HUP
trap 'echo INT >$work/signalled; exit 7' INT
printf '%s\n' '$banner'
echo up >$work/up
while :; do sleep 0.05; done
EOS
for signal in TERM HUP INT; do
    rm -f "$work/up" "$work/signalled"
    # INT is ignored in background jobs unless reset.
    env --default-signal=INT "$XL" migrate-receive < <(printf 'Xen saved'; sleep 30 >/dev/null) >"$work/out" 2>/dev/null &
    pid=$!
    for ((i = 0; i < 300; i++)); do [ ! -e "$work/up" ] || break; sleep 0.1; done
    kill -$signal $pid
    wait $pid
    rc=$?
    case $signal in TERM) want=9 ;; HUP) want=8 ;; *) want=7 ;; esac
    same "signal $signal passed on" $want $rc
    [ -e "$work/signalled" ] || fail "signal $signal did not arrive"
done

# Children left behind with the output open (QEMU, daemons) do not keep us.
fake "$work/bin/xl" <<EOS
printf '%s\nlast words' '$banner'
sleep 60 &
echo \$! >$work/left
exit 5
EOS
begin=$SECONDS
"$XL" migrate-receive < <(printf 'Xen saved') >"$work/out" 2>/dev/null
same "left behind: exit status" 5 $?
[ $((SECONDS - begin)) -lt 30 ] || fail "waited for a child left behind"
same "left behind: output" "$banner
last words" "$(cat "$work/out")"
kill "$(cat "$work/left")"

# The real xl closes its input: the source must see that, as it would without us.
fake "$work/bin/xl" <<EOS
printf '%s\n' '$banner'
exec <&-
sleep 2
exit 0
EOS
"$XL" migrate-receive < <(head -c 10000000 /dev/zero; echo "status $?" >"$work/source") >"$work/out" 2>/dev/null
same "input closed: exit status" 0 $?
for ((i = 0; i < 100; i++)); do [ ! -s "$work/source" ] || break; sleep 0.1; done
same "input closed: source" "status 141" "$(cat "$work/source")"

# What only the real xl understands, and what is no stream, is its own from the start.
fake "$work/bin/xl" <<'EOS'
echo "real $*"
EOS
for words in -r --colo "--coloft-script x" --userspace-colo-proxy -z --help "-e word"; do
    # shellcheck disable=SC2086
    same "$words" "real migrate-receive $words" "$("$XL" migrate-receive $words </dev/null | cat)"
    # shellcheck disable=SC2086
    same "$words" "real migrate-receive $words" "$(echo | "$XL" migrate-receive $words)"
done
same "a file" "real migrate-receive" "$("$XL" migrate-receive <"$work/stream")"
same "/dev/null" "real migrate-receive" "$("$XL" migrate-receive </dev/null)"

# Our own source is told why it cannot be served, in a reply: never left to guess from a closed
# pipe. (That the sink cannot be started, or dies: tests/unit/test_receiver.c, test_receivers.c.)
hello=$(
    printf '{"version":1,"domain":"web1","uuid":"2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11","boot_id":"",'
    printf '"key":"%064d","channels":2,"transport":"tcp","encrypt":true,"seal":false,' 0
    printf '"rdma_buffer_mib":0,"rdma":{"state":"unasked","why":"","addresses":[]},'
    printf '"leave_paused":false,"check_only":true,"need_kib":1,"xen_major":4,"xen_minor":17,'
    printf '"cpuid":"","msrs":""}'
)
greeting() { # LENGTH: of the hello that is announced
    printf '%-26s' 'Xenferry move, protocol 1
'
    head -c 38 /dev/zero
    # shellcheck disable=SC2059 # the number is the format
    printf "\\x$(printf %02x $(($1 & 255)))\\x$(printf %02x $(($1 >> 8)))\\0\\0"
}
# not_served WHAT WORDS COMMAND...: the reply is one refusal, with these words.
not_served() {
    local what=$1 words=$2
    shift 2
    # The source stays until it has its answer, as ours does.
    { greeting ${#hello}; printf %s "$hello"; sleep 2; } | "$@" >"$work/out" 2>"$work/err"
    same "$what: exit status" 1 "${PIPESTATUS[1]}"
    same "$what: banner" "$banner" "$(head -n 1 "$work/out")"
    tail -c +$((${#banner} + 1 + 1 + 4)) "$work/out" >"$work/reply"
    same "$what: refusals" '1 2 receiver' \
        "$(jq -r '"\(.findings | length) \(.findings[0].severity) \(.findings[0].code)"' "$work/reply")"
    contains "$what" "the destination cannot receive: " "$(jq -r '.findings[0].text' "$work/reply")"
    contains "$what" "$words" "$(jq -r '.findings[0].text' "$work/reply")"
    contains "$what: said here, too" "$words" "$(cat "$work/err")"
}
export XENFERRY_RUN_DIR=$work/run
printf '<xenferry>\n<receive><port>ssh</port></receive></xenferry>' >"$work/broken.xml"
XENFERRY_CONFIG=$work/broken.xml not_served "broken configuration" "$work/broken.xml:2: " \
    "$XL" migrate-receive
if [ ! -e /dev/xen/privcmd ] && [ ! -e /proc/xen/privcmd ]; then
    not_served "no Xen" "cannot talk to Xen; is it a dom0" "$XL" migrate-receive
fi
# Whoever else runs it: the same answer, not silence.
cp "$XL" "$work/xl" && chmod 755 "$work" "$work/xl" "$work/bin"
nobody=()
[ "$(id -u)" != 0 ] || nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
not_served "not root" "is the receiver root?" "${nobody[@]}" "$work/xl" migrate-receive
unset XENFERRY_RUN_DIR

# No real xl: said before the source is greeted.
out=$(echo | XENFERRY_REAL_XL=/nowhere "$XL" migrate-receive 2>"$work/err")
same "no real xl: exit status" 1 $?
same "no real xl: no greeting" "" "$out"
contains "no real xl" "XENFERRY_REAL_XL is /nowhere" "$(cat "$work/err")"
finish
