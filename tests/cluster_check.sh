#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make cluster-check` runs: real Pacemaker clusters in namespaces, and the pages about moves in a
# real browser. Each is skipped, with the reason, where it cannot run. The last line is
# "N passed, N failed".
#
# From the Makefile: CLUSTER_LONG (a list), DIR.
set -u -o pipefail
logs=build/cluster-check
# shellcheck source=tests/runner.bash
. "$(dirname "$0")/runner.bash"

# shellcheck disable=SC2086 # a list
run_clusters $CLUSTER_LONG
may_skip=yes one tests/browser/test_page env XL="$PWD/$DIR/xl" bash tests/browser/test_page.sh
passed=$(count "$logs/passed")
failed=$(count "$logs/failed")
skipped=$(count "$logs/skipped")
echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
