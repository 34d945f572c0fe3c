# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# shellcheck disable=SC2016,SC2154 # programs of awk; what xenferry-plan sets
#
# Of xenferry-plan: what hbal is given, and what it answers.

RECENT_S=3600
# A busy guest must weigh more than free memory and vCPUs, or hbal, which looks one move ahead, sees no
# gain in parting two of them.
WEIGHT=10
POLICY='|128,1,1024,1,1,1|1,1,0,0,0,1;1048576,256,1073741824,64,64,64|ext,diskless|64.0|64.0'

# The features that a guest has there without a cpuid=, and the vendor, as the hosts' own
# `xl migrate-cpu` names them, in $work/features. False: not every host says so.
named_features() {
    : >"$work/features"
    while IFS=$tab read -r n _; do
        tabs -v n="$n" '
            function word(s) { gsub(/[ _]/, "-", s); return tolower(s) }
            /^\{"type":"cpu","host":null,/ && match($0, /"vendor":"[A-Za-z]+"/) {
                list = "vendor-" word(substr($0, RSTART + 10, RLENGTH - 11))
                if (!match($0, /"usual":\{[^]{}]*"features":\[[^]]*\]/)) exit
                s = substr($0, RSTART, RLENGTH)
                sub(/^.*\[/, "", s)
                gsub(/["\]]/, "", s)
                count = split(s, f, ",")
                for (i = 1; i <= count; i++) {
                    f[i] = word(f[i])
                    if (f[i] !~ /^[a-z0-9][a-z0-9.-]*$/ || length(f[i]) > 64 || i > 1024) exit
                    list = list "," f[i]
                }
                good = 1
                exit
            }
            END { if (!good) exit 1; print n, list }' "$work/$n.cpu" >>"$work/features" || return 1
    done <"$work/hosts"
}

# features: "N feature,feature,..." of each host in $work/features. A guest may only go where all
# features of its host are. The one place that knows where they come from.
features() {
    if [ -n "$features" ]; then
        tabs '
            FILENAME == ARGV[1] { n[$9] = $1; next }
            { split($0, word, " "); h = word[1] }
            h in n { for (i = 2; i in word; i++) {
                    if (word[i] !~ /^[a-z0-9][a-z0-9._-]*$/ || length(word[i]) > 64) {
                        print "B", h " has a feature that is none: " substr(word[i], 1, 64); exit
                    }
                    list[h] = list[h] "," word[i] }
                seen[h] = 1 }
            END { for (h in n) if (h in seen) print n[h], substr(list[h], 2); else print "B", h " is not in it" }
            ' "$work/hosts" "$features" >"$work/features"
        why=$(tabs '$1 == "B" { print $2; exit }' "$work/features")
        [ -z "$why" ] || die "$features: $why"
        return
    fi
    ! named_features || return 0
    # Bit b of word w is called w.b.
    tabs '
        { list = ""
          words = split($8, word, ":")
          for (w = 1; w <= words; w++)
              for (d = length(word[w]); d >= 1; d--) {
                  v = index("0123456789abcdef", substr(word[w], d, 1)) - 1
                  for (b = 0; b < 4; b++) {
                      if (v % 2) list = list "," (w - 1) "." (length(word[w]) - d) * 4 + b
                      v = int(v / 2)
                  }
              }
          print $1, substr(list, 2) }' "$work/hosts" >"$work/features"
    why=$(tabs '$8 == "-" { print $9; exit }' "$work/hosts")
    [ -z "$why" ] || die "$why: no hw_caps in xl info; say with --features what its processors have"
}

# Who may move, in $work/guests.
guests() {
    now=$(date +%s)
    : >"$work/recent"
    if [ "$mode" = balance ] && [ -r "$state/moved" ]; then
        head -c "$MAX_BYTES" "$state/moved" | awk -v now="$now" -v s=$RECENT_S '
            NF == 2 && $1 ~ /^[0-9]+$/ && $1 <= now && $1 + s > now { print $2 }' >"$work/recent"
    fi
    cat "$work"/*.said >"$work/said"
    tabs '
        part == "exclude" { exclude[$0] = 1; next }
        part == "recent" { recent[$0] = 1; next }
        # What a host says of resources is believed of its own guests.
        part == "resources" { if (resource[$1, $2] == "" || $3 == $2) resource[$1, $2] = $3; next }
        part == "first" { if ($1 == "M") moving[$2] = 1; if ($1 == "G") copies[$7]++; next }
        $1 == "G" {
            name = $7
            why = $6
            if (why == "-" && copies[name] > 1) why = "runs on several hosts"
            if (why == "-" && name in moving) why = "is being moved"
            if (why == "-" && name in exclude) why = "is excluded"
            if (why == "-" && name in recent) why = "was moved within the hour"
            print ("g" (++g)), $2, $3, $4, $5, why, (($2, name) in resource) ? resource[$2, name] : "-", name
        }' part=exclude "$work/exclude" part=recent "$work/recent" part=resources "$work/resources" \
        part=first "$work/said" part=all "$work/said" >"$work/guests"
}

# hbal's text: nodes, instances, cluster tags and policies, parted by one empty line each; an empty
# part is one more empty line. And the load of each guest.
state_text() {
    tabs -v weight=$WEIGHT -v policy="$POLICY" -v loads="$work/load" '
        part == "features" { tags[$1] = $2; next }
        part == "apart" { list = ("apart:" $1); of[$2] = of[$2] == "" ? list : of[$2] "," list; groups = 1; next }
        part == "hosts" { order[++hosts] = $1; cpus[$1] = $2; total[$1] = $3; free[$1] = $4; dom0[$1] = $5
            dom0_load[$1] = $6; all += $2; next }
        { guest[++guests] = $1; at[$1] = $2; mib[$1] = $3; vcpus[$1] = $4; load[$1] = $5; name[$1] = $8
          listed[$2] += $3 }
        # Features that all hosts have forbid nothing.
        function differing(n,   i, count, f, out) {
            count = split(tags[n], f, ",")
            for (i = 1; i <= count; i++)
                if (has[f[i]] < hosts) out = out (out == "" ? "" : ",") "cpu:" f[i]
            return out
        }
        END {
            for (i = 1; i <= hosts; i++) {
                count = split(tags[order[i]], f, ",")
                for (j = 1; j <= count; j++) if (!((i, f[j]) in counted)) { counted[i, f[j]] = 1; has[f[j]]++ }
            }
            print "all|g|preferred||\n"
            for (i = 1; i <= hosts; i++) {
                n = order[i]
                used = total[n] - free[n] - listed[n]
                print "n" n "|" total[n] "|" (used > 0 ? used : 0) "|" free[n] "|0|0|" cpus[n] "|N|g|1|" differing(n) "|N|1|" dom0[n] "|1.0"
            }
            print ""
            for (i = 1; i <= guests; i++) {
                g = guest[i]
                print g "|" mib[g] "|0|" vcpus[g] "|running|Y|n" at[g] "||ext|" of[name[g]] "|1|-"
                printf "%s %.4f 0.0001 0.0001 0.0001\n", g, weight * load[g] * hosts / all >loads
            }
            # The load of dom0, where it is.
            for (i = 1; i <= hosts; i++) {
                n = order[i]
                print "d" n "|0|0|0|running|Y|n" n "||ext||1|-"
                printf "d%s %.4f 0.0001 0.0001 0.0001\n", n, weight * dom0_load[n] * hosts / all >loads
            }
            print "\nhtools:migration:cpu" (groups ? "\nhtools:iextags:apart" : "") "\n"
            print policy "\nall" policy
        }' part=features "$work/features" part=apart "$work/apart" part=hosts "$work/hosts" part=guests "$work/guests" \
        >"$work/state"
}

ask_hbal() {
    set -- -t "$work/state" -U "$work/load" --ignore-soft-errors -C
    fixed=$(tabs 'FILENAME == ARGV[1] { printf "%sd%s", c, $1; c = ","; next }
        $6 != "-" { printf ",%s", $1 }' "$work/hosts" "$work/guests")
    set -- "$@" --exclude-instances="$fixed"
    if [ "$mode" = drain ]; then
        set -- "$@" -O n1 --evac-mode
    else
        set -- "$@" -l "$moves" -g "$gain" --min-gain-limit=1000000
    fi
    timeout 300 hbal "$@" >"$work/hbal" 2>"$work/hbal.err" ||
        die "hbal failed: $(tail -n 1 "$work/hbal.err" | cut -c 1-200)"
    tabs '
        FILENAME == ARGV[1] { nodes["n" $1] = $1; next }
        FILENAME == ARGV[2] { if ($6 == "-") at[$1] = $2; next }
        { words = split($0, w, " ") }
        w[1] == "gnt-instance" {
            if (w[2] != "migrate" || !(w[words] in at) || !(w[words - 1] in nodes)) { print "?"; exit }
            print w[words], at[w[words]], nodes[w[words - 1]]
            at[w[words]] = nodes[w[words - 1]]
        }' "$work/hosts" "$work/guests" "$work/hbal" >"$work/plan"
    ! grep -qx '?' "$work/plan" || die "hbal plans something else than moves"
    # shellcheck disable=SC2034 # for xenferry-plan
    score=$(sed -n 's/^Cluster score improved from \([0-9.]*\) to \([0-9.]*\)$/\1 -> \2/p' "$work/hbal")
}
