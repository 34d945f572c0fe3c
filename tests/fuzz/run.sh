#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One fuzz target: its seeds and what it has found before, which must reach all of its goals
# (target.h); then a search beyond them for so many seconds.
#   run.sh TARGET SECONDS [DIR]     DIR: for inputs that fail (build/fuzz)
set -eu

target=$1 seconds=$2 found=${3:-build/fuzz}
program=build/fuzz/tests/fuzz/$target
corpus=build/fuzz/corpus/$target
known=tests/fuzz/corpus/$target # inputs that have failed once
seeds=build/fuzz/seeds/$target

rm -rf "$seeds"
mkdir -p "$seeds" "$corpus"
"$program" --seeds "$seeds"
[ -n "$(ls "$seeds")" ] || {
    echo "$target has no seeds"
    exit 1
}
dirs=("$seeds")
[ ! -d "$known" ] || dirs+=("$known")
# An input takes milliseconds; one that takes 20 s has found something, however busy the machine.
FUZZ_GOALS=1 "$program" -runs=0 -timeout=20 -artifact_prefix="$found/" "${dirs[@]}"
exec "$program" -max_total_time="$seconds" -timeout=20 -artifact_prefix="$found/" "$corpus" "${dirs[@]}"
