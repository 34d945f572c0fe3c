#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which file calls which, from the objects of a build: no files of one folder call each other in a
# circle, and none calls into a folder that its own may not use ("Uses:" in its README.md), or into
# one below that, whose interface lies in it, from outside. What layers.sh holds of the includes this
# holds of the calls; a header says nothing of who defines what.
#   circles.sh [DIR [OBJECTS]]    the top of a checkout, where its objects are; default: this one,
#                                 build/obj
set -u -o pipefail
cd "${1:-$(dirname "$0")/..}" || exit 2
objects=${2:-build/obj}
# Their ops table names connect and listen, which make a channel with that table.
known=' transport/tcp transport/rdma '
bad=0
say() {
    echo "$*" >&2
    bad=1
}

mapfile -t files < <(cd "$objects" && find tools libxl-ext disks qmp precopy postcopy pages transport \
    -name '*.o' 2>/dev/null | sort)
if [ ${#files[@]} = 0 ]; then
    echo "$objects: no objects; build first" >&2
    exit 2
fi

# "caller callee", each an object's path without .o. An object whose source has gone is no matter.
calls=$(for f in "${files[@]}"; do
    [ ! -e "${f%.o}.c" ] || printf '%s\0' "$objects/$f"
done | xargs -0 -r nm -A | sed "s|^$objects/||" | awk '
    { file = $1; sub(/\.o:.*/, "", file); name = $NF; kind = $(NF - 1) }
    kind == "U" { used[file, name]; next }
    kind ~ /^[TDBRVWC]$/ { home[name] = file }
    END {
        for (pair in used) {
            split(pair, part, SUBSEP)
            if (part[2] in home && home[part[2]] != part[1])
                print part[1], home[part[2]], part[2]
        }
    }' | sort)

declare -A uses_of
for readme in {tools,libxl-ext,disks,qmp,precopy,postcopy,pages,transport}/{,*/}README.md; do
    [ ! -e "$readme" ] || uses_of[${readme%/README.md}]=" $(sed -n 's/^Uses: //p' "$readme") "
done
while read -r caller callee name; do
    from=${caller%/*}
    to=${callee%/*}
    above=${to%/*}
    [ "$from" != "$to" ] || continue
    uses=${uses_of[$from]-}
    [[ $uses != *" $to "* ]] || continue
    [[ $uses != *" $above "* || $from/ = "$above"/* ]] || continue
    say "$caller.c uses $name of $callee.c: $from may not use $to ($from/README.md)"
done <<<"$calls"

for folder in $(printf '%s\n' "${files[@]%/*}" | sort -u); do
    case $known in *" $folder "*) continue ;; esac
    # tsort names the members of a circle.
    circle=$(awk -v f="$folder" '
        { from = $1; to = $2; sub(/\/[^\/]*$/, "", from); sub(/\/[^\/]*$/, "", to) }
        from == f && to == f { print $1, $2 }' <<<"$calls" | tsort 2>&1 >/dev/null) ||
        say "$folder: files call each other in a circle: ${circle//tsort: /}"
done
exit $bad
