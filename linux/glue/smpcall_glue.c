// SPDX-License-Identifier: GPL-2.0-only
/*
 * smpcall in the place of the call layer of kernel/smp.c: every symbol that the rest of the kernel calls.
 *
 * The way of a call: a function below turns preemption off, deals with what is the caller's own CPU, and hands the rest to the
 * core (smpcall_*, linux/layer). The core queues, decides who is rung, and calls smpcall_glue_ring(). The IPI, or an idle CPU
 * that polled, comes to smpcall_flush(), which calls back smpcall_glue_run() for each function. Below are, in this order: what
 * callers call; what interrupts and the idle loop call; coming and going; what the core calls; stall reports.
 *
 * Deviations from kernel/smp.c, each where it occurs: a wait that could deadlock is refused, and a csd posted to its own CPU from
 * within a call is queued.
 */
#define pr_fmt(fmt) "smpcall: " fmt

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/jump_label.h>
#include <linux/llist.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/version.h>

#include <trace/events/csd.h>
#include <trace/events/ipi.h>

#include "sched/smp.h"
#include "smpcall_glue.h"

#ifndef CONFIG_64BIT
#error "the stand-in is for 64-bit kernels: there a csd's two small fields are the core's"
#endif

/* The core's Header (crates/smpcall/src/csd/header.rs) over Linux's csd, and as much of it as I19 allows over what is no csd. */
static_assert(sizeof(struct __call_single_data) == 32 && sizeof(call_single_data_t) == 32);
static_assert(offsetof(struct __call_single_data, node.llist.next) == 0);
static_assert(offsetof(struct __call_single_data, node.u_flags) == 8);
static_assert(offsetof(struct __call_single_data, node.src) == 12 && sizeof(struct __call_single_node) == 16);
static_assert(offsetof(struct __call_single_data, func) == 16 && offsetof(struct __call_single_data, info) == 24);
static_assert(CSD_FLAG_LOCK == 0x01 && CSD_TYPE_ASYNC == 0x00 && CSD_TYPE_SYNC == 0x10);
static_assert(CSD_TYPE_IRQ_WORK == 0x20 && CSD_TYPE_TTWU == 0x30 && CSD_FLAG_TYPE_MASK == 0xf0);
static_assert(offsetof(struct irq_work, node) == 0 && sizeof(struct irq_work) >= 32);
static_assert(offsetof(struct task_struct, wake_entry) % 8 == 0);
static_assert(offsetof(struct task_struct, wake_entry) + 32 <= sizeof(struct task_struct));
static_assert(__alignof__(struct __call_single_node) == 8);
#define SINCE_7_3 (LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0))
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0) || (!SINCE_7_3 && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)) || \
	LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "the stand-in is for Linux 6.12 and 7.3"
#endif

#ifdef CONFIG_X86_64
/* What linux/layer/src/x86_64.rs takes for granted. */
#if SINCE_7_3
static_assert(__same_type(cpu_number, int));
#else
static_assert(offsetof(struct pcpu_hot, cpu_number) == 12);
#endif
static_assert(!IS_ENABLED(CONFIG_PARAVIRT_XXL));
#endif

#if SINCE_7_3
/* What says whether to wait: an int before 7.3. */
typedef bool wait_t;
/* The core is built with its feature `preemptible` then. */
#define PREEMPTIBLE_WAITS IS_ENABLED(CONFIG_PREEMPTION)
#define trace_queue trace_call__csd_queue_cpu
#else
typedef int wait_t;
#define PREEMPTIBLE_WAITS false
#define trace_queue trace_csd_queue_cpu
#endif

#ifdef CONFIG_CSD_LOCK_WAIT_DEBUG
static DEFINE_STATIC_KEY_MAYBE(CONFIG_CSD_LOCK_WAIT_DEBUG_DEFAULT, reports_on);
#define reports_enabled() static_branch_maybe(CONFIG_CSD_LOCK_WAIT_DEBUG_DEFAULT, &reports_on)
#else
#define reports_enabled() false
#endif

