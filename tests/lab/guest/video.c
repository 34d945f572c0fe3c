// SPDX-License-Identifier: LGPL-2.1-or-later
// What a driver of the video card does when it is unloaded: the card's memory is no longer mapped.
// Written to its configuration space, since nothing here uses the card.
#include "guest.h"

#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#define COMMAND 0x04
#define DECODES_MEMORY 0x2
#define CLASS 0x0a // 16 bits
#define CLASS_VGA 0x0300

static bool off(int fd)
{
    uint16_t class, command;

    if (pread(fd, &class, sizeof(class), CLASS) != sizeof(class) || class != CLASS_VGA ||
        pread(fd, &command, sizeof(command), COMMAND) != sizeof(command))
        return false;
    command &= (uint16_t)~DECODES_MEMORY;
    return pwrite(fd, &command, sizeof(command), COMMAND) == sizeof(command);
}

bool video_off(void)
{
    bool done = false;
    glob_t all;

    if (glob("/sys/bus/pci/devices/*/config", 0, NULL, &all))
        return false;
    for (size_t i = 0; i < all.gl_pathc && !done; i++) {
        int fd = open(all.gl_pathv[i], O_RDWR | O_CLOEXEC);

        done = fd >= 0 && off(fd);
        if (fd >= 0)
            close(fd);
    }
    globfree(&all);
    return done;
}
