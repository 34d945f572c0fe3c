# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154 # the caller's
# What crm_mon says, as XML in $crm.

# Is GUEST active on NODE, with nothing under way, for the cluster?
crm_has() { # GUEST NODE
    grep -A2 "<resource id=\"$1\" " <<<"$crm" | grep -q "<node name=\"$2\"" &&
        ! grep "<resource id=\"$1\" " <<<"$crm" | grep -q 'pending='
}
