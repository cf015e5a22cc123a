//! P7, P9, P10 under a flood: seven CPUs post to one whose doorbell interrupts, as fast as they can. Its thread, which has work of its
//! own, has a turn between each two flushes that stop at their budget; calls are served; and nothing is lost.

use smpcall_instrumented::{Budget, Csd, Flushed, PerCpu, Platform, SleepGuard};
use smpcall_sim::explore::{Found, Run, Search, Tiny, here};
use smpcall_sim::{Memory, Virtual};
use smpcall_sim_atomics::{AtomicU32 as SimulatedU32, Ordering};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const CPUS: usize = 8;
const POSTERS: u32 = 7;
/// How many csds each poster has.
const CSDS: usize = 4;
/// How many steps the thread has to do.
const WORK: u32 = 60;
const BUDGET: Budget = Budget::calls(NonZeroU32::new(8).unwrap());

type Machine = smpcall_instrumented::Machine<Virtual<true>, &'static mut [PerCpu]>;

/// What the threads of one run share, leaked. One OS thread plays all of them: what is counted in plain atomics takes no step.
struct Shared {
    smp: &'static Machine,
    /// What the thread's steps are made on.
    work: SimulatedU32,
    /// Whether its work is done.
    done: SimulatedU32,
    /// How many posters call as well, and wait.
    callers: u32,
    /// How many posters have not ended.
    left: SimulatedU32,
    /// How many steps the thread has made.
    turns: AtomicU32,
    /// How many flushes of the doorbell's handler stopped at their budget, and how many steps the thread had made by the last.
    stopped: AtomicU32,
    turns_then: AtomicU32,
    /// Flushes that began without a turn of the thread since the last one that stopped.
    too_soon: AtomicU32,
    promised: AtomicU32,
    runs: AtomicU32,
    /// How many calls were waited for.
    called: AtomicU32,
}

impl Shared {
    /// The doorbell's handler.
    fn flush(&self) {
        let turns = self.turns.load(Relaxed);
        if (1..WORK).contains(&turns) {
            self.too_soon.fetch_add((turns == self.turns_then.load(Relaxed)).into(), Relaxed);
        }
        match self.smp.flush(BUDGET) {
            Flushed::More(_) => {
                self.stopped.fetch_add(1, Relaxed);
                self.turns_then.store(turns, Relaxed);
            }
            // Whoever finds it at rest rings, and that comes in at once.
            _ => self.turns_then.store(u32::MAX, Relaxed),
        }
    }

    /// CPU 0: works, and serves when its work is done.
    fn works(&self) {
        let port = self.smp.platform();
        let mut cpu = self.smp.as_pin().online().unwrap();
        while !(1..CPUS as u32).all(|cpu| self.smp.is_online_racy(cpu)) {
            here::pause();
        }
        for _ in 0..WORK {
            // Relaxed: a step.
            self.work.fetch_add(1, Ordering::Relaxed);
            self.turns.fetch_add(1, Relaxed);
        }
        // Release: nothing but that it is so.
        self.done.store(1, Ordering::Release);
        // Acquire: the posters have ended, and have rung.
        while self.left.load(Ordering::Acquire) > 0 {
            port.irq_save();
            match cpu.begin_sleep().map(SleepGuard::commit) {
                Ok(_asleep) => _ = here::sleep(1_000),
                Err(_work) => _ = cpu.flush(BUDGET),
            }
            port.irq_restore(());
        }
        assert!(cpu.offline().is_ok(), "no frame is below");
    }

    /// Another CPU: posts until that work is done.
    fn posts(&self, number: u32, csds: &'static [Csd<impl Fn() + Sync>]) {
        while !self.smp.is_online_racy(0) {
            here::pause();
        }
        let cpu = self.smp.as_pin().online().unwrap();
        loop {
            for csd in csds {
                let posted = self.smp.post(0, csd).expect("it is online until the posters have ended");
                self.promised.fetch_add(posted.is_queued().into(), Relaxed);
            }
            if number < self.callers {
                self.smp.call(0, || ()).expect("as above");
                self.called.fetch_add(1, Relaxed);
            }
            // Acquire: as it was stored.
            if self.done.load(Ordering::Acquire) == 1 {
                break;
            }
        }
        assert!(cpu.offline().is_ok(), "no frame is below");
        // Release: nothing but that it has ended.
        self.left.fetch_sub(1, Ordering::Release);
    }
}

fn make(callers: u32) -> (Run, &'static Shared) {
    let storage = (0..CPUS).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
    let smp: &'static Machine =
        Box::leak(Box::new(Machine::with_storage(Virtual, storage).expect("1 to 8192 CPUs")));
    let zero = || AtomicU32::new(0);
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        smp,
        work: SimulatedU32::new(0),
        done: SimulatedU32::new(0),
        callers,
        left: SimulatedU32::new(POSTERS),
        turns: zero(),
        stopped: zero(),
        turns_then: AtomicU32::new(u32::MAX),
        too_soon: zero(),
        promised: zero(),
        runs: zero(),
        called: zero(),
    }));
    let count = move || _ = shared.runs.fetch_add(1, Relaxed);
    let posters = (0..POSTERS).map(|number| -> Box<dyn FnOnce()> {
        let csds = (0..CSDS).map(|_| Csd::new(count)).collect::<Vec<_>>().leak();
        Box::new(move || shared.posts(number, csds))
    });
    let works: Box<dyn FnOnce()> = Box::new(|| shared.works());
    let run = Run {
        bodies: std::iter::once(works).chain(posters).collect(),
        doorbell: Box::new(|| shared.flush()),
        is_bad: Box::new(|| shared.promised.load(Relaxed) != shared.runs.load(Relaxed)),
    };
    (run, shared)
}

/// Plays seeds in which so many of the posters call as well, each once, and hands out what came of each.
fn play(callers: u32, seeds: std::ops::Range<u64>, mut judge: impl FnMut(u64, &Shared)) {
    let tiny = Tiny { cpus: CPUS, callers: 0, interrupts: true, memory: Memory::Tso, steps_max: 2_000_000 };
    for seed in seeds {
        let mut made = None;
        let make = || {
            let (run, shared) = make(callers);
            made = Some(shared);
            run
        };
        // SAFETY: everything is leaked.
        let found = unsafe { tiny.explore(&Search::Seeds(seed..seed + 1), make) };
        assert_eq!(found, Found { runs: 1, bad: 0, endless: 0 }, "seed {seed}");
        let shared = made.expect("it ran");
        assert!(shared.stopped.load(Relaxed) >= WORK / 8, "seed {seed}: a flood");
        judge(seed, shared);
    }
}

#[test]
fn p10_the_thread_of_a_cpu_that_is_flooded_has_a_turn_between_two_flushes() {
    play(0, 0..20, |seed, shared| assert_eq!(shared.too_soon.load(Relaxed), 0, "seed {seed}"));
}

/// Who waits rings again before it sleeps, so that its call need not wait for the thread.
#[test]
fn p10_calls_to_a_cpu_that_is_flooded_are_served_and_its_thread_goes_on() {
    play(1, 20..40, |seed, shared| assert!(shared.called.load(Relaxed) > 0, "seed {seed}"));
}
