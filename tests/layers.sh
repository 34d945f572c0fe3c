#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who may include from whom. Each folder of the product says so itself, in the line "Uses:" of its
# README.md; this holds every #include against it, and the lines against each other: no circles.
#   layers.sh [DIR]     the top of a checkout; default: this one
set -u -o pipefail
cd "${1:-$(dirname "$0")/..}" || exit 2
bad=0
say() {
    echo "$*" >&2
    bad=1
}

mapfile -t folders < <(find tools libxl-ext disks qmp precopy postcopy pages transport -name '*.[ch]' \
    -printf '%h\n' | sort -u)
uses() { sed -n 's/^Uses: //p' "$1/README.md" | sed 's/^nothing$//'; }

for folder in "${folders[@]}"; do
    if [ ! -e "$folder/README.md" ] || ! grep -q '^Uses: ' "$folder/README.md"; then
        say "$folder/README.md: no line \"Uses:\" that says what the folder may include from"
        continue
    fi
    read -ra used <<<"$(uses "$folder")"
    allowed=" $folder ${used[*]-} "
    while IFS=: read -r file line text; do
        from=${text#*\"}
        from=${from%/*}
        case $allowed in
        *" $from "*) ;;
        *) say "$file:$line: $folder may not use $from ($folder/README.md)" ;;
        esac
    done < <(grep -nHE '^#include "[^"]*/' "$folder"/*.[ch])
done

# tsort names the members of a circle.
if ! circle=$(for folder in "${folders[@]}"; do
    for other in $(uses "$folder"); do echo "$folder $other"; done
done | tsort 2>&1 >/dev/null) || [ -n "$circle" ]; then
    say "folders use each other in a circle: $circle"
fi
exit $bad
