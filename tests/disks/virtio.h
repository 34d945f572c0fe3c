/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest of a QEMU that has none (-accel qtest): a driver of its virtio disk, one write at a
 * time, through the registers and rings that a guest would use, so that a write takes the way of a
 * guest's through QEMU. One thread.
 */
#ifndef XF_TEST_DISKS_VIRTIO_H
#define XF_TEST_DISKS_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_SLOT 4 /* of the device on the PCI bus */

struct virtio_disk {
    int fd;
    uint16_t done;     /* requests, as the ring counts */
    uint16_t size;     /* of the ring */
    uint64_t clock_ns; /* until when the guest's clock has gone, on ours */
};

/* Connect to QEMU's qtest socket and set the device up. False, here and below: QEMU has ended, or
 * has not answered for a minute. */
bool virtio_begin(struct virtio_disk *d, const char *path);
void virtio_end(struct virtio_disk *d);
/* Write a block of 4096 bytes `fill`, and wait for the answer. False: also an error of the disk. */
bool virtio_write(struct virtio_disk *d, uint64_t block, uint8_t fill);

#endif
