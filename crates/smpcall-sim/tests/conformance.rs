//! The conformance suite on simulated machines: the promises' bodies, on the same core, with interrupts that come in at any
//! step, NMIs, and threads that are no CPUs. Each run's log is checked as a kernel's would be.

use smpcall_conformance_sim::{Lines, Rig, Suite, Tlb, ToyTlb, check_log, memory_bytes};
use smpcall_instrumented::{
    Broadcast, Broadcasting, Budget, Counts, ManyError, NotBroadcast, PerCpu, Platform, To,
};
use smpcall_sim::explore::{Found, Run, Search, Tiny, here};
use smpcall_sim::{Memory, Virtual};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::Mutex;

type Machine<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> =
    smpcall_instrumented::Machine<Virtual<PARKS, COUNTS, MIGRATES>, &'static mut [PerCpu]>;

/// What a thread that is no CPU's own is asked to do.
#[derive(Default)]
struct Asked {
    jobs: Vec<Box<dyn FnOnce() + Send>>,
    over: bool,
}

/// To throw out the page of that TLB. The simulated machine has it in simulated words, so that a broadcast, too, takes steps.
struct DropPage(&'static ToyTlb);

impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Broadcasting<DropPage>
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    fn broadcast(&self, request: &DropPage) -> Result<(), NotBroadcast> {
        if request.0.broadcast() { Ok(()) } else { Err(NotBroadcast) }
    }

    fn left_out(&self, request: &DropPage, first: u32, cpus: usize) -> usize {
        request.0.left_out(first, cpus)
    }

    fn do_here(&self, request: &DropPage) {
        request.0.drop_here(self.current_cpu().expect("a CPU is called"));
    }
}

/// `HANDLER`: doorbells interrupt, and their handler flushes. `COUNTS`: the port counts, in simulated words.
struct VirtualRig<const PARKS: bool, const HANDLER: bool, const COUNTS: bool, const MIGRATES: bool> {
    smp: &'static Machine<PARKS, COUNTS, MIGRATES>,
    tlb: &'static ToyTlb,
    /// What those threads are asked to do that are no CPU's own: the first is on none, a second is moved.
    asked: Vec<Mutex<Asked>>,
}

impl<const PARKS: bool, const HANDLER: bool, const COUNTS: bool, const MIGRATES: bool> Rig
    for VirtualRig<PARKS, HANDLER, COUNTS, MIGRATES>
{
    type Platform = Virtual<PARKS, COUNTS, MIGRATES>;
    type Storage = &'static mut [PerCpu];

    const HANDLER_FLUSHES: bool = HANDLER;

    fn smp(&self) -> &'static Machine<PARKS, COUNTS, MIGRATES> {
        self.smp
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        vec![MaybeUninit::uninit(); memory_bytes(self.smp.cpus_len())].leak()
    }

    fn rounds(&self) -> u32 {
        6
    }

    fn pause(&self) {
        here::pause();
    }

    fn sleep(&self, limit_ns: u64) -> smpcall_conformance_sim::Woken {
        use smpcall_conformance_sim::Woken;
        if here::sleep(limit_ns) { Woken::Rung } else { Woken::TimedOut }
    }

    fn rings(&self) -> Option<u64> {
        Some(here::rings())
    }

    fn counts(&self) -> Option<Counts> {
        here::counted().filter(|_| COUNTS)
    }

    fn unwind(&self) -> Option<fn() -> !> {
        Some(|| std::panic::resume_unwind(Box::new("meant")))
    }

    fn tlb(&self) -> Option<&'static dyn Tlb> {
        Some(self.tlb)
    }

    fn shoot_down(&self, to: To<'_>) -> Option<Result<Broadcast, ManyError>> {
        Some(self.smp.broadcast(to, &DropPage(self.tlb)))
    }

    fn interrupt(&self, f: &(dyn Fn() + Sync)) -> bool {
        here::interrupt(f);
        true
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        here::nmi(f);
        true
    }

    fn outside(&self, f: &'static (dyn Fn() + Sync)) -> bool {
        self.ask(0, f);
        true
    }

    fn migrates(&self, from: u32, to: u32, f: &'static (dyn Fn() + Sync)) -> bool {
        if MIGRATES {
            self.ask(1, move || {
                here::go_to(from as usize);
                here::goes_at_a_pause(to as usize);
                f();
            });
        }
        MIGRATES
    }

    fn moves(&self) -> u32 {
        here::moves()
    }
}

impl<const PARKS: bool, const HANDLER: bool, const COUNTS: bool, const MIGRATES: bool>
    VirtualRig<PARKS, HANDLER, COUNTS, MIGRATES>
{
    fn ask(&self, thread: usize, job: impl FnOnce() + Send + 'static) {
        self.asked[thread].lock().unwrap().jobs.push(Box::new(job));
        here::open(self.smp.cpus_len() as usize + thread);
    }

    /// A thread that is no CPU's own: does what it is asked to, until the suite is over.
    fn does_what_it_is_asked(&self, thread: usize) {
        loop {
            let (job, over) = {
                let mut asked = self.asked[thread].lock().unwrap();
                (asked.jobs.pop(), asked.over)
            };
            match job {
                Some(job) => job(),
                None if over => return,
                None => here::gate(),
            }
        }
    }

    fn is_over(&self) {
        for (thread, asked) in self.asked.iter().enumerate() {
            asked.lock().unwrap().over = true;
            here::open(self.smp.cpus_len() as usize + thread);
        }
    }
}

