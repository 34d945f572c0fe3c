# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# shellcheck disable=SC2016,SC2154 # programs of awk; what xenferry-plan sets
#
# Of xenferry-plan: what the hosts say, fetched and checked.

# on HOST COMMAND: COMMAND is a shell's there; all that goes into it is plain(). `limit`: nothing, or
# `timeout S`.
limit=
on() { $limit ssh -n -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -- "$@"; }
# The clock of the host goes with it.
LIST='cat /proc/uptime && xl list'

ask() { # N HOST WHAT COMMAND: the answer to N.WHAT, whole or not at all
    limit='timeout 120'
    {
        on "$2" "$4" 2>"$work/$1.$3.err" && echo "$tab"
    } | tr -d '\000\r' | head -c $((MAX_BYTES + 1)) >"$work/$1.$3"
    # The mark at the end is missing if the command failed, or said too much.
    if [ "$(tail -n 1 "$work/$1.$3")" = "$tab" ]; then
        return 0
    fi
    say "$2: $3: $(tail -n 1 "$work/$1.$3.err" | cut -c 1-200)"
    : >"$work/$1.silent"
    return 1
}

# Pacemaker's resources on a host: id, and what its agent says of the guest; then the names in the
# configuration files that these speak of. Constant text, run there.
RESOURCES='
command -v crm_resource >/dev/null || exit 0
if ! all=$(crm_resource --list-raw 2>/dev/null); then
    [ ! -e /var/lib/pacemaker/cib/cib.xml ] || echo no answer
    exit 0
fi
for id in $all; do
    echo resource "$id"
    for p in name config xmfile; do
        v=$(crm_resource -r "$id" -g "$p" 2>/dev/null) && echo "$p" "$id" "$v"
    done
