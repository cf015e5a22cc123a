// SPDX-License-Identifier: GPL-2.0-only
/*
 * What scftorture does not test: the asynchronous call and its -EBUSY, posts with interrupts off and from hard interrupts, conditions,
 * irq_work, wake-ups, order. A line for each check: `NAME: n tried, m bad`. Checks of two classes: `linux`, what stock Linux promises
 * too; `promise`, what it does not (P2, P3), where the figure says how often a promise of smpcall is broken by this kernel.
 */
#define pr_fmt(fmt) "smpcall-check: " fmt

#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/version.h>

static int races = 20000;
module_param(races, int, 0);
static bool many_posters; /* Stock Linux's list would bite its tail, and the CPU never come back. */
module_param(many_posters, bool, 0);

/* A fault, and nothing else: that it fails the run shows that any other of its sort would. */
enum { PLANT_WARNING = 1, PLANT_FREED_CSD, PLANT_RACE };
static int plant;
module_param(plant, int, 0);

/* Doorbells are lost: one of so many, and at most so many in all, or the guest comes to nothing more. */
static int lose;
module_param(lose, int, 0);
static int lose_max = 5;
module_param(lose_max, int, 0);

/* Calls from everywhere to everywhere, until the module is removed; and a panic on one CPU a second later. */
static bool storm;
module_param(storm, bool, 0);
static bool crash;
module_param(crash, bool, 0);

/* Where irq_work_queue_on() is, which is not exported: init reads it from /proc/kallsyms. */
static unsigned long queue_on;
module_param(queue_on, ulong, 0);

static int checks, failures, broken;

static void report(const char *class, const char *name, long tried, long bad)
{
	pr_info("%s %s: %ld tried, %ld bad\n", class, name, tried, bad);
	checks++;
	if (!tried)
		failures++;
	if (bad && !strcmp(class, "linux"))
		failures++;
	else if (bad)
		broken++;
}

static void wait_for(atomic_t *what, int value)
{
	while (atomic_read(what) < value)
		cpu_relax();
}

/* A csd that counts its runs. */
static atomic_t runs;

static void count(void *unused)
{
	atomic_inc(&runs);
}

static call_single_data_t csd;

/*
 * P2: told -EBUSY, and the run does not see what was written before. For that the csd must be posted again just when it is unlocked:
 * a first call holds the target until a second one, the gate, and the csd are queued, so that both are in one batch and no interrupt
 * comes between them. The gate is let go, and the pause until the post is steered to where half of the posts are told -EBUSY. What the
 * two CPUs race for has lines of its own: both have them in their caches, and a store takes as long as it can.
 */
#define P2_LINES 24

static struct {
	atomic_t holds;
	int open;
	int go ____cacheline_aligned;
	/* What the poster writes: the last is looked at, and its store waits for those before it. */
	struct {
		int data;
	} ____cacheline_aligned written[P2_LINES];
	int saw ____cacheline_aligned;
	call_single_data_t gate, csd ____cacheline_aligned;
} p2;

static void p2_first(void *unused)
{
	atomic_set(&p2.holds, 1);
	while (!READ_ONCE(p2.open))
		cpu_relax();
}

static void p2_gate(void *unused)
{
	/* So that the post can be early as well as late. */
	int room = 4096, at;

	for (at = 0; at < P2_LINES; at++)
		WRITE_ONCE(p2.saw, READ_ONCE(p2.written[at].data));
	atomic_set(&p2.holds, 2);
	/* No cpu_relax(): an emulator leaves its loop for that, and comes back late. */
	while (!READ_ONCE(p2.go))
		barrier();
	while (room--)
		barrier();
}

static void p2_look(void *unused)
{
	WRITE_ONCE(p2.saw, READ_ONCE(p2.written[P2_LINES - 1].data));
	/* Release: publishes `saw`; pairs with the poster's smp_rmb(). */
	atomic_inc_return_release(&runs);
}

