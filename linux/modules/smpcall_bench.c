// SPDX-License-Identifier: GPL-2.0-only
/*
 * What calls cost: the five cases of the IPI benchmark that was proposed for Linux in 2017 (dry run, self, normal, broadcast, broadcast
 * with a lock), and the shapes that these leave out. A line for each: ns per call, the fewest of several rounds, after one that does not
 * count. The same source on the stock kernel and on ours.
 */
#define pr_fmt(fmt) "smpcall-bench: " fmt

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/smp.h>

static int calls = 1000;
module_param(calls, int, 0);
static int rounds = 8;
module_param(rounds, int, 0);

static DEFINE_SPINLOCK(lock);
static atomic_t ran;
static call_single_data_t csd;
static int other;
static struct cpumask two;

static void empty(void *unused)
{
}

static void locked(void *unused)
{
	spin_lock(&lock);
	spin_unlock(&lock);
}

static void count(void *unused)
{
	atomic_inc(&ran);
}

static void dry(void)
{
	barrier();
}

static void self(void)
{
	smp_call_function_single(0, empty, NULL, 1);
}

static void self_async(void)
{
	smp_call_function_single_async(0, &csd);
}

static void normal(void)
{
	smp_call_function_single(other, empty, NULL, 1);
}

static void normal_nowait(void)
{
	smp_call_function_single(other, empty, NULL, 0);
}

/* Until its function has begun: a csd can be posted again then. */
static void async(void)
{
	int before = atomic_read(&ran);

	if (smp_call_function_single_async(other, &csd))
		pr_err("a csd that has begun was busy\n");
	while (atomic_read(&ran) == before)
		cpu_relax();
}

static void any(void)
{
	smp_call_function_any(cpumask_of(other), empty, NULL, 1);
}

static void many_two(void)
{
	smp_call_function_many(&two, empty, NULL, 1);
}

static void broadcast(void)
{
	smp_call_function(empty, NULL, 1);
}

static void broadcast_lock(void)
{
	smp_call_function(locked, NULL, 1);
}

static void each(void)
{
	on_each_cpu(empty, NULL, 1);
}

static void measure(const char *name, void (*call)(void))
{
	u64 best = U64_MAX;
	int round, at;

	for (round = 0; round <= rounds; round++) {
		u64 start = ktime_get_ns(), took;

		preempt_disable();
		for (at = 0; at < calls; at++)
			call();
		preempt_enable();
		took = ktime_get_ns() - start;
		if (round)
			best = min(best, took);
		cond_resched();
	}
	pr_info("case %s %llu ps\n", name, div_u64(best * 1000, calls));
}

/* -EBUSY: the csd is queued on a CPU that is held meanwhile. */
static atomic_t holding, release;

static void hold(void *unused)
{
	atomic_set(&holding, 1);
	while (!atomic_read(&release))
		cpu_relax();
}

static void busy(void)
{
	if (smp_call_function_single_async(other, &csd) != -EBUSY)
		pr_err("a csd that is queued was not busy\n");
}

static void measure_busy(void)
{
	int before = atomic_read(&ran);

	smp_call_function_single(other, hold, NULL, 0);
	while (!atomic_read(&holding))
		cpu_relax();
	smp_call_function_single_async(other, &csd);
	measure("busy", busy);
	atomic_set(&release, 1);
	while (atomic_read(&ran) == before)
		cpu_relax();
}

static int __init start(void)
{
	INIT_CSD(&csd, count, NULL);
	if (set_cpus_allowed_ptr(current, cpumask_of(0)) || num_online_cpus() < 2)
		return -EINVAL;
	/* What the boot left to do is done by then. */
	msleep(300);
	other = 1;
	cpumask_set_cpu(1, &two);
	cpumask_set_cpu(2 % nr_cpu_ids, &two);
	measure("dry", dry);
	measure("self", self);
	measure("normal", normal);
	measure("broadcast", broadcast);
	measure("broadcast-lock", broadcast_lock);
	measure("normal-nowait", normal_nowait);
	measure("async", async);
	measure("async-self", self_async);
	measure("any", any);
	measure("many-two", many_two);
	measure("each", each);
	measure_busy();
	pr_info("end\n");
	return 0;
}
module_init(start);

MODULE_DESCRIPTION("What cross-CPU calls cost");
MODULE_LICENSE("GPL");
