#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make test` runs once everything is built: what needs no root, no lab, no network and no apt,
# and does not take long. All of it is part of `make check`, too. A test that cannot run for this
# user says so and is counted as skipped. The last line is "N passed, N failed".
#
# From the Makefile: DIR, and TESTS FRONT_TESTS SCRIPTS MAN (lists).
set -u -o pipefail

logs=$DIR/test
# Most of these wait most of their time.
CHECK_JOBS=${CHECK_JOBS:-$((2 * $(nproc)))}
# shellcheck source=tests/runner.bash
. "$(dirname "$0")/runner.bash"
[ "$(id -u)" = 0 ] || may_skip=yes
export SEEDS=${SEEDS:-5}

# Those that wait longest first, so that none of them is left over at the end.
for t in $FRONT_TESTS; do
    run "$t" env XL="$PWD/$DIR/xl" bash "$t"
done
run_about_source
for t in $TESTS; do
    run "$t" "$DIR/$t"
done
wait_for_all

passed=$(count "$logs/passed")
failed=$(count "$logs/failed")
skipped=$(count "$logs/skipped")
echo
[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
