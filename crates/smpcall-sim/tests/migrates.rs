//! P15: threads that a scheduler moves at any step, beside those that are bound to their CPUs. They call, multicast, post and wait,
//! and call what may block; whoever waits serves the CPU that it finds itself on, and keeps none.

use smpcall_instrumented::{Budget, Csd, PerCpu, Platform, Posted, SleepGuard, To};
use smpcall_sim::explore::{Found, Run, Search, Tiny, here};
use smpcall_sim::{Memory, Virtual};
use smpcall_sim_atomics::{AtomicU32, Ordering};
use std::cell::Cell;
use std::rc::Rc;

const ROUNDS: u32 = 12;

type Machine<const PARKS: bool> =
    smpcall_instrumented::Machine<Virtual<PARKS, false, true>, &'static mut [PerCpu]>;

/// What the threads of one run share. All of it is leaked.
struct Shared<const PARKS: bool> {
    smp: &'static Machine<PARKS>,
    /// For each thread: what it had written before its post, and what the run has seen of it.
    words: Vec<[AtomicU32; 2]>,
    /// How many threads that are moved have not ended.
    left: Cell<u32>,
    runs: Cell<u32>,
}

impl<const PARKS: bool> Shared<PARKS> {
    fn cpu(&self) -> Option<u32> {
        self.smp.platform().current_cpu()
    }

    /// A CPU's own thread: its idle loop. From the last look to the sleep interrupts are off, as a kernel has them.
    fn idle(&self) {
        let port = self.smp.platform();
        let mut cpu = self.smp.as_pin().online().unwrap();
        while self.left.get() > 0 {
            cpu.run_blocking();
            port.irq_save();
            match cpu.begin_sleep().map(SleepGuard::commit) {
                Ok(_asleep) if self.left.get() > 0 => _ = here::sleep(u64::MAX),
                Ok(_asleep) => {}
                Err(_work) => _ = cpu.flush(Budget::DEFAULT),
            }
            port.irq_restore(());
        }
    }

    /// A thread that is moved.
    fn wander(&'static self, number: usize, every: u32) {
        let cpus = self.smp.cpus_len();
        here::go_to(number % cpus as usize);
        while !(0..cpus).all(|cpu| self.smp.is_online_racy(cpu)) {
            here::pause();
        }
        here::wander(every);
        let [written, seen] = &self.words[number];
        let csd: &'static Csd<_> = Box::leak(Box::new(Csd::new(move || {
            // Relaxed: to have it published is the duty of the post under test, and to publish, that of the wait (P2, P4).
            seen.store(written.load(Ordering::Relaxed), Ordering::Relaxed);
            self.runs.set(self.runs.get() + 1);
        })));
        for round in 0..ROUNDS {
            let target = (round + number as u32) % cpus;
            match round % 4 {
                0 => assert_eq!(self.smp.call(target, || self.cpu()), Ok(Some(target))),
                1 => self.reach_all(),
                2 => {
                    // Relaxed: as above.
                    written.store(round, Ordering::Relaxed);
                    assert_eq!(self.smp.post(target, csd), Ok(Posted::Queued));
                    assert_eq!(self.smp.wait(csd), Ok(()));
                    // Relaxed: as above.
                    assert_eq!(seen.load(Ordering::Relaxed), round, "what the run has written is not seen");
                }
                _ => {
                    let bound = || (self.cpu(), self.smp.is_in_blocking());
                    assert_eq!(self.smp.call_blocking(target, bound), Ok((Some(target), true)));
                }
            }
        }
        here::wander(0);
        (0..cpus).for_each(|cpu| self.comes_forward(cpu));
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            // Whoever is about to sleep does not.
            let port = self.smp.platform();
            port.irq_save();
            assert!((0..cpus).all(|cpu| port.ring(cpu).is_ok()));
            port.irq_restore(());
        }
    }

    /// No wait has left a mark behind: a CPU is rung, since by the end nobody looks but its own thread, which sleeps.
    fn comes_forward(&self, cpu: u32) {
        let ran: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        // Relaxed: only the count matters.
        let csd: &'static Csd<_> = Box::leak(Box::new(Csd::new(move || ran.store(1, Ordering::Relaxed))));
        assert_eq!(self.smp.post(cpu, csd), Ok(Posted::Queued));
        // Relaxed: only the count matters.
        while ran.load(Ordering::Relaxed) == 0 {
            here::pause();
        }
    }

    /// Each CPU is reached once, wherever the sender goes meanwhile.
    fn reach_all(&self) {
        // Nobody but the engine's one thread runs: no step lies between the two halves of a count.
        let reached: Vec<Cell<u32>> = vec![Cell::new(0); self.smp.cpus_len() as usize];
        struct Alone<'a>(&'a [Cell<u32>]);
        // SAFETY: the virtual CPUs are coroutines of one thread.
        unsafe impl Sync for Alone<'_> {}
        impl Alone<'_> {
            fn count(&self, cpu: usize) {
                self.0[cpu].set(self.0[cpu].get() + 1);
            }
        }
        let alone = Alone(&reached);
        let sent = self.smp.call_many(To::All, || {
            alone.count(self.cpu().expect("a function runs on a CPU") as usize);
        });
        assert_eq!(sent.map(|sent| sent.ran), Ok(self.smp.cpus_len()));
        assert!(reached.iter().all(|times| times.get() == 1), "each once: {reached:?}");
    }
}

