/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where QEMU enters payload.c, by the multiboot standard: 32 bits, flat, no interrupts. */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 2, -(0x1badb002 + 2) /* flag: we want to know the memory's size */

        .text
        .globl _start
_start:
        mov $stack_end, %esp
        push %ebx
        call payload

        .globl timer_entry
timer_entry:
        pusha
        cld
        call timer
        popa
        iret

        .bss
        .align 16
        .skip 16384
stack_end:

        .section .note.GNU-stack, "", @progbits
