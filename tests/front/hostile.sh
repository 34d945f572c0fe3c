#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the terminal is given: names of guests, hosts and files, and what another process has left,
# may hold anything; what is printed of them holds nothing that a terminal obeys.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOC'
:
EOC
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run
mkdir -m 700 "$work/run"

hostile=(
    $'A\e[31mB' $'A\e]0;title\aB' $'A\rB' $'A\x7fB' $'A\xc2\x9b31mB' $'A\x9b31mB' $'A\xe2\x80\xaeB'
    $'A\xe2\x81\xa6B' $'A\xe2\x80\x8bB' $'A\xe2\x80\xa8B' $'A\xd8\x9cB' $'A\xc0\xafB'
    $'A\xed\xa0\x80B' $'A\xf4\x90\x80\x80B' $'A\xffB'
)

# harmless WHAT FILE: nothing but printable ASCII and line ends
harmless() {
    ! LC_ALL=C grep -qP '[^\n -~]' "$2" || fail "$1: $(od -c "$2" | head -n 5)"
}

# says_it PART WORDS...: the words come back, cleaned, whatever the call does
says_it() {
    local part=$1
    shift
    "$XL" "$@" >"$work/out" 2>&1 </dev/null
    harmless "$*" "$work/out"
    grep -q "A.*B" "$work/out" || fail "$part: the word is not said: $(cat "$work/out")"
}

for h in "${hostile[@]}"; do
    says_it "an option" migrate --tcp "--$h" g1 host2
    says_it "a domain that does not move" migrate-status "$h"
    says_it "in JSON" migrate --json "--$h" g1 host2
    says_it "a request" migrate-postcopy "$h"
    says_it "an option of recover" migrate-recover "--$h" g1
    printf '<xenferry><migrate %s="1"/></xenferry>' "$h" >"$work/cfg.xml"
    XENFERRY_CONFIG=$work/cfg.xml "$XL" migrate --tcp g1 host2 >"$work/out" 2>&1 </dev/null
    harmless "a configuration" "$work/out"
done

# What a process of another version, or of somebody else, may have left.
now=$(date +%s)
end() { # DOMAIN TEXT
    printf '{"domain":"%s","pid":1,"host":"h","exit_status":3,"when":%s,"text":"%s"}\n' "$1" "$now" "$2"
}
for h in "${hostile[@]}"; do
    end "$h" "fine" >"$work/run/ended-1"
    end "g1" "$h" >"$work/run/ended-2"
    end "g2" "fine" >"$work/run/ended-3"
    "$XL" migrate-status >"$work/out" 2>&1
    harmless "ends" "$work/out"
    contains "the good one is shown" "g2 to h: ended" "$(cat "$work/out")"
done
finish
