// SPDX-License-Identifier: LGPL-2.1-or-later
// The lab's guest: process 1 of a small PVH or HVM domain that makes load, and knows
// at any time what every byte of its memory and disk must be. One thread per
// source file: mem.c, disk.c, late.c, rogue.c, beat.c, server.c; main.c starts them. work.c
// remembers what mem.c did.
#ifndef XF_GUEST_H
#define XF_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u
#define WORDS (PAGE / sizeof(uint64_t))

// --- boot.c: kernel command line, modules, network, devices ---
void boot_mounts(void);
void boot_sysrq(void);
void boot_modules(void);
void boot_network(const char *ip);
// False: it is not there, or refuses.
bool boot_interface(const char *dev, const char *ip, const char *mask);
bool boot_wait_path(const char *path, int seconds);
// Value of NAME=... on the kernel command line, or dflt.
long boot_number(const char *name, long dflt);
const char *boot_word(const char *name, const char *dflt);

// --- report.c: what went wrong; an error is never forgotten ---
void error_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned error_count(void);
void error_first(char *buf, size_t size);
// One write to the console per line, so lines of two threads never mix.
void console_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void console_open(void);

// --- pattern.c: contents derived from (what, index, generation) ---
void pattern_fill(void *page, uint64_t what, uint64_t index, uint32_t gen);
// Offset of the first wrong byte, or -1.
int pattern_check(const void *page, uint64_t what, uint64_t index, uint32_t gen);
int zero_check(const void *page);
uint64_t random_next(uint64_t *state);
uint64_t now_ns(void);
void pattern_seed(uint64_t seed);

// --- mem.c ---
void mem_start(long fill_mib, long zero_pct, long rate, const char *pattern, long hot_pct,
               long reads_pct);
void mem_pause(bool paused);
void mem_rate(long rate);
bool mem_pattern(const char *name);
void mem_reads(long pct);
// Both verify functions append to out and return the number of bad pages.
unsigned long mem_verify(char *out, size_t size, unsigned long *pages);
void mem_damage(void);
void mem_status(char *out, size_t size);

// --- disk.c ---
// blocks: how many are written, 0: all of mib.
void disk_start(const char *path, long mib, long blocks, long rate);
unsigned long disk_verify(char *out, size_t size, unsigned long *blocks);
void disk_damage(void);
void disk_status(char *out, size_t size);

// --- late.c ---
void late_start(const char *path, long mib, long offset_mib);
unsigned long late_verify(char *out, size_t size, unsigned long *pages);
void late_send(int client);
void late_status(char *out, size_t size);

// --- rogue.c ---
// Before and after the network's module is loaded: no interface but the first gets its driver.
void rogue_hold_back(void);
void rogue_bind_first(void);
void rogue_start(const char *ip);
void rogue_send(int client);
void rogue_status(char *out, size_t size);

// --- work.c ---
void work_start(void);
// For one thread each: that of mem.c, and the heartbeat's.
void work_touch(unsigned long page);
void work_sample(uint64_t now);
void work_send(int client);
void work_touched(uint64_t from_ns, uint64_t to_ns, char *out, size_t size);

// --- video.c ---
// The video card decodes its memory no more. False: there is no card.
bool video_off(void);

// --- beat.c ---
void beat_start(long ms);
void beat_status(char *out, size_t size);

// --- server.c: never returns ---
void server_run(void);

#endif