/* The gate is closed, and the csd is next behind it. */
static void p2_set_up(void)
{
	atomic_set(&runs, 0);
	atomic_set(&p2.holds, 0);
	WRITE_ONCE(p2.open, 0);
	WRITE_ONCE(p2.go, 0);
	smp_call_function_single(1, p2_first, NULL, 0);
	wait_for(&p2.holds, 1);
	if (smp_call_function_single_async(1, &p2.gate) || smp_call_function_single_async(1, &p2.csd))
		failures++;
	WRITE_ONCE(p2.open, 1);
	wait_for(&p2.holds, 2);
}

static void check_p2(void)
{
	int race, at, steered = 2048, busy = 0, unseen = 0;
	struct rnd_state random;

	prandom_seed_state(&random, 1);
	INIT_CSD(&p2.gate, p2_gate, NULL);
	INIT_CSD(&p2.csd, p2_look, NULL);
	for (race = 1; race <= races; race++) {
		int pause = steered + prandom_u32_state(&random) % 64, err;

		p2_set_up();
		WRITE_ONCE(p2.go, 1);
		while (pause--)
			barrier();
		for (at = 0; at < P2_LINES; at++)
			WRITE_ONCE(p2.written[at].data, race);
		err = smp_call_function_single_async(1, &p2.csd);
		wait_for(&runs, err ? 1 : 2);
		smp_rmb();
		if (err == -EBUSY) {
			busy++;
			unseen += READ_ONCE(p2.saw) != race;
			steered = min(steered + 16, 100000);
		} else {
			failures += err != 0;
			steered = max(steered - 16, 0);
		}
		if (!(race % 1024))
			cond_resched();
	}
	pr_info("p2: %d races, %d told EBUSY, %d of those not seen; pause %d at the end\n", races, busy, unseen, steered);
	report("promise", "p2-busy-is-seen", busy, unseen);
}

/* A kthread on each CPU that runs `work` once. */
struct crew {
	int (*work)(void *crew);
	atomic_t ready, done;
	int size;
};

static int hand(void *crew)
{
	struct crew *all = crew;

	atomic_inc(&all->ready);
	/* The others are still to be made, perhaps by a task of this CPU. */
	while (atomic_read(&all->ready) < all->size)
		cond_resched();
	all->work(crew);
	atomic_inc(&all->done);
	return 0;
}

/*
 * All hands are there before the first is woken: a hand spins until the others are ready, and whoever is to make them would not get
 * its CPU back from one that spins there.
 */
static void run_crew(struct crew *crew, int size)
{
	static struct task_struct *hands[NR_CPUS];
	int cpu;

	crew->size = size;
	for (cpu = 0; cpu < size; cpu++) {
		hands[cpu] = kthread_create_on_cpu(hand, crew, cpu, "smpcall/%u");
		if (IS_ERR(hands[cpu])) {
			while (cpu--)
				kthread_stop(hands[cpu]);
			failures++;
			return;
		}
	}
	for (cpu = size - 1; cpu >= 0; cpu--)
		wake_up_process(hands[cpu]);
	while (atomic_read(&crew->done) < size)
		msleep(1);
}

/* P3: all CPUs post one csd, to all CPUs, at the same time. Each success is a run. */
static atomic_t won;

static int post_all(void *unused)
{
	unsigned long end = jiffies + HZ / 2;
	int at;

	for (at = 0; time_before(jiffies, end); at++) {
		if (!smp_call_function_single_async((at + raw_smp_processor_id()) % num_online_cpus(), &csd))
			atomic_inc(&won);
		if (at % 64 == 0)
			cond_resched();
	}
	return 0;
}

static void check_p3(void)
{
	struct crew crew = { .work = post_all };

	if (!many_posters)
		return;
	atomic_set(&runs, 0);
	INIT_CSD(&csd, count, NULL);
	run_crew(&crew, num_online_cpus());
	msleep(20);
	report("promise", "p3-one-of-many-posters-wins", atomic_read(&won), abs(atomic_read(&won) - atomic_read(&runs)));
}

/* P5: a csd that posts itself from inside its function, to the other of two CPUs. */
static atomic_t refused;

static void hop(void *unused)
{
	if (atomic_inc_return(&runs) < 2000 && smp_call_function_single_async(!raw_smp_processor_id(), &csd))
		atomic_inc(&refused);
}

