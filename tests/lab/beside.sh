#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# beside.sh COMMAND...: run it, and build what the lab needs beside it (its cache; minutes when it
# is empty). What that says is in build/lab-build.log; once COMMAND has ended, how far it is.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lib/progress.sh
. "$here/lib/progress.sh"
lab=${LAB_COMMAND:-$here/lab}
log=build/lab-build.log

mkdir -p build
"$lab" build >"$log" 2>&1 </dev/null &
pid=$! since=$EPOCHSECONDS
if ! "$@"; then
    kill "$pid" 2>/dev/null
    exit 1
fi
progress_wait "what the lab needs" "$log" "$pid" "$since" && exit
echo "lab build failed:" >&2
tail -n 20 "$log" >&2
exit 1