/* For reports: what each CPU runs, and what it waits for. */
static DEFINE_PER_CPU(smp_call_func_t, runs);
static DEFINE_PER_CPU(smp_call_func_t, waits_for);

static void flush(void);

/* Callers */

/* A call on the caller's own CPU: inline, irqs off, as everywhere else. */
static void run_here(smp_call_func_t func, void *info)
{
	unsigned long flags;

	local_irq_save(flags);
	smpcall_glue_run(func, info, NULL);
	local_irq_restore(flags);
}

/* A wait that could deadlock was refused (P10); Linux warns, and tries. */
static void warn_refused(int err, smp_call_func_t func)
{
	WARN_ONCE(err == -EDEADLK, "%ps: a wait with irqs off, or from within a call, could deadlock: not called\n", func);
}

/* What on_each_cpu() and its like have for the caller's own CPU. */
struct own_part {
	smp_call_func_t func;
	void *info;
	bool ran;
};

/* Between the doorbells and the wait, as in Linux. Preemption was off until now, and is on again for a wait that may be preempted. */
void smpcall_glue_own_part(void *of_caller)
{
	struct own_part *own = of_caller;

	run_here(own->func, own->info);
	own->ran = true;
	if (PREEMPTIBLE_WAITS)
		preempt_enable();
}

/* Another CPU, or, if `meant` is given, those, of which the caller's own is none; `own`: its part, which is done meanwhile. */
static __always_inline int call(int cpu, const struct cpumask *meant, smp_call_func_t func, void *info, bool wait,
				struct own_part *own)
{
	if (own)
		return smpcall_many_and_own(cpumask_bits(meant), BITS_TO_LONGS(nr_cpu_ids), func, info, own);
	if (meant)
		return smpcall_many(cpumask_bits(meant), BITS_TO_LONGS(nr_cpu_ids), func, info, wait);
	return wait ? smpcall_call(cpu, func, info) : smpcall_send(cpu, func, info);
}

/* What a CPU waits for is noted for it: so its waiter stays there, as under Linux's own csd lock debugging. */
static noinline int call_reported(int cpu, const struct cpumask *meant, smp_call_func_t func, void *info, bool wait,
				  struct own_part *own)
{
	smp_call_func_t before;
	int err;

	preempt_disable();
	before = this_cpu_xchg(waits_for, func);
	err = call(cpu, meant, func, info, wait, own);
	this_cpu_write(waits_for, before);
	preempt_enable();
	return err;
}

static __always_inline int call_others(int cpu, const struct cpumask *meant, smp_call_func_t func, void *info,
				       bool wait, struct own_part *own)
{
	int err = reports_enabled() ? call_reported(cpu, meant, func, info, wait, own) :
				      call(cpu, meant, func, info, wait, own);

	if (unlikely(err))
		warn_refused(err, func);
	return err;
}

/* Preemption is off, and on again at the end; while it waits it is off where waits are not preemptible, or it was off before. */
static int call_single(int cpu, smp_call_func_t func, void *info, bool wait, unsigned long callsite)
{
	int err = 0;

	if (cpu == smp_processor_id()) {
		/* It would not deadlock; but to any other CPU it would, and Linux warns of both. */
		WARN_ON_ONCE(irqs_disabled() && !smpcall_glue_may_wait());
		run_here(func, info);
	} else {
		trace_csd_queue_cpu(cpu, callsite, func, NULL);
		if (wait && PREEMPTIBLE_WAITS) {
			preempt_enable();
			return call_others(cpu, NULL, func, info, wait, NULL);
		}
		err = call_others(cpu, NULL, func, info, wait, NULL);
	}
	preempt_enable();
	return err;
}

int smp_call_function_single(int cpu, smp_call_func_t func, void *info, wait_t wait)
{
	preempt_disable();
	return call_single(cpu, func, info, wait, _RET_IP_);
}
EXPORT_SYMBOL(smp_call_function_single);

