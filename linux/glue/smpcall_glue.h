/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The border between the glue (C) and the core behind its ABI (Rust): linux/layer/src/abi.rs has the first half,
 * linux/layer/src/glue.rs declares the second.
 */
#ifndef SMPCALL_GLUE_H
#define SMPCALL_GLUE_H

#include <linux/smp.h>

/*
 * What the core has. Preemption is off in all of these, but where a kernel preempts waiting calls it may be on in smpcall_call() and,
 * if it waits, smpcall_many(); smpcall_many_and_own() may return with it on. Nothing is called before smpcall_init().
 */
const char *smpcall_version(void);
size_t smpcall_bytes(u32 cpus);
void smpcall_init(void *memory, u32 cpus);
void smpcall_online(void);
void smpcall_offline(void);
void smpcall_flush(void);
bool smpcall_has_work(void);
int smpcall_call(u32 cpu, smp_call_func_t func, void *info);
int smpcall_send(u32 cpu, smp_call_func_t func, void *info);
int smpcall_post(u32 cpu, struct __call_single_data *csd);
bool smpcall_push(u32 cpu, struct __call_single_node *node);
int smpcall_many(const unsigned long *mask, size_t words, smp_call_func_t func, void *info, bool wait);
int smpcall_many_and_own(const unsigned long *mask, size_t words, smp_call_func_t func, void *info, void *own);
bool smpcall_is_pending(const unsigned long *mask, size_t words);
size_t smpcall_stalled(void);

/* How far a stalled call has come. */
enum smpcall_how {
	SMPCALL_QUEUED,
	SMPCALL_RUNNING,
	SMPCALL_BEHIND,
	SMPCALL_NO_ROOM,
	SMPCALL_OVER,
};

/* What the glue has. */
void smpcall_glue_run(smp_call_func_t func, void *info, void *csd);
void smpcall_glue_take(struct __call_single_node *node);
void smpcall_glue_own_part(void *own);
void smpcall_glue_ring(u32 cpu);
void smpcall_glue_ring_many(u32 first, unsigned long cpus);
bool smpcall_glue_may_wait(void);
u64 smpcall_glue_now_ns(void);
void smpcall_glue_stalled(u32 target, int how, u32 owing, u64 waited_ns, u32 reports);
void __noreturn smpcall_glue_stop(u32 target, u64 waited_ns);
void __noreturn smpcall_glue_bug(const char *file, size_t len, u32 line);
extern u64 smpcall_glue_timeout_ns;
extern u64 smpcall_glue_stop_ns;

#endif
