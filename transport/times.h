/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The times of the protocol that depend on each other: how long one side waits while the other may
 * still be busy. In milliseconds. A time of one file that nothing else depends on stays in that
 * file.
 *
 * Both hosts use the same values; docs/wire-protocol.md lists them.
 */
#ifndef XF_TRANSPORT_TIMES_H
#define XF_TRANSPORT_TIMES_H

/* --- a link --- */

/* A peer is dead if for this long it acknowledges nothing, or sends nothing while we wait. */
#define XF_SOURCE_STALL_MS 10000
#define XF_SINK_STALL_MS 20000
/* How often each side of PULL sends something, so that the other knows that it is alive. */
#define XF_PING_MS 200
#define XF_TELL_MS 200
/* Limit for the source to connect one channel, including its handshake: control, any other, any of
 * PULL's next link. After an outage a connection waits for the kernel's next SYN; these are 1, 2,
 * 4, 8 s apart, so PULL begins a new connection before the gaps are long. */
#define XF_CONTROL_MS 5000
#define XF_BULK_MS 15000
#define XF_REJOIN_CONNECT_MS 5000
/* Limit at the sink for one handshake, and for all channels of the first link. */
#define XF_ACCEPT_MS 15000
#define XF_CHANNELS_MS 60000
/* COPY: the sink waits this long beyond the user's limit for a new link, since it may have noticed
 * the loss that much earlier than the source. */
#define XF_LATER_MS 30000

_Static_assert(XF_SOURCE_STALL_MS < XF_SINK_STALL_MS,
               "the source connects again, so it has to be the first to notice a loss");
_Static_assert(10 * XF_PING_MS <= XF_SINK_STALL_MS && 10 * XF_TELL_MS <= XF_SOURCE_STALL_MS,
               "some words may be late before a peer is taken for dead");
_Static_assert(XF_ACCEPT_MS >= XF_BULK_MS && XF_ACCEPT_MS >= XF_CONTROL_MS &&
                   XF_ACCEPT_MS >= XF_REJOIN_CONNECT_MS,
               "the sink hangs up on no handshake that the source still waits for");
_Static_assert(XF_CHANNELS_MS >= XF_CONTROL_MS + XF_BULK_MS,
               "one slow channel is not the end of a move");
_Static_assert(XF_LATER_MS >= XF_SOURCE_STALL_MS + XF_CONTROL_MS,
               "the source's last attempt, begun as late as it may be, still finds the sink");

/* --- CHECK and SKELETON --- */

/* How long the source waits for the receiver's banner (ssh may ask for a password) and for its
 * reply, and the receiver for the hello. */
#define XF_BANNER_MS 60000
#define XF_REPLY_MS 30000
#define XF_HELLO_MS 30000
/* `--check`: how long the sink answers a measurement of the link, which takes about a second, and a
 * look at the guest of some seconds. */
#define XF_PROBE_MS 180000
/* The stock xl may take this long to build the domain, and to destroy what it built. */
#define XF_BUILD_MS 120000
#define XF_UNDO_MS 30000
/* ... and to attach the devices in SWITCH, if they are late: libxl itself gives QEMU 60 s and each
 * hotplug script 40 s. The source waits longer. */
#define XF_LATE_DEVICES_MS 90000
#define XF_LATE_SWITCH_MS 100000
/* How long the source waits for BUILT, and for ABORTED. */
#define XF_BUILT_MS 150000
#define XF_ABORTED_MS 40000

_Static_assert(XF_BUILT_MS > XF_BUILD_MS + XF_SOURCE_STALL_MS,
               "the source hears why the domain could not be built");
_Static_assert(XF_LATE_SWITCH_MS > XF_LATE_DEVICES_MS,
               "the source hears why the devices could not be attached");
_Static_assert(XF_ABORTED_MS > XF_UNDO_MS, "the source hears whether the copy is gone");

/* --- SWITCH --- */

/* How long the source waits until the guest's writes are on its disks. The guest stands still. */
#define XF_DISKS_MS 10000

/* --- after GO --- */

/* For each PCI device: how long the source waits to hear that it is attached. libxl gives the
 * device model, or the guest's driver, 10 s. */
#define XF_PLUGGED_MS 30000

/* --- PULL --- */

/* How long, on a new link, the sink waits for ATTACH and the source for the first MISSING. */
#define XF_ATTACH_MS 10000
/* All pages are at the sink, or the guest has ended, but the source cannot be told: how long the
 * sink listens for it. */
#define XF_DONE_MS 60000
/* The source gives up when nobody, or only a stranger, has listened at the sink for this long.
 * Longer than a sink takes to listen again, or to get its port back. */
#define XF_GONE_MS 60000
/* ... or when the listener has been silent for this long. It may be a sink that is stopped (a
 * debugger, a machine that swaps, a suspended virtual machine); if it comes back even later, `xl
 * migrate-recover` continues. */
#define XF_SILENT_MS 600000
/* How long `xl migrate-recover` tries to take over a sink. */
#define XF_TAKE_OVER_MS 60000

_Static_assert(XF_ATTACH_MS <= XF_SINK_STALL_MS,
               "a new connection that says nothing is given up no later than an old one");
_Static_assert(XF_GONE_MS >= XF_DONE_MS,
               "a source whose sink was complete has tried for as long as that listened");
_Static_assert(XF_SILENT_MS >= 10 * XF_GONE_MS,
               "silence may be the sink's own, a refusal or a stranger's answer is not");
_Static_assert(XF_TAKE_OVER_MS > XF_SINK_STALL_MS + XF_ATTACH_MS,
               "a sink takes another source only after it has found that its own is dead");

#endif