/*
 * Unlike Linux's, any number of callers may try it on one csd at the same time (P3), and -EBUSY is a promise (P2): one run is
 * still to begin, and sees what the caller wrote before. From within a call, a csd for this CPU is queued: it does not recurse.
 */
int smp_call_function_single_async(int cpu, call_single_data_t *csd)
{
	int err;

	preempt_disable();
	trace_csd_queue_cpu(cpu, _RET_IP_, csd->func, csd);
	err = smpcall_post(cpu, csd);
	preempt_enable();
	return err;
}
EXPORT_SYMBOL_GPL(smp_call_function_single_async);

#if SINCE_7_3
/* This CPU if it is in the mask, else the nearest. */
static int nearest(const struct cpumask *mask)
{
	int cpu = smp_processor_id();

	return cpumask_test_cpu(cpu, mask) ? cpu : sched_numa_find_nth_cpu(mask, 0, cpu_to_node(cpu));
}
#else
/* This CPU if it is in the mask, else one of its node, else any. */
static int nearest(const struct cpumask *mask)
{
	int cpu = smp_processor_id(), near;

	if (cpumask_test_cpu(cpu, mask))
		return cpu;
	for_each_cpu_and(near, cpumask_of_node(cpu_to_node(cpu)), mask)
		if (cpu_online(near))
			return near;
	return cpumask_any_and(mask, cpu_online_mask);
}
#endif

int smp_call_function_any(const struct cpumask *mask, smp_call_func_t func, void *info, int wait)
{
	int err;

	/* Again where waits are preemptible, and the CPU that was chosen went offline before it was called. */
	do {
		preempt_disable();
		err = call_single(nearest(mask), func, info, wait, _RET_IP_);
	} while (PREEMPTIBLE_WAITS && err == -ENXIO && cpumask_intersects(mask, cpu_online_mask));
	return err;
}
EXPORT_SYMBOL_GPL(smp_call_function_any);

/* Takes those out for whom the condition says no. */
static void ask(struct cpumask *meant, smp_cond_func_t cond, void *info)
{
	int cpu;

	for_each_cpu(cpu, meant)
		if (!cond(cpu, info))
			__cpumask_clear_cpu(cpu, meant);
}

static void trace_queued(const struct cpumask *meant, unsigned long callsite, smp_call_func_t func)
{
	int cpu;

	if (trace_csd_queue_cpu_enabled())
		for_each_cpu(cpu, meant)
			trace_queue(cpu, callsite, func, NULL);
}

/* Calls the others and waits for them; the caller's own part, with interrupts off, between. Preemption is off, and on again at the end. */
static void call_many_and_here(const struct cpumask *others, smp_call_func_t func, void *info)
{
	struct own_part own = { .func = func, .info = info };

	call_others(smp_processor_id(), others, func, info, true, &own);
	if (unlikely(!own.ran))
		/* Refused: irqs are off, which does not keep the caller's own CPU from it. */
		smpcall_glue_own_part(&own);
	if (!PREEMPTIBLE_WAITS)
		preempt_enable();
}

/*
 * The others, and the caller's own CPU if `own`, when they were rung. The condition is asked for all before anybody is called. Preemption is off
 * while it is decided who is meant, and until the caller's own part is done; longer where waits are not preemptible.
 */
