// SPDX-License-Identifier: LGPL-2.1-or-later
// Process 1 of the lab's guest. Words it takes from the kernel command line:
//   xf.ip=A.B.C.D  xf.fill=MiB  xf.zero=PCT  xf.rate=PAGES/s
//   xf.pattern=seq|random|hot|stride  xf.hot=PCT  xf.reads=PCT
//   xf.disk=/dev/xvda  xf.diskmib=MiB  xf.diskrate=BLOCKS/s
//   xf.beat=MS (0: no heartbeat)
//   xf.diskblocks=N (of those MiB, the first; 0: all)
//   xf.late=MiB (also on the disk, behind xf.diskmib)  xf.persistent=0|1 (its grants)
//   xf.rogue=A.B.C.D (of a second interface, which connects by itself)
#include "guest.h"

#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
    // The kernel runs /sbin/poweroff when Xen asks for a shutdown; that is a
    // link to this program.
    if (getpid() != 1)
        return reboot(RB_POWER_OFF);

    boot_mounts();
    console_open();
    boot_sysrq();
    boot_modules();
    boot_network(boot_word("xf.ip", ""));
    pattern_seed(now_ns());
    work_start();
    mem_start(boot_number("xf.fill", 32), boot_number("xf.zero", 25), boot_number("xf.rate", 0),
              boot_word("xf.pattern", "random"), boot_number("xf.hot", 10),
              boot_number("xf.reads", 0));
    disk_start(boot_word("xf.disk", ""), boot_number("xf.diskmib", 16),
               boot_number("xf.diskblocks", 0), boot_number("xf.diskrate", 20));
    late_start(boot_word("xf.disk", ""), boot_number("xf.late", 0), boot_number("xf.diskmib", 16));
    rogue_start(boot_word("xf.rogue", ""));
    beat_start(boot_number("xf.beat", 20));
    console_line("XF-GUEST ready");
    server_run();
}
