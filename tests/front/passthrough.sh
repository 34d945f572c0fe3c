#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Whatever is not ours reaches the real xl byte for byte: words, input, output, errors,
# exit status, death by signal, process id, environment.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

# A compiled stand-in sees argv[0] and the environment as they are; a script would not.
cat >"$work/real.c" <<'EOC'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv)
{
    const char *end = getenv("FAKE_END");
    for (int i = 0; i < argc; i++) {
        fwrite(argv[i], 1, strlen(argv[i]), stdout);
        putchar(0);
    }
    if (getenv("FAKE_ENV"))
        for (char **e = environ; *e; e++)
            printf("%s\n", *e);
    if (getenv("FAKE_PID"))
        printf("%d\n", (int)getpid());
    if (getenv("FAKE_SIGNALS")) {
        struct sigaction sa;
        sigset_t mask;
        for (int s = 1; s < 32; s++)
            if (!sigaction(s, NULL, &sa) && sa.sa_handler != SIG_DFL)
                printf("%d\n", s);
        sigprocmask(0, NULL, &mask);
        for (int s = 1; s < 32; s++)
            if (sigismember(&mask, s))
                printf("m%d\n", s);
    }
    if (getenv("FAKE_CAT"))
        for (int c; (c = getchar()) != EOF;)
            putchar(c);
    fprintf(stderr, "to stderr\n");
    fflush(stdout);
    if (end && *end == 's')
        raise(atoi(end + 1));
    return end ? atoi(end) : 0;
}
EOC
cc -o "$work/bin/xl" "$work/real.c" || exit 1
real=$work/bin/xl
export PATH=$work/bin:$PATH

# both NAME WORDS...: run the stand-in and the front alike, compare everything
both() {
    local name=$1 rc_real rc_front
    shift
    (exec -a xl "$real" "$@") <"$work/in" >"$work/out1" 2>"$work/err1"
    rc_real=$?
    "$XL" "$@" <"$work/in" >"$work/out2" 2>"$work/err2"
    rc_front=$?
    same "$name: exit status" $rc_real $rc_front
    cmp "$work/out1" "$work/out2" || fail "$name: output"
    cmp "$work/err1" "$work/err2" || fail "$name: stderr"
}
head -c 300000 /dev/urandom >"$work/in"

both "no words"
both "a sub-command" list
# shellcheck disable=SC2016
both "words with blanks and worse" create "a b" '' "$(printf 'new\nline')" '*' '$HOME' "quo'te\"" $'\xff\xfe'
both "global options" -vvv -t -T list -l
both "an unknown global option" -x list
both "--help" --help
both "help" help migrate
both "dry run" -N create x
both "reading a guest's memory" save g1 /file
FAKE_SIGNALS=1 both "reading a guest's memory, signals" dump-core g1 /file
both "end of options" -- list
both "a sub-command like ours" migrate-receiver
both "an abbreviation" migr
both "stock migrate" migrate g1 host2
both "stock migrate, all its options" -v migrate -s "ssh -p 22" -C "/a b/c" -e -p -D --debug --live g1 host2
both "stock migrate, wrong" migrate -z
both "stock migrate, nothing" migrate
both "stock migrate, our option as a value" migrate -C --tcp g1 host2
FAKE_CAT=1 both "input" list
for status in 0 1 2 77 255; do
    FAKE_END=$status both "exit status $status" destroy g1
done
for signal in 9 15 11 2 6 13; do
    FAKE_END=s$signal both "signal $signal" list
done 2>/dev/null
FAKE_SIGNALS=1 both "signals" list
(
    trap '' PIPE TERM
    FAKE_SIGNALS=1 both "ignored signals" list
    exit $bad
) || bad=1

# --stock is taken out, nothing else.
out=$("$XL" migrate -e --stock g1 host2 2>/dev/null | tr '\0' '|')
same "--stock" "xl|migrate|-e|g1|host2|" "$out"
out=$("$XL" migrate g1 host2 --st 2>/dev/null | tr '\0' '|')
same "--stock, abbreviated" "xl|migrate|g1|host2|" "$out"

# The environment is the same but for the loop guard.
environment() {
    FAKE_ENV=1 "$1" list 2>/dev/null | tr '\0' '\n' | grep '=' | grep -v '^_=' | sort
}
same "environment" "$(environment "$real" && echo XENFERRY_DEPTH=1)" \
    "$(environment "$XL" | grep -v DEPTH; environment "$XL" | grep DEPTH)"

# It is the same process, so whoever holds our pid holds the real xl's.
FAKE_PID=1 "$XL" list >"$work/pid" 2>/dev/null &
pid=$!
wait $pid
same "process id" $pid "$(tr '\0' '\n' <"$work/pid" | tail -n 1)"

# A bare migrate follows the configuration.
cat >"$work/tcp.xml" <<'EOX'
<xenferry><migrate transport="stock"/></xenferry>
EOX
XENFERRY_CONFIG=$work/tcp.xml both "configured stock" migrate g1 host2
echo '<xenferry><oops/></xenferry>' >"$work/bad.xml"
out=$(XENFERRY_CONFIG=$work/bad.xml "$XL" migrate g1 host2 2>&1)
same "broken configuration: exit status" 1 $?
contains "broken configuration" "bad.xml:1: " "$out"
out=$(XENFERRY_CONFIG=$work/bad.xml "$XL" migrate --stock g1 host2 2>/dev/null | tr '\0' '|')
same "broken configuration, --stock" "xl|migrate|g1|host2|" "$out"
XENFERRY_CONFIG=$work/bad.xml both "broken configuration, other commands" list
finish