static void call_many(const struct cpumask *mask, smp_call_func_t func, void *info, bool wait, bool own,
		      smp_cond_func_t cond, unsigned long callsite)
{
	struct cpumask others; /* On the stack: an interrupt may come and call, too. */
	int this_cpu;

	BUILD_BUG_ON(NR_CPUS > 4096);
	preempt_disable();
	this_cpu = smp_processor_id();
	cpumask_and(&others, mask, cpu_online_mask);
	if (!own)
		__cpumask_clear_cpu(this_cpu, &others);
	if (cond)
		ask(&others, cond, info);
	own = cpumask_test_cpu(this_cpu, &others);
	__cpumask_clear_cpu(this_cpu, &others);
	if (cpumask_empty(&others)) {
		if (own)
			run_here(func, info);
	} else {
		trace_queued(&others, callsite, func);
		if (wait && own)
			return call_many_and_here(&others, func, info);
		if (wait && PREEMPTIBLE_WAITS)
			preempt_enable();
		call_others(this_cpu, &others, func, info, wait, NULL);
		if (wait && PREEMPTIBLE_WAITS)
			return;
		if (own)
			run_here(func, info);
	}
	preempt_enable();
}

void smp_call_function_many(const struct cpumask *mask, smp_call_func_t func, void *info, bool wait)
{
	if (!PREEMPTIBLE_WAITS)
		lockdep_assert_preemption_disabled();
	call_many(mask, func, info, wait, false, NULL, _RET_IP_);
}
EXPORT_SYMBOL(smp_call_function_many);

void smp_call_function(smp_call_func_t func, void *info, int wait)
{
	call_many(cpu_online_mask, func, info, wait, false, NULL, _RET_IP_);
}
EXPORT_SYMBOL(smp_call_function);

void on_each_cpu_cond_mask(smp_cond_func_t cond, smp_call_func_t func, void *info, bool wait,
			   const struct cpumask *mask)
{
	call_many(mask, func, info, wait, true, cond, _RET_IP_);
}
EXPORT_SYMBOL(on_each_cpu_cond_mask);

static void nothing(void *unused)
{
}

void kick_all_cpus_sync(void)
{
	/* What the caller wrote is visible to whoever was kicked: the call orders it (P4). */
	smp_call_function(nothing, NULL, 1);
}
EXPORT_SYMBOL_GPL(kick_all_cpus_sync);

#if SINCE_7_3
#ifdef CONFIG_PREEMPTION
/* Nothing: who is meant is on the caller's stack. */
int smp_task_ipi_mask_alloc(struct task_struct *task)
{
	return 0;
}

void smp_task_ipi_mask_free(struct task_struct *task)
{
}
#endif

/* Whether anything is queued for one of these, or was a moment ago. */
bool cpus_peek_for_pending_ipi(const struct cpumask *mask)
{
	return smpcall_is_pending(cpumask_bits(mask), BITS_TO_LONGS(nr_cpu_ids));
}
#endif

/* It never changes while the node is queued; but an irq_work that is claimed once more has other bits of that word written meanwhile. */
static unsigned int type_of(const struct __call_single_node *node)
{
	return READ_ONCE(node->u_flags) & CSD_FLAG_TYPE_MASK;
}

/* What is no csd. A CPU that takes nothing any more must not lose it (P8): it runs here, and somebody hears of it. */
void __smp_call_single_queue(int cpu, struct llist_node *llist)
{
	struct __call_single_node *node = container_of(llist, struct __call_single_node, llist);
	unsigned long flags;

	if (trace_csd_queue_cpu_enabled()) {
		struct __call_single_data *csd = container_of(node, struct __call_single_data, node);
		bool wakes = type_of(node) == CSD_TYPE_TTWU;

		trace_queue(cpu, _RET_IP_, wakes ? sched_ttwu_pending : csd->func, (call_single_data_t *)csd);
	}
	if (likely(smpcall_push(cpu, node)))
		return;
	WARN_ONCE(1, "work for CPU %d, which is offline, is done by another\n", cpu);
	local_irq_save(flags);
	smpcall_glue_take(node);
	flush();
	local_irq_restore(flags);
}

/* Interrupts, and the idle loop */

/* Task wake-ups that the flush under way has come to, oldest first: the scheduler takes them all at once. */
struct wake_ups {
	struct llist_node *first;
	struct llist_node **last;
};
static DEFINE_PER_CPU(struct wake_ups, wake_ups);

