/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest that QEMU moves in the race: a multiboot kernel that fills its memory as a process
 * guest is filled (tests/procguest/content.h), then rewrites random pages at a rate. Each
 * millisecond of its clock it writes one byte to port 0xe9: how many pages it wrote in that
 * time. The first byte comes when all is filled. In between it halts, so an idle guest costs
 * nothing.
 *
 * Command line: zero=N (every N-th page is zeros; 0: none) text (else random contents) rate=N
 * (pages per second, up to 200000; 0: idle).
 */
#include <stdint.h>

#include "tests/procguest/content.h"

#define PAGE 4096u
#define FIRST_GFN 512u /* below lies this program */
#define MULTIBOOT_MEMORY 1u
#define MULTIBOOT_CMDLINE 4u
#define HZ 1000u
#define PIT_HZ 1193182u
#define PER_TICK_MAX 200u

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper_kib, boot_device, cmdline;
};

struct gate {
    uint16_t low, selector, type, high;
};

static struct gate idt[48];
static volatile uint32_t ticks;

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* Called by timer_entry in start.S. */
void timer(void);
void timer(void)
{
    ticks++;
    out8(0x20, 0x20); /* end of interrupt */
}

static void set_gate(unsigned n, void (*entry)(void))
{
    uint32_t at = (uint32_t)entry;
    uint16_t cs;

    __asm__("mov %%cs, %0" : "=r"(cs));
    idt[n] = (struct gate){(uint16_t)at, cs, 0x8e00, (uint16_t)(at >> 16)};
}

void timer_entry(void);

/* The old interrupt controller with nothing but the timer, on vector 32. */
static void start_clock(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint32_t)idt};

    set_gate(32, timer_entry);
    __asm__ volatile("lidt %0" : : "m"(idtr));
    out8(0x20, 0x11);
    out8(0xa0, 0x11);
    out8(0x21, 32);
    out8(0xa1, 40);
    out8(0x21, 4);
    out8(0xa1, 2);
    out8(0x21, 1);
    out8(0xa1, 1);
    out8(0x21, 0xfe);
    out8(0xa1, 0xff);
    out8(0x43, 0x34); /* channel 0, rate generator */
    out8(0x40, (PIT_HZ / HZ) & 0xff);
    out8(0x40, (PIT_HZ / HZ) >> 8);
    __asm__ volatile("sti");
}

static void write_page(uint32_t gfn, uint32_t version)
{
    volatile uint64_t *page = (volatile uint64_t *)(gfn * PAGE);
    uint64_t at = pg_page_seed(gfn, version);

    for (unsigned i = 0; i < PG_WORDS; i++)
        page[i] = pg_next_word(&at, version);
}

/* The number behind `name=` on the command line; a word without "=" is 1. */
static uint32_t option(const char *line, const char *name, uint32_t otherwise)
{
    for (; *line; line++) {
        const char *a = line, *b = name;
        uint32_t value = 0;

        while (*b && *a == *b)
            a++, b++;
        if (*b)
            continue;
        if (*a != '=')
            return 1;
        for (a++; *a >= '0' && *a <= '9'; a++)
            value = value * 10 + (uint32_t)(*a - '0');
        return value;
    }
    return otherwise;
}

_Noreturn void payload(const struct multiboot_info *info);
_Noreturn void payload(const struct multiboot_info *info)
{
    const char *line = info->flags & MULTIBOOT_CMDLINE ? (const char *)info->cmdline : "";
    uint32_t text = option(line, "text", 0) ? PG_TEXT : 0;
    uint32_t rate = option(line, "rate", 0), zero = option(line, "zero", 7);
    uint32_t end = 256 + (info->flags & MULTIBOOT_MEMORY ? info->mem_upper_kib / 4 : 0);
    uint32_t version = 1, seen, owed = 0;
    uint64_t random = 88172645463325252u;

    if (!zero)
        zero = UINT32_MAX;
    for (uint32_t gfn = FIRST_GFN; gfn < end; gfn++)
        write_page(gfn, gfn % zero ? text | 1 : 0);
    start_clock();
    seen = ticks;
    for (;;) {
        uint32_t n;

        __asm__ volatile("hlt");
        if (ticks == seen)
            continue;
        seen = ticks; /* a tick that was missed is not made up for */
        owed += rate;
        n = owed / HZ;
        owed %= HZ;
        if (n > PER_TICK_MAX)
            n = PER_TICK_MAX;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t gfn =
                FIRST_GFN + (uint32_t)(pg_next_random(&random) & 0xffffffffu) % (end - FIRST_GFN);

            write_page(gfn, ++version | text);
        }
        out8(0xe9, (uint8_t)n);
    }
}
