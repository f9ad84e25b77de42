/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patching a system call: write KPATCH_SYSCALL_DEFINE2(...) where the source has SYSCALL_DEFINE2(...).
 *
 * The body of a system call is an inline function (__do_sys_NAME, SYSC_NAME before Linux 4.17). Inline functions of the
 * kernel are compiled without a call for ftrace at their start, so wherever the compiler leaves the body out of line the
 * kernel cannot redirect it. Here the body gets another name for the linker: to kpatch it is a new function, and the
 * functions around it, which can be redirected, call the new one. All else is the kernel's own macro, so this holds for
 * every architecture and version.
 */
#ifndef KPATCH_SYSCALL_H
#define KPATCH_SYSCALL_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 17, 0)
#define KPATCH_SYSCALL_BODY(name) __do_sys##name
#else
#define KPATCH_SYSCALL_BODY(name) SYSC##name
#endif

#define KPATCH_SYSCALL_DEFINEx(count, name, ...)					\
	static inline long KPATCH_SYSCALL_BODY(name)(__MAP(count, __SC_DECL, __VA_ARGS__))	\
		__asm__("__kpatch_do_sys" #name);					\
	SYSCALL_DEFINEx(count, name, __VA_ARGS__)

#define KPATCH_SYSCALL_DEFINE1(name, ...) KPATCH_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE2(name, ...) KPATCH_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE3(name, ...) KPATCH_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE4(name, ...) KPATCH_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE5(name, ...) KPATCH_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE6(name, ...) KPATCH_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)

#endif /* KPATCH_SYSCALL_H */
