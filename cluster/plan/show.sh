# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# shellcheck disable=SC2016,SC2154 # programs of awk; what xenferry-plan sets
#
# Of xenferry-plan: what the plan would change, in words.

# The load of each host now and after the plan: "N cpu% cpu%_after mem% mem%_after host" in $work/loads.
loads() {
    tabs '
        part == "hosts" { order[++hosts] = $1; cpus[$1] = $2; total[$1] = $3; used[$1] = $3 - $4; load[$1] = $6
            host[$1] = $9; next }
        part == "guests" { l[$1] = $5; m[$1] = $3; load[$2] += $5; next }
        part == "plan" { shift_load[$2] -= l[$1]; shift_load[$3] += l[$1]; shift_mib[$2] -= m[$1]; shift_mib[$3] += m[$1] }
        END { for (i = 1; i <= hosts; i++) { n = order[i]
            print n, 100 * load[n] / cpus[n], 100 * (load[n] + shift_load[n]) / cpus[n],
                100 * used[n] / total[n], 100 * (used[n] + shift_mib[n]) / total[n], host[n] } }
        ' part=hosts "$work/hosts" part=guests "$work/guests" part=plan "$work/plan" >"$work/loads"
}

# By how much hosts are above the threshold, in all: "before after".
excess() {
    tabs -v t="$threshold" '
        function over(x) { return x > t ? x - t : 0 }
        { before += over($2) + over($4); after += over($3) + over($5) }
        END { printf "%.1f %.1f\n", before, after }' "$work/loads"
}

reasons() {
    if [ "$mode" = drain ]; then
        say "$(head -n 1 "$work/names") is to be emptied"
        return
    fi
    tabs -v t="$threshold" '
        $2 > t { printf "%s uses %.0f %% of its processors, above %d %%\n", $6, $2, t }
        $4 > t { printf "%s uses %.0f %% of its memory, above %d %%\n", $6, $4, t }' "$work/loads" |
        while read -r line; do say "$line"; done
}

show() {
    tabs '
        BEGIN { printf "%-32s %20s %20s\n", "host", "processors", "memory" }
        { printf "%-32s %7.0f -> %5.0f %%  %7.0f -> %5.0f %%\n", $6, $2, $3, $4, $5 }' "$work/loads"
    tabs '
        part == "hosts" { host[$1] = $9; next }
        part == "guests" { name[$1] = $8; l[$1] = $5; m[$1] = $3; next }
        { printf "move %s %s -> %s  (%.1f processors, %d MiB)\n", name[$1], host[$2], host[$3], l[$1], m[$1] }
        ' part=hosts "$work/hosts" part=guests "$work/guests" part=plan "$work/plan"
}

# What stays although one may wonder why.
left_alone() {
    tabs -v mode="$mode" '
        part == "plan" { goes[$1] = 1; next }
        part == "said" { if ($1 == "O" && (mode == "balance" || $2 == 1)) print $4 " " $3; next }
        mode == "drain" && ($2 != 1 || $1 in goes) { next }
        $6 != "-" { print $8 " stays: it " $6; next }
        mode == "drain" { print $8 " stays: no host has room and all features for it" }
        ' part=plan "$work/plan" part=said "$work/said" part=guests "$work/guests" |
        while read -r line; do say "$line"; done
}
# How many of the host that is drained are not in the plan.
staying() {
    tabs 'FILENAME == ARGV[1] { goes[$1] = 1; next }
        $1 == "G" || $1 == "O" { on[$2]++ }
        $1 ~ /^g/ && $1 in goes { gone++ }
        END { print on[1] - gone }' "$work/plan" "$work/said" "$work/guests"
}