// SAFETY: the virtual CPUs are coroutines of one thread.
unsafe impl<const PARKS: bool> Sync for Shared<PARKS> {}

fn all_come_back<const PARKS: bool>(cpus: usize, movers: usize, seeds: std::ops::Range<u64>) {
    let tiny = Tiny { cpus, callers: movers, interrupts: true, memory: Memory::Tso, steps_max: 4_000_000 };
    let moves = Rc::new(Cell::new(0));
    for seed in seeds {
        let total = Rc::clone(&moves);
        let make = || {
            let storage = (0..cpus).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
            let smp: &'static Machine<PARKS> = Box::leak(Box::new(
                smpcall_instrumented::Machine::with_storage(Virtual, storage).expect("1 to 8192 CPUs"),
            ));
            let words = (0..movers).map(|_| [AtomicU32::new(0), AtomicU32::new(0)]).collect();
            let left = Cell::new(movers as u32);
            let shared: &'static Shared<PARKS> =
                Box::leak(Box::new(Shared { smp, words, left, runs: Cell::new(0) }));
            let total = Rc::clone(&total);
            // From a move at each second step to few.
            let every = 2 << (seed % 7);
            let own = (0..cpus).map(|_| -> Box<dyn FnOnce()> { Box::new(|| shared.idle()) });
            let others = (0..movers)
                .map(|number| -> Box<dyn FnOnce()> { Box::new(move || shared.wander(number, every)) });
            Run {
                bodies: own.chain(others).collect(),
                doorbell: Box::new(|| _ = smp.flush(Budget::DEFAULT)),
                is_bad: Box::new(move || {
                    total.set(total.get() + here::moves());
                    shared.runs.get() != movers as u32 * ROUNDS / 4
                }),
            }
        };
        // SAFETY: everything is leaked, so that whatever is stored to stays in place.
        let found = unsafe { tiny.explore(&Search::Seeds(seed..seed + 1), make) };
        assert_eq!(found, Found { runs: 1, bad: 0, endless: 0 }, "{cpus} CPUs, {movers} movers, seed {seed}");
    }
    assert!(moves.get() > 100, "{} moves", moves.get());
}

#[test]
fn p15_waiters_that_spin_and_are_moved_come_back() {
    all_come_back::<false>(2, 2, 0..60);
    all_come_back::<false>(3, 3, 100..130);
}

#[test]
fn p15_waiters_that_sleep_and_are_moved_come_back() {
    all_come_back::<true>(2, 2, 0..60);
    all_come_back::<true>(3, 3, 100..130);
}
