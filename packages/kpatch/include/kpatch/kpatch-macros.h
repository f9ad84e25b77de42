/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a source patch can tell kpatch, beside the code that it changes. Include it as "kpatch-macros.h"; kpatch puts it
 * on the include path of the patched source. Every macro but the last three is at file scope and places a small
 * record in a section `.kpatch.*`, which the build reads and takes out again: nothing of it stays in the running kernel.
 *
 * The names, the sections and the layouts of the records are those that dynup/kpatch documents in its patch author
 * guide, so that patches written for it build unchanged. Those marked "kpatch only" are new here.
 */
#ifndef KPATCH_MACROS_H
#define KPATCH_MACROS_H

#include <linux/compiler.h>
#include <linux/jiffies.h>
#include <linux/livepatch.h>
#include <linux/printk.h>
#include <linux/types.h>
#include <linux/version.h>
#include "kpatch-syscall.h"

/* A record in one of the sections; kept although nothing refers to it. */
#define KPATCH_RECORD(section) __attribute__((__section__(section), __used__))

/*
 * Callbacks: functions that the kernel calls around the moment when an object (vmlinux or a module) is patched or
 * unpatched. At most one of each kind for an object. A pre-patch callback that returns anything but 0 stops the patch;
 * the others return nothing. See Documentation/livepatch/callbacks.rst.
 */
typedef struct klp_object patch_object;

/* kpatch fills in the object's name. */
#define KPATCH_CALLBACK(phase, returns, fn)						\
	static const struct {								\
		returns (*call)(patch_object *);					\
		const char *object;							\
	} kpatch_callback_##phase KPATCH_RECORD(".kpatch.callbacks." #phase) = { fn, NULL };

#define KPATCH_PRE_PATCH_CALLBACK(fn)	  KPATCH_CALLBACK(pre_patch, int, fn)
#define KPATCH_POST_PATCH_CALLBACK(fn)	  KPATCH_CALLBACK(post_patch, void, fn)
#define KPATCH_PRE_UNPATCH_CALLBACK(fn)	  KPATCH_CALLBACK(pre_unpatch, void, fn)
#define KPATCH_POST_UNPATCH_CALLBACK(fn)  KPATCH_CALLBACK(post_unpatch, void, fn)

/* Differences in this section are irrelevant; you know that, kpatch takes your word. Takes a string. */
#define KPATCH_IGNORE_SECTION(name)							\
	static const char * const __UNIQUE_ID(kpatch_ignore_section)			\
	KPATCH_RECORD(".kpatch.ignore.sections") = name;

/* This function stays as it is in the running kernel, although its code differs (a line number, for example). */
#define KPATCH_IGNORE_FUNCTION(fn)							\
	static const void * const kpatch_ignore_function_##fn				\
	KPATCH_RECORD(".kpatch.ignore.functions") = fn;

/*
 * kpatch only: this function is replaced, although its code does not differ. The record is the name and not the address:
 * a function whose address is taken may be compiled in another way.
 */
#define KPATCH_INCLUDE_FUNCTION(fn)							\
	static const char kpatch_include_function_##fn[]				\
	KPATCH_RECORD(".kpatch.include.functions") __aligned(1) = #fn;

/*
 * Accepted for compatibility with older patches, without effect. It allowed a function to be patched while it was running;
 * today the kernel's consistency model decides that for each task. kpatch reads the record and prints a note.
 */
#define KPATCH_FORCE_UNSAFE(fn)								\
	static const void * const kpatch_force_##fn KPATCH_RECORD(".kpatch.force") = fn;

/*
 * kpatch only: a change of the system that outlives the patch's code (a value that a callback wrote, the meaning of a
 * shadow variable). The kernel then loads only successors that know this state in this version or a later one. `id` is
 * not 0 and is yours to choose; see Documentation/livepatch/system-state.rst and klp_get_state().
 */
#define KPATCH_STATE(number, revision)							\
	static const struct {								\
		u64 id;									\
		u32 version;								\
		u32 reserved;								\
	} __UNIQUE_ID(kpatch_state) KPATCH_RECORD(".kpatch.states") = { number, revision, 0 };

/*
 * printk is declared __cold: the compiler moves code that leads to a call of it out of the way, which changes functions
 * that the patch need not touch. These do the same without that; jiffies is never 0 in practice, and unknown to the
 * compiler.
 */
#define KPATCH_PRINTK(format, ...)							\
	({ if (jiffies) printk(format, ##__VA_ARGS__); })
#define KPATCH_PRINTK_DEFERRED(format, ...)						\
	({ if (jiffies) printk_deferred(format, ##__VA_ARGS__); })

/*
 * A static call whose key lives in a module that need not be loaded yet cannot be patched into place. This calls the
 * same function through its key, as a plain indirect call.
 */
#define KPATCH_STATIC_CALL(name)							\
	((typeof(STATIC_CALL_TRAMP(name)) *)(STATIC_CALL_KEY(name).func))

#endif /* KPATCH_MACROS_H */