static void check_p5(void)
{
	atomic_set(&runs, 0);
	INIT_CSD(&csd, hop, NULL);
	if (smp_call_function_single_async(1, &csd))
		atomic_inc(&refused);
	/* Who is refused ends the chain. */
	while (atomic_read(&runs) < 2000 && !atomic_read(&refused))
		msleep(1);
	report("linux", "p5-posts-itself-from-inside", 2000, 2000 - atomic_read(&runs));
}

/* With interrupts off, and from a hard interrupt. */
static atomic_t ticks;
static struct hrtimer timer;
static int bad_posts;

static enum hrtimer_restart tick(struct hrtimer *unused)
{
	int err = smp_call_function_single_async(1, &csd);

	if (err && err != -EBUSY)
		bad_posts++;
	if (!err)
		atomic_inc(&won);
	if (atomic_inc_return(&ticks) >= 200)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(&timer, ns_to_ktime(100 * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static void check_contexts(void)
{
	int at, bad = 0;

	atomic_set(&runs, 0);
	INIT_CSD(&csd, count, NULL);
	for (at = 1; at <= 1000; at++) {
		unsigned long flags;

		local_irq_save(flags);
		bad += smp_call_function_single_async(1, &csd) != 0;
		local_irq_restore(flags);
		wait_for(&runs, at);
	}
	report("linux", "posts-with-irqs-off", at - 1, bad);
	atomic_set(&runs, 0);
	atomic_set(&won, 0);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&timer, tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
#else
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer.function = tick;
#endif
	hrtimer_start(&timer, ns_to_ktime(100 * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
	while (atomic_read(&ticks) < 200)
		msleep(1);
	hrtimer_cancel(&timer);
	msleep(20);
	report("linux", "posts-from-a-hard-irq", atomic_read(&won), bad_posts + abs(atomic_read(&won) - atomic_read(&runs)));
}

/* A CPU that is offline, and one that there is not. */
static void check_offline(void)
{
	int last = num_online_cpus() - 1, bad = 0;

	INIT_CSD(&csd, count, NULL);
	atomic_set(&runs, 0);
	if (last < 2 || remove_cpu(last)) {
		failures++;
		return;
	}
	bad += smp_call_function_single_async(last, &csd) != -ENXIO;
	bad += smp_call_function_single(last, count, NULL, 1) != -ENXIO;
	bad += smp_call_function_single(last, count, NULL, 0) != -ENXIO;
	bad += smp_call_function_single(nr_cpu_ids + 7, count, NULL, 1) != -ENXIO;
	on_each_cpu(count, NULL, 1);
	bad += atomic_read(&runs) != last;
	bad += add_cpu(last) != 0;
	bad += smp_call_function_single(last, count, NULL, 1) != 0;
	bad += smp_call_function_single_async(last, &csd) != 0;
	wait_for(&runs, last + 2);
	report("linux", "p8-offline-is-told", 9, bad);
}

/* P8: posts to a CPU that goes and comes. What was taken runs, once; what was not is told. */
static atomic_t taken, told, odd, stop_posting, posting;

static int post_to_last(void *cpu)
{
	int last = (long)cpu;

	set_cpus_allowed_ptr(current, cpumask_of(1));
	while (!atomic_read(&stop_posting)) {
		int err = smp_call_function_single_async(last, &csd);

		if (err == 0)
			atomic_inc(&taken);
		else if (err == -ENXIO)
			atomic_inc(&told);
		else if (err != -EBUSY)
			atomic_inc(&odd);
		err = smp_call_function_single(last, count, NULL, atomic_read(&taken) % 2);
		if (err == 0)
			atomic_inc(&taken);
		else if (err == -ENXIO)
			atomic_inc(&told);
		else
			atomic_inc(&odd);
		cond_resched();
	}
	atomic_set(&posting, 0);
	return 0;
}

static void check_hotplug(void)
{
	int last = num_online_cpus() - 1, turn, bad = 0;
	struct task_struct *poster;

	INIT_CSD(&csd, count, NULL);
	atomic_set(&runs, 0);
	atomic_set(&posting, 1);
	poster = kthread_run(post_to_last, (void *)(long)last, "smpcall-poster");
	if (IS_ERR(poster)) {
		failures++;
		return;
	}
	for (turn = 0; turn < 20; turn++) {
		bad += remove_cpu(last) != 0;
		msleep(2);
		bad += add_cpu(last) != 0;
		msleep(2);
	}
	atomic_set(&stop_posting, 1);
	while (atomic_read(&posting))
		msleep(1);
	msleep(20);
	/* It was offline while it was posted to, or nothing of this was tried. */
	bad += !atomic_read(&told);
	pr_info("hotplug: %d taken, %d told that it is offline\n", atomic_read(&taken), atomic_read(&told));
	report("linux", "p8-posts-under-hotplug", atomic_read(&taken) + atomic_read(&told),
	       bad + atomic_read(&odd) + abs(atomic_read(&taken) - atomic_read(&runs)));
}

/* Masks, and conditions: each CPU is asked once, and runs where the answer was yes. */
static atomic_t asked[NR_CPUS], here[NR_CPUS];

static bool even(int cpu, void *unused)
{
	atomic_inc(&asked[cpu]);
	return cpu % 2 == 0;
}

static void ran_here(void *unused)
{
	atomic_inc(&here[raw_smp_processor_id()]);
	WARN_ON_ONCE(!irqs_disabled());
}

/* The caller's own part of a call to all: inline, and not by way of an interrupt. */
static int caller, own_parts, interrupted;

static void own_part(void *unused)
{
	if (raw_smp_processor_id() != caller)
		return;
	own_parts++;
	interrupted += !!in_hardirq();
}

static int misplaced(int from, int to, int each)
{
	int cpu, bad = 0;

	for_each_online_cpu(cpu)
		bad += atomic_xchg(&here[cpu], 0) != (cpu >= from && cpu < to && (each > 0 || cpu % 2 == 0));
	return bad;
}

static void check_masks(void)
{
	int cpus = num_online_cpus(), at, cpu, bad = 0;
	struct cpumask some;

	for (at = 0; at < 500; at++) {
		on_each_cpu_cond_mask(even, ran_here, NULL, true, cpu_online_mask);
		bad += misplaced(0, cpus, -1);
		for_each_online_cpu(cpu)
			bad += atomic_xchg(&asked[cpu], 0) != 1;
		preempt_disable();
		smp_call_function_many(cpu_online_mask, ran_here, NULL, true);
		preempt_enable();
		bad += misplaced(1, cpus, 1);
		on_each_cpu(ran_here, NULL, 1);
		bad += misplaced(0, cpus, 1);
		caller = get_cpu();
		own_parts = 0;
		on_each_cpu(own_part, NULL, 1);
		put_cpu();
		bad += own_parts != 1 || interrupted;
		smp_call_function_single(0, ran_here, NULL, 1);
		bad += misplaced(0, 1, 1);
		smp_call_function_any(cpumask_of(1), ran_here, NULL, 1);
		bad += misplaced(1, 2, 1);
		cpumask_clear(&some);
		on_each_cpu_mask(&some, ran_here, NULL, true);
		bad += misplaced(0, 0, 1);
		bad += smp_call_function_any(&some, ran_here, NULL, 1) != -ENXIO;
		kick_all_cpus_sync();
		preempt_disable();
		atomic_set(&runs, 0);
		smp_call_function_many(cpu_online_mask, count, NULL, false);
		wait_for(&runs, cpus - 1);
		preempt_enable();
	}
	report("linux", "masks-and-conditions", 10 * 500, bad);
}

/* P6: calls without waiting, from one sender to one target, run in their order. */
static int last_seen, out_of_order;

static void in_order(void *number)
{
	if ((long)number != last_seen + 1)
		out_of_order++;
	last_seen = (long)number;
	atomic_inc(&runs);
}

static void check_order(void)
{
	long number;

	atomic_set(&runs, 0);
	for (number = 1; number <= 5000; number++)
		smp_call_function_single(1, in_order, (void *)number, 0);
	wait_for(&runs, 5000);
	report("linux", "p6-in-order", 5000, out_of_order);
}

/* irq_work on another CPU: a success is a run, and who fails is seen by one (the form of P2 that Linux does promise). */
static struct irq_work work;
static int work_data, work_saw;

static void work_looks(struct irq_work *unused)
{
	WRITE_ONCE(work_saw, READ_ONCE(work_data));
	atomic_inc(&runs);
}

static void check_irq_work(void)
{
	bool (*irq_work_queue_on)(struct irq_work *work, int cpu) = (void *)queue_on;
	int at, queued = 0, unseen = 0;

	if (!queue_on) {
		failures++;
		return;
	}
	atomic_set(&runs, 0);
	init_irq_work(&work, work_looks);
	for (at = 1; at <= 20000; at++) {
		bool took;

		WRITE_ONCE(work_data, at);
		preempt_disable();
		took = irq_work_queue_on(&work, 1);
		preempt_enable();
		queued += took;
		if (at % 16 == 0) {
			irq_work_sync(&work);
			unseen += READ_ONCE(work_saw) != at;
		}
	}
	irq_work_sync(&work);
	report("linux", "irq-work", queued, unseen + abs(queued - atomic_read(&runs)));
}

/* P10: all CPUs call one another, and wait. */
static int call_others(void *unused)
{
	int at;

	for (at = 0; at < 2000; at++)
		smp_call_function_single((raw_smp_processor_id() + 1) % num_online_cpus(), count, NULL, 1);
	return 0;
}

static void check_cross_calls(void)
{
	struct crew crew = { .work = call_others };
	int cpus = num_online_cpus();

	atomic_set(&runs, 0);
	run_crew(&crew, cpus);
	report("linux", "p10-all-call-one-another", cpus * 2000, abs(cpus * 2000 - atomic_read(&runs)));
}

/* Task wake-ups from CPU to CPU, which ride in the queue. */
static struct completion ping, pong;

static int echo(void *unused)
{
	int at;

	for (at = 0; at < 3000; at++) {
		wait_for_completion(&ping);
		complete(&pong);
	}
	return 0;
}

static void check_wake_ups(void)
{
	struct task_struct *task;
	int at, late = 0;

	init_completion(&ping);
	init_completion(&pong);
	task = kthread_create_on_cpu(echo, NULL, 1, "smpcall-echo/%u");
	if (IS_ERR(task)) {
		failures++;
		return;
	}
	wake_up_process(task);
	for (at = 0; at < 3000; at++) {
		complete(&ping);
		if (!wait_for_completion_timeout(&pong, 30 * HZ))
			late++;
	}
	report("linux", "wake-ups", 3000, late);
}

/*
 * A doorbell that is lost: who was to ring CPUs goes back at once, one time in so many. Nobody else rings: the queue is not empty any more
 * (P7). Those who wait must report it, or hang.
 */
#ifdef CONFIG_KPROBES
static atomic_t rings, lost;

static int lose_a_ring(struct kprobe *unused, struct pt_regs *regs)
{
	if (atomic_inc_return(&rings) % lose || !atomic_add_unless(&lost, 1, lose_max))
		return 0;
	/* At a function's entry: what is on top of the stack is where it goes back to. */
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(unsigned long);
	return 1;
}

/* With it the probe is not made a jump, which would go on where it came from. */
static void after(struct kprobe *unused, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe ring = { .symbol_name = "smpcall_glue_ring", .pre_handler = lose_a_ring, .post_handler = after };

static int lose_doorbells(void)
{
	int err = register_kprobe(&ring);

	if (err)
		return err;
	pr_info("planted: one doorbell of %d is lost, %d at most\n", lose, lose_max);
	check_cross_calls();
	check_masks();
	unregister_kprobe(&ring);
	pr_info("planted: of %d doorbells %d were lost\n", atomic_read(&rings), atomic_read(&lost));
	return 0;
}
#else
static int lose_doorbells(void)
{
	return -EOPNOTSUPP;
}
#endif

/* A storm of calls: what a kernel is in the middle of when it suspends, is replaced, or panics. */
static struct task_struct *callers[NR_CPUS];
/* Set up by hand: 6.12 does not relocate what a module's variables of CPUs begin with. */
static DEFINE_PER_CPU(call_single_data_t, storm_csd);

static int call_around(void *number)
{
	long turn = (long)number;

	while (!kthread_should_stop()) {
		/* Any that there may be: who is offline is an answer. */
		int cpu = turn++ % nr_cpu_ids;

		if (turn % 16 == 0)
			on_each_cpu(count, NULL, 1);
		else if (turn % 4 == 0)
			smp_call_function_single_async(cpu, per_cpu_ptr(&storm_csd, (long)number));
		else
			smp_call_function_single(cpu, count, NULL, turn % 2);
		cond_resched();
	}
	return 0;
}

static int panic_soon(void *unused)
{
	msleep(1000);
	panic("planted by the checks after %d calls", atomic_read(&runs));
	return 0;
}

static void end_storm(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		if (callers[cpu])
			kthread_stop(callers[cpu]);
	/* What was posted has run before the module goes: within one batch those that are waited for run first, so twice. */
	kick_all_cpus_sync();
	kick_all_cpus_sync();
	pr_info("storm: %d functions were run\n", atomic_read(&runs));
}

static int begin_storm(void)
{
	struct task_struct *task;
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_CSD(per_cpu_ptr(&storm_csd, cpu), count, NULL);
	for_each_online_cpu(cpu) {
		task = kthread_run(call_around, (void *)(long)cpu, "smpcall-storm/%d", cpu);
		if (IS_ERR(task)) {
			end_storm();
			return PTR_ERR(task);
		}
		callers[cpu] = task;
	}
	if (!crash)
		return 0;
	task = kthread_create_on_cpu(panic_soon, NULL, 1, "smpcall-crash/%u");
	if (!IS_ERR(task))
		wake_up_process(task);
	return PTR_ERR_OR_ZERO(task);
}

/* For KASAN: the csd lies behind what the allocator writes into memory that was freed. */
static void post_freed_csd(void)
{
	struct {
		char before[64];
		call_single_data_t csd;
	} *freed = kzalloc(sizeof(*freed), GFP_KERNEL);

	if (!freed)
		return;
	INIT_CSD(&freed->csd, count, NULL);
	kfree(freed);
	smp_call_function_single_async(1, &freed->csd);
	/* It may run before the module goes. */
	kick_all_cpus_sync();
	kick_all_cpus_sync();
}

/* For KCSAN: a caller that does not wait, and what it called. */
static int raced;

static noinline void smpcall_planted_race(void *unused)
{
	int turns = 1000 * 1000;

	while (turns--) {
		raced++;
		barrier();
	}
}

static int plant_fault(void)
{
	switch (plant) {
	case PLANT_WARNING:
		WARN_ON(1);
		return 0;
	case PLANT_FREED_CSD:
		post_freed_csd();
		return 0;
	case PLANT_RACE:
		preempt_disable();
		smp_call_function_single(!smp_processor_id(), smpcall_planted_race, NULL, 0);
		smpcall_planted_race(NULL);
		preempt_enable();
		kick_all_cpus_sync();
		return 0;
	}
	return -EINVAL;
}

static void __exit end(void)
{
	if (storm)
		end_storm();
}
module_exit(end);

static int __init start(void)
{
	if (plant)
		return plant_fault();
	if (storm)
		return begin_storm();
	if (lose)
		return lose_doorbells();
	if (num_online_cpus() < 3 || set_cpus_allowed_ptr(current, cpumask_of(0)))
		return -EINVAL;
	check_p2();
	check_p3();
	check_p5();
	check_contexts();
	check_masks();
	check_order();
	check_irq_work();
	check_cross_calls();
	check_wake_ups();
	check_offline();
	check_hotplug();
	pr_info("end: %d checks, %d failures, %d promises broken\n", checks, failures, broken);
	return 0;
}
module_init(start);

MODULE_DESCRIPTION("Checks of cross-CPU calls");
MODULE_LICENSE("GPL");
