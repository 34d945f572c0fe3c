#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Guests that were started with maxmem above memory: what they have not touched yet is populated on
# demand. They move, by either way, and have no more memory afterwards than before.
# shellcheck disable=SC2317 # functions are called by until_true
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

pod() { # HOST: "pages on demand, pages in reserve for them", as Xen counts
    on "$1" "xl dmesg -c >/dev/null; xl debug-keys q; xl dmesg" >"$work/q" 2>&1
    # xen/arch/x86/mm/p2m-pod.c, p2m_pod_dump_data()
    awk -v d="$(on "$1" "xl domid $guest")" '
        /General information for domain/ { mine = $0 ~ " " d ":" }
        mine && sub(/.*PoD entries=/, "") { sub(/cachesize=/, ""); print }' "$work/q"
}
on_demand() { pod "$1" | cut -d' ' -f1; }
pages() { on "$1" "xl list $guest" | awk 'NR == 2 { print $3 }'; }
settled() { # HOST: its balloon is where it shall be
    local p
    p=$(pod "$1")
    [ "${p% *}" -le "${p#* }" ]
}

guest_start a podling --mem 112 --maxmem 160 --fill 16 --rate 100 --ip 127 --disk vdb
case_begin "populate-on-demand: a guest that has never touched all its memory"
until_true 30 settled a || bad "its balloon does not come down: $(pod a)"
note "on demand, in reserve: $(pod a)"
[ "$(on_demand a)" -gt 0 ] || bad "nothing is populated on demand: this shows nothing"
before=$(pages a)
good_move a
[ "$(pages b)" -le "$before" ] || bad "it has $(pages b) MiB there, and had $before"
case_end

case_begin "... balloons up at the destination"
on b "xl mem-set $guest 128"
has_more() { [ "$(pages b)" -ge 127 ]; }
until_true 30 has_more || bad "it has $(pages b) MiB instead of 128"
intact b
lab guest stop "$guest"
case_end

guest_start a podling --mem 112 --maxmem 160 --fill 16 --rate 100 --ip 127 --disk vdb
case_begin "populate-on-demand: post-copy"
until_true 30 settled a || bad "its balloon does not come down: $(pod a)"
[ "$(on_demand a)" -gt 0 ] || bad "nothing is populated on demand: this shows nothing"
before=$(pages a)
good_move a --postcopy
[ "$(report '.pull.left_out > 0')" = true ] || bad "no page was missing at GO"
[ "$(pages b)" -le "$before" ] || bad "it has $(pages b) MiB there, and had $before"
paging_is_off b
lab guest stop "$guest"
case_end

# Its kernel has no balloon driver yet when this looks: paused since it was built.
case_begin "populate-on-demand: more than is in reserve, and the remedy"
on a "sed 's/^disk.*/disk = []/; s/^vif.*/vif = []/; s/^name.*/name = \"early\"/' /root/podling.cfg >/root/early.cfg
    xl create -q -p /root/early.cfg"
guest=early
move a --check || true
text=$(jq -rs 'map(select(.type == "finding" and .code == "pod")) | first | .text' "$work/json")
note "$text"
# shellcheck disable=SC2016 # those are no commands
remedy=$(sed -n 's/.*`xl mem-set early \([0-9]*\)`.*/\1/p' <<<"$text")
[ -n "$remedy" ] || bad "no remedy in: $text"
on a "xl mem-set early ${remedy:-160}"
move a --check || true
jq -es 'map(select(.code == "pod")) | length == 0' "$work/json" >/dev/null ||
    bad "the remedy does not help: $(jq -rs 'map(select(.code == "pod")) | first | .text' "$work/json")"
on a "xl destroy early"
guest=
case_end
finish