static void wake_them(void)
{
	struct llist_node *first = this_cpu_read(wake_ups.first);

	if (unlikely(first)) {
		this_cpu_write(wake_ups.first, NULL);
		sched_ttwu_pending(first);
	}
}

/* Irqs are off. */
static void flush(void)
{
	smpcall_flush();
	wake_them();
}

void generic_smp_call_function_single_interrupt(void)
{
	flush();
}

/* From the idle loop, which other CPUs need not interrupt while it polls, and before a task is moved. */
void flush_smp_call_function_queue(void)
{
	unsigned int was_pending;
	unsigned long flags;

	if (!smpcall_has_work())
		return;
	local_irq_save(flags);
	was_pending = local_softirq_pending();
	flush();
	if (local_softirq_pending())
		do_softirq_post_smp_call_flush(was_pending);
	local_irq_restore(flags);
}

/* Coming and going */

void __init call_function_init(void)
{
	size_t bytes = smpcall_bytes(nr_cpu_ids);
	void *memory = kzalloc(bytes + 127, GFP_NOWAIT | __GFP_NOFAIL);

	smpcall_init(PTR_ALIGN(memory, 128), nr_cpu_ids);
	smpcall_online();
	pr_info("call layer %s in the place of kernel/smp.c's: %zu bytes for %u CPUs\n", smpcall_version(), bytes, nr_cpu_ids);
}

/* Nothing to allocate (P13). */
int smpcfd_prepare_cpu(unsigned int cpu)
{
	return 0;
}

int smpcfd_dead_cpu(unsigned int cpu)
{
	return 0;
}

int smpcfd_starting_cpu(unsigned int cpu);

/* On the CPU that comes, before it counts as online. Linux has no such step; its queues take what is sent to anybody. */
int smpcfd_starting_cpu(unsigned int cpu)
{
	smpcall_online();
	return 0;
}

/* On the CPU that goes, irqs off. All that it accepted is done here (P8); whoever comes later is told -ENXIO. */
int smpcfd_dying_cpu(unsigned int cpu)
{
	smpcall_offline();
	wake_them();
	irq_work_run();
	return 0;
}

/* What the core calls */

static __always_inline void run_traced(smp_call_func_t func, void *info, void *csd)
{
	/* Irqs are off, but if the core switched them off itself, for a call on the caller's own CPU, nobody has told lockdep. */
	bool untold = lockdep_hardirqs_enabled();

	if (untold)
		trace_hardirqs_off();
	trace_csd_function_entry(func, csd);
	func(info);
	trace_csd_function_exit(func, csd);
	if (untold)
		trace_hardirqs_on();
}

static noinline void run_reported(smp_call_func_t func, void *info, void *csd)
{
	smp_call_func_t before = this_cpu_xchg(runs, func);

	run_traced(func, info, csd);
	this_cpu_write(runs, before);
}

/* Where there is nothing to trace and to report, this is a jump. */
void smpcall_glue_run(smp_call_func_t func, void *info, void *csd)
{
	if (reports_enabled())
		run_reported(func, info, csd);
	else
		run_traced(func, info, csd);
}

void smpcall_glue_take(struct __call_single_node *node)
{
	struct wake_ups *woken = this_cpu_ptr(&wake_ups);

	if (type_of(node) == CSD_TYPE_IRQ_WORK) {
		irq_work_single(node);
		return;
	}
	node->llist.next = NULL;
	if (woken->first)
		*woken->last = &node->llist;
	else
		woken->first = &node->llist;
	woken->last = &node->llist.next;
}

void smpcall_glue_ring(u32 cpu)
{
	if (!call_function_single_prep_ipi(cpu))
		return;
	trace_ipi_send_cpu(cpu, _RET_IP_, generic_smp_call_function_single_interrupt);
	arch_send_call_function_single_ipi(cpu);
}