/// CPU 0's log, also of a run that does not end.
struct Coalesced(Rc<RefCell<String>>);

impl std::fmt::Write for Coalesced {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.borrow_mut().push_str(text);
        Ok(())
    }
}

/// Runs the suite once, and hands out CPU 0's log.
fn run<const PARKS: bool, const HANDLER: bool, const COUNTS: bool, const MIGRATES: bool>(
    cpus: u32,
    seed: u64,
) -> (Found, String) {
    // One that is on no CPU, and one that is moved.
    let others = 1 + usize::from(MIGRATES);
    let tiny = Tiny {
        cpus: cpus as usize,
        callers: others,
        interrupts: HANDLER,
        memory: Memory::Tso,
        steps_max: 40_000_000,
    };
    let log = Rc::new(RefCell::new(String::new()));
    let told = Rc::clone(&log);
    let make = move || {
        here::count_for(cpus as usize);
        // Leaked, as the suite asks for: functions of a run that failed may come late.
        let storage = (0..cpus).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
        let smp: &'static Machine<PARKS, COUNTS, MIGRATES> = Box::leak(Box::new(
            smpcall_instrumented::Machine::with_storage(Virtual::<PARKS, COUNTS, MIGRATES>, storage)
                .expect("1 to 8192 CPUs"),
        ));
        let rig = VirtualRig::<PARKS, HANDLER, COUNTS, MIGRATES> {
            smp,
            tlb: Box::leak(Box::new(ToyTlb::new())),
            asked: (0..others).map(|_| Mutex::default()).collect(),
        };
        let suite: &'static Suite<VirtualRig<PARKS, HANDLER, COUNTS, MIGRATES>> =
            Box::leak(Box::new(Suite::new(rig)));
        let body = |cpu: u32| -> Box<dyn FnOnce()> {
            let told = Rc::clone(&told);
            Box::new(move || {
                let mut log = Lines(Coalesced(told));
                // What it comes to is in the log.
                let _ = suite.run(&mut log);
                if cpu == 0 {
                    suite.rig().is_over();
                }
            })
        };
        let mut bodies: Vec<Box<dyn FnOnce()>> = (0..cpus).map(body).collect();
        bodies.extend((0..others).map(|thread| -> Box<dyn FnOnce()> {
            Box::new(move || suite.rig().does_what_it_is_asked(thread))
        }));
        Run { bodies, doorbell: Box::new(|| _ = smp.flush(Budget::DEFAULT)), is_bad: Box::new(|| false) }
    };
    // SAFETY: machine, suite and memory are leaked, so that whatever is stored to stays in place.
    let found = unsafe { tiny.explore(&Search::Seeds(seed..seed + 1), make) };
    (found, log.take())
}

#[track_caller]
fn passes<const PARKS: bool, const HANDLER: bool, const COUNTS: bool, const MIGRATES: bool>(
    cpus: u32,
    seeds: std::ops::Range<u64>,
) {
    for seed in seeds {
        let (found, log) = run::<PARKS, HANDLER, COUNTS, MIGRATES>(cpus, seed);
        let summary = check_log(&log)
            .unwrap_or_else(|fault| panic!("{cpus} CPUs, seed {seed}: {fault} ({found:?})\n{log}"));
        assert_eq!(found, Found { runs: 1, bad: 0, endless: 0 }, "{cpus} CPUs, seed {seed}");
        // A budget cannot be had of a handler that flushes with its own; two cases are about what is counted, five about callers
        // that sleep, two about threads that migrate.
        let skipped =
            u32::from(HANDLER) + 2 * u32::from(!COUNTS) + 5 * u32::from(!PARKS) + 2 * u32::from(!MIGRATES);
        assert!(cpus == 1 || summary.skipped == skipped, "{cpus} CPUs, seed {seed}: {summary}\n{log}");
    }
}

#[test]
fn on_one_cpu() {
    passes::<false, true, true, false>(1, 0..3);
    passes::<true, false, true, false>(1, 0..3);
}

#[test]
fn on_two_cpus_that_doorbells_interrupt() {
    passes::<false, true, true, false>(2, 0..12);
    passes::<true, true, false, false>(2, 0..12);
}

#[test]
fn on_two_cpus_that_doorbells_wake() {
    passes::<false, false, true, false>(2, 0..12);
    passes::<true, false, true, false>(2, 0..12);
}

#[test]
fn on_cpus_whose_threads_migrate() {
    passes::<true, true, false, true>(2, 40..52);
    passes::<true, true, false, true>(3, 60..63);
}

#[test]
fn on_three_cpus() {
    passes::<false, true, false, false>(3, 10..13);
    passes::<true, false, true, false>(3, 10..13);
}

/// Doorbells that interrupt are not counted here: each flush takes the longer, and three that call one CPU, and wait, then ring it
/// again before its thread has come far (CAVEATS, O20).
#[test]
fn on_four_cpus() {
    // Not 20 or 25: of every fifth seed's schedule the waiters ring so often that the thread takes a hundred times as long; it ends, too.
    passes::<true, true, false, false>(4, 21..24);
    passes::<false, false, true, false>(4, 20..22);
}

/// Not with doorbells that interrupt, for the same reason. Posts alone leave the thread its turns: `tests/flood.rs`.
#[test]
fn on_eight_cpus() {
    passes::<true, false, true, false>(8, 30..31);
}

#[test]
fn the_same_seed_gives_the_same_log() {
    assert_eq!(run::<true, true, false, false>(3, 7).1, run::<true, true, false, false>(3, 7).1);
}