done
for f in /etc/xen/*.cfg; do
    [ -r "$f" ] || continue
    sed -n "s|^[[:space:]]*name[[:space:]]*=[[:space:]]*[\"'\'']\([^\"'\'']*\)[\"'\''].*|file $f \1|p" "$f" | head -n 1
done'

# What its processors offer; "none" without Xenferry, or with one that cannot say.
CPU='xl migrate-cpu --json 2>/dev/null || echo none'

before() { # N HOST
    ask "$1" "$2" info 'xl info' && ask "$1" "$2" cpu "$CPU" && ask "$1" "$2" resources "$RESOURCES" && ask "$1" "$2" first "$LIST"
}
after() { # N HOST
    [ -e "$work/$1.silent" ] || ask "$1" "$2" second "$LIST"
}
each_host() { # FUNCTION: of all hosts at once
    n=0
    while read -r host; do
        n=$((n + 1))
        "$1" $n "$host" &
    done <"$work/names"
    wait
}

# What a host has said, checked:
#   H N cpus total free dom0_vcpus dom0_load node hw_caps
#   G N mib vcpus load why_not name    a running guest
#   O N why name                       a domain that is not to be planned with
#   M name                             a guest that is being moved
#   W N text                           something is wrong: with B instead, the host is left out
READ_HOST='
function number(s, most) { return s ~ /^[0-9]+(\.[0-9]+)?$/ && length(s) <= 15 && s + 0 <= most }
function bad(text) { if (!failed) print "B", n, text; failed = 1; exit }
function clean(s) { gsub(/[^ -~]/, "?", s); return substr(s, 1, 64) }
function plain(s) { return s ~ /^[A-Za-z0-9_][A-Za-z0-9._+@:-]*$/ && s !~ /^[0-9]+$/ && length(s) <= 64 }
BEGIN { OFS = "\t" }
part == "info" {
    if ($1 == "nr_cpus") cpus = $3
    if ($1 == "total_memory") total = $3
    if ($1 == "free_memory") free = $3
    if ($1 == "host") node = $3
    if ($1 == "hw_caps") caps = $3
    next
}
$0 == "\t" { next }
FNR == 1 {
    if (!number($1, 1e10)) bad("/proc/uptime cannot be read")
    at[part] = $1
    next
}
FNR == 2 && $1 == "Name" { next }
{
    name = $0
    sub(/[ \t]+[0-9]+[ \t]+[0-9]+[ \t]+[0-9]+[ \t]+[^ \t]+[ \t]+[0-9.]+[ \t]*$/, "", name)
    if (name == $0 || !number($(NF - 4), 65535) || !number($(NF - 3), 1e8) || !number($(NF - 2), 4096) ||
        $(NF - 1) !~ /^[r-][b-][p-][s-][-rscwS][d-]$/ || !number($NF, 1e12)) {
        if (part == "second") print "W", n, "a line of xl list cannot be read: " clean($0)
        next
    }
    id = $(NF - 4)
    if (part == "first") { then[id, name] = $NF; next }
    rows++
    if (rows > 4096) bad("more than 4096 domains")
    row_id[rows] = id; row_name[rows] = name; mib[rows] = $(NF - 3); vcpus[rows] = $(NF - 2)
    state[rows] = $(NF - 1); time[rows] = $NF
}
END {
    if (failed) exit
    if (!number(cpus, 65536) || cpus < 1 || !number(total, 1e9) || total < 1 || !number(free, total))
        bad("xl info does not say what the host has")
    if (node !~ /^[A-Za-z0-9][A-Za-z0-9._-]*$/ || length(node) > 253) bad("its name in xl info is not a name")
    if (caps !~ /^[0-9a-f]+(:[0-9a-f]+)*$/ || length(caps) > 512) caps = "-"
    span = at["second"] - at["first"]
    if (span <= 0) bad("it was restarted, or its clock stood still")
    for (i = 1; i <= rows; i++) {
        name = row_name[i]
        known = (row_id[i], name) in then
        load = known && time[i] >= then[row_id[i], name] ? (time[i] - then[row_id[i], name]) / span : 0
        if (load > vcpus[i]) load = vcpus[i]
        if (row_id[i] == 0) { dom0 = vcpus[i]; dom0_load = load; continue }
        if (name ~ /--(incoming|migratedaway)$/) {
            sub(/--(incoming|migratedaway)$/, "", name)
            print "M", clean(name)
        } else if (state[i] !~ /^[r-][b-]----$/)
            print "O", n, "is paused, suspended or has ended", clean(name)
        else
            print "G", n, mib[i], vcpus[i], sprintf("%.4f", load),
                !plain(name) ? "its name cannot be used in a command" : !known ? "has only just come" : "-", clean(name)
    }
    print "H", n, cpus, total, free, dom0 + 0, sprintf("%.4f", dom0_load), node, caps
}'

collect() {
    each_host before
    sleep "$interval"
    each_host after
    n=0
    while read -r host; do
        n=$((n + 1))
        why='it does not answer'
        if [ ! -e "$work/$n.silent" ]; then
            awk -v n=$n "$READ_HOST" part=info "$work/$n.info" part=first "$work/$n.first" part=second \
                "$work/$n.second" >"$work/$n.said"
            while IFS=$tab read -r kind _ text; do
                case $kind in W) say "$host: $text" ;; esac
            done <"$work/$n.said"
            why=$(tabs '$1 == "B" { print $3 }' "$work/$n.said")
        fi
        if [ -n "$why" ]; then
            say "$host is left out: $why"
            [ "$mode" != drain ] || [ $n != 1 ] || exit 1
            rm -f "$work/$n.said"
        else
            tabs -v host="$host" '$1 == "H" { $1 = ""; print substr($0, 2), host }' \
                "$work/$n.said" >>"$work/hosts"
            read_resources $n "$host"
        fi
    done <"$work/names"
    [ "$(wc -l <"$work/hosts")" -ge 2 ] || die "fewer than two hosts are left"
}

# Appends "N guest resource" to $work/resources. A resource is its guest's by its own id, by its parameter
# `name`, or by its configuration file: the name in it, or the file's own if there is none.
read_resources() { # N HOST
    if grep -qx 'no answer' "$work/$1.resources"; then
        [ "$run" = no ] || die "$2: Pacemaker is set up there and does not answer: nothing is moved"
        say "$2: Pacemaker is set up there and does not answer: which guests are its resources is not known"
    fi
    awk -v OFS="$tab" -v n="$1" '
        function plain(s) { return s ~ /^[A-Za-z0-9_][A-Za-z0-9._+:-]*$/ && length(s) <= 64 }
        $1 == "file" && NF == 3 { in_file[$2] = $3 }
        NF < 2 || !plain($2) { next }
        $1 == "resource" { print n, $2, $2 }
        $1 == "name" && NF == 3 { print n, $3, $2 }
        ($1 == "config" || $1 == "xmfile") && NF == 3 { config[$2] = $3 }
        END {
            for (id in config) {
                name = config[id]
                gsub(/^.*\/|\.cfg$/, "", name)
                print n, config[id] in in_file ? in_file[config[id]] : name, id
            }
        }
        ' "$work/$1.resources" >>"$work/resources"
}