/* Irqs are off, so that nobody else uses this CPU's mask meanwhile. */
static DEFINE_PER_CPU(cpumask_t, rung);

void smpcall_glue_ring_many(u32 first, unsigned long cpus)
{
	struct cpumask *mask = this_cpu_ptr(&rung);

	cpumask_bits(mask)[BIT_WORD(first)] = cpus;
	trace_ipi_send_cpumask(mask, _RET_IP_, generic_smp_call_function_single_interrupt);
	arch_send_call_function_ipi_mask(mask);
	cpumask_bits(mask)[BIT_WORD(first)] = 0;
}

/* Nobody calls a CPU that is not online, so it cannot deadlock; and an oops has nothing to lose. */
bool smpcall_glue_may_wait(void)
{
	return oops_in_progress || early_boot_irqs_disabled || !cpu_online(raw_smp_processor_id());
}

u64 smpcall_glue_now_ns(void)
{
	return ktime_get_mono_fast_ns();
}

void __noreturn smpcall_glue_bug(const char *file, size_t len, u32 line)
{
	pr_emerg("panicked at %.*s:%u\n", (int)len, file, line);
	BUG();
}

/* Stall reports: csd lock debugging's parameters, and its interface to RCU */

u64 smpcall_glue_timeout_ns;
u64 smpcall_glue_stop_ns;

void smpcall_glue_stalled(u32 target, int how, u32 owing, u64 waited_ns, u32 reports)
{
	int cpu = raw_smp_processor_id();
	smp_call_func_t func = this_cpu_read(waits_for);

	if (how == SMPCALL_OVER) {
		pr_alert("csd: CPU#%d: %pS got done by CPU#%u after %llu ns\n", cpu, func, target, waited_ns);
		return;
	}
	pr_alert("csd: %s non-responsive: CPU#%d waits %llu ns for CPU#%u (one of %u) to run %pS\n",
		 reports ? "Continued" : "Detected", cpu, waited_ns, target, owing, func);
	switch (how) {
	case SMPCALL_RUNNING:
		pr_alert("\tcsd: which it does\n");
		break;
	case SMPCALL_BEHIND:
		pr_alert("\tcsd: which is queued behind %pS\n", READ_ONCE(per_cpu(runs, target)));
		break;
	case SMPCALL_NO_ROOM:
		pr_alert("\tcsd: for which there is no room yet\n");
		break;
	default:
		pr_alert("\tcsd: which is queued, and the CPU runs no call: unresponsive; it is rung again\n");
	}
	if (!reports) {
		dump_cpu_task(target);
		dump_stack();
	}
}

void __noreturn smpcall_glue_stop(u32 target, u64 waited_ns)
{
	pr_emerg("csd: panic_on_ipistall: waited %llu ns for CPU#%u\n", waited_ns, target);
	BUG();
}

#ifdef CONFIG_CSD_LOCK_WAIT_DEBUG
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "smp."

static ulong csd_lock_timeout = 5000;
module_param(csd_lock_timeout, ulong, 0444);
static int panic_on_ipistall;
module_param(panic_on_ipistall, int, 0444);

static int __init set_reports(char *words)
{
	int on = 0;

	get_option(&words, &on);
	if (on)
		static_branch_enable(&reports_on);
	else
		static_branch_disable(&reports_on);
	return 1;
}
__setup("csdlock_debug=", set_reports);

/* Once the parameters are known; until then nothing is reported. */
static int __init set_timeouts(void)
{
	if (!reports_enabled())
		return 0;
	WRITE_ONCE(smpcall_glue_timeout_ns, (u64)csd_lock_timeout * NSEC_PER_MSEC);
	if (panic_on_ipistall > 0)
		WRITE_ONCE(smpcall_glue_stop_ns, (u64)panic_on_ipistall * NSEC_PER_MSEC);
	return 0;
}
early_initcall(set_timeouts);

bool csd_lock_is_stuck(void)
{
	return smpcall_stalled();
}
#endif
