#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which build the installed xl executes: that for the Xen that runs; and that no call which the distribution's
# xl knows fails because of ours. Builds, hypervisor and real xl are made up in the directory that it runs in.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

choose=$(cd "$(dirname "$XL")" && pwd)/tests/front/choose
cd "$work" || exit 2
fake "$work/bin/xl" <<'EOS'
echo "stock $*"
EOS
PATH=$work/bin:/usr/bin:/bin
runs() { # RELEASE, or none
    rm -rf hypervisor
    [ "$1" = none ] || mkdir -p hypervisor/version
    [ "$1" = none ] || echo "${1%.*}" >hypervisor/version/major
    [ "$1" = none ] || echo "${1#*.}" >hypervisor/version/minor
}
build() { # RELEASE
    mkdir -p "builds/xen-$1"
    fake "builds/xen-$1/xl" <<EOS
echo "build $1 \$*"
EOS
}
is() { # WHAT WANTED WORDS...: the only line on standard output, and nothing on standard error
    local what=$1 wanted=$2 out
    shift 2
    out=$("$choose" "$@" 2>&1)
    same "$what: $*" "$wanted" "$out"
}
instead() { # WHAT SAYS WORDS...: the distribution's xl did it, and one line says why
    local what=$1 says=$2 out
    shift 2
    out=$("$choose" "$@" 2>err)
    same "$what: $*: status" 0 $?
    same "$what: $*" "stock $*" "$out"
    same "$what: $*: lines" 1 "$(wc -l <err)"
    contains "$what: $*" "$says" "$(cat err)"
    contains "$what: $*" "is used instead" "$(cat err)"
}

build 4.9
build 4.17
build 4.20
for release in 4.17 4.20; do
    runs $release
    is both "build $release migrate --tcp g1 h" migrate --tcp g1 h
    is both "build $release -v migrate-receive" -v migrate-receive
    is ours "build $release migrate-anything" migrate-anything
    is ours "build $release disk-move g1 xvda /x" disk-move g1 xvda /x
    is guarded "build $release unpause g1" unpause g1
    is guarded "build $release save -p g1 file" save -p g1 file
    for words in list "" "-v list" "--what" "create migrate" "migrated" "unpause" "save -p"; do
        # shellcheck disable=SC2086 # words
        is "not ours" "stock $words" $words
    done
done

# No Xen: there is no guest to guard, and the newest build answers for itself.
runs none
is "no Xen" "build 4.20 migrate --help" migrate --help
is "no Xen" "stock unpause g1" unpause g1
mkdir -p hypervisor/version
for text in "" x "4x" "-4" "99999"; do # no number
    echo 4 >hypervisor/version/major
    echo "$text" >hypervisor/version/minor
    is "minor '$text'" "stock unpause g1" unpause g1
done

# No build for this release; another one's is not taken.
runs 4.18
for words in "migrate g1 h" migrate-receive "save g1 f" "unpause g1" "resume g1"; do
    # shellcheck disable=SC2086 # words
    instead "no build" "Xenferry for Xen 4.18 is not installed here (in builds): install the package xenferry-4.18" $words
done
out=$("$choose" migrate-status 2>&1)
same "no build, ours: status" 1 $?
contains "no build, ours" "Xenferry for Xen 4.18 is not installed" "$out"
! grep -q stock <<<"$out" || fail "no build, ours: the real xl was asked"
mkdir -p builds/xen-4.18/xl # a directory
instead "a directory" "is not installed here" unpause g1
rm -r builds
runs none
out=$("$choose" migrate-status 2>&1)
same "nothing at all: status" 1 $?
instead "nothing at all" "of any release is not installed" migrate g1 h

# Libraries of Xen are gone: what the dynamic linker then does.
runs 4.20
build 4.20
fake builds/xen-4.20/xl <<'EOS'
echo "error while loading shared libraries" >&2
exit 127
EOS
for words in "migrate g1 h" migrate-receive "save g1 f" "unpause g1"; do
    # shellcheck disable=SC2086 # words
    instead "no libraries" "does not start, since libraries are missing: install those that \`ldd builds/" $words
done
echo '#!/nowhere/interpreter' >builds/xen-4.20/xl
instead "cannot be executed" "does not start" migrate g1 h

# The standard input is the real xl's, whatever was tried before.
fake bin/xl <<'EOS'
cat
EOS
same "standard input" "a stream" "$("$choose" migrate-receive 2>/dev/null <<<"a stream")"
# Nothing of Xen is linked.
! ldd "$choose" | grep -i xen || fail "it links libraries of Xen"
finish
