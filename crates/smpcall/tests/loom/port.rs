//! The port that the models run on, and what they are written with.

pub(crate) use crate::memory::{Place, Tally, Word};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};
use smpcall::{
    Backoff, Budget, Cpu, Csd, Flushed, Foreign, Hosting, HotplugError, Pause, PerCpu, Platform, Reporting,
    RingError, Topology, Tracing, Tuning, Waiting,
};
use std::any::Any;
use std::array::from_fn;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Mutex;

/// How many CPUs a model's machine has, unless it says otherwise.
const CPUS: usize = 2;

loom::thread_local! {
    static CPU: Cell<Option<u32>> = Cell::new(None);
    /// How deep the irq guard is held.
    static GUARDS: Cell<u32> = Cell::new(0);
}

fn is_guarded() -> bool {
    GUARDS.with(Cell::get) != 0
}

/// A doorbell's latch. The shadow makes every two accesses conflict: see the core's `sync`.
struct Latch {
    shadow: AtomicUsize,
    rung: AtomicBool,
}

impl Latch {
    fn new() -> Self {
        Self { shadow: AtomicUsize::new(0), rung: AtomicBool::new(false) }
    }

    fn touch(&self) -> &AtomicBool {
        self.shadow.fetch_add(0, Ordering::Relaxed);
        &self.rung
    }

    fn ring(&self) {
        // Release, and a read-modify-write also if it is set: publishes the push to the flush that follows.
        self.touch().swap(true, Ordering::Release);
    }

    fn acknowledge(&self) -> bool {
        // Acquire: sees what every ringer wrote; before the flush.
        self.touch().swap(false, Ordering::Acquire)
    }
}

/// CPUs whose doorbell is a latch, and callers spin; with `PARKS`, a bell, and they sleep: a lost wake-up is a deadlock.
pub(crate) struct Port<const PARKS: bool, const N: usize = CPUS> {
    latches: [Latch; N],
    /// Those of the CPUs; the last is that of the one thread that is no CPU.
    bells: Vec<Notify>,
    rings: [Tally; N],
    /// What a CPU prepares before it rests or comes online, or a caller before it parks; while it is watched, its ringer
    /// or waker looks, and counts how often it was missing.
    pub(crate) prepared: Word,
    pub(crate) watched: Tally,
    pub(crate) missing: Tally,
    /// A park is but a nap.
    pub(crate) naps: Tally,
    /// How often a caller has parked, which is also the time unless waits are reported.
    parks: Tally,
    /// Whoever wakes lets others run at once.
    pub(crate) slow_wakes: Tally,
    /// How often a waiting caller has paused.
    pub(crate) pauses: Tally,
    /// If it is not 0, each wait is reported once: at its second look at the clock.
    pub(crate) reports: Tally,
    looks: Tally,
    /// So many rings cannot be sent.
    pub(crate) rings_to_fail: Tally,
}

impl<const PARKS: bool, const N: usize> Port<PARKS, N> {
    fn new() -> Self {
        Self {
            latches: from_fn(|_| Latch::new()),
            // Of no use where nobody sleeps, and loom pays for every object.
            bells: (0..if PARKS { N + 1 } else { 0 }).map(|_| Notify::new()).collect(),
            rings: from_fn(|_| Tally::default()),
            prepared: Word::new(),
            watched: Tally::default(),
            missing: Tally::default(),
            naps: Tally::default(),
            parks: Tally::default(),
            slow_wakes: Tally::default(),
            pauses: Tally::default(),
            reports: Tally::default(),
            looks: Tally::default(),
            rings_to_fail: Tally::default(),
        }
    }

    fn look_what_is_prepared(&self) {
        if self.watched.get() != 0 && self.prepared.get() == 0 {
            self.missing.add();
        }
    }
}

// SAFETY: 1. A model runs one thread as each CPU at a time. 2. There are no interrupts. 3. A latch is set and cleared by
// read-modify-writes; a bell is loom's own. 4. Nothing is caught. 5. A bell keeps a ring that nobody waits for, and
// outlives the model's threads.
unsafe impl<const PARKS: bool, const N: usize> Platform for Port<PARKS, N> {
    type IrqState = ();
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        CPU.with(Cell::get)
    }

    fn can_wait(&self) -> bool {
        !is_guarded()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        assert!(is_guarded(), "a ring without the irq guard");
        if self.rings_to_fail.take_one() {
            return Err(RingError);
        }
        self.rings[cpu as usize].add();
        if PARKS {
            self.bells[cpu as usize].notify();
        } else {
            self.look_what_is_prepared();
            self.latches[cpu as usize].ring();
        }
        Ok(())
    }

    fn irq_save(&self) {
        GUARDS.with(|guards| guards.set(guards.get() + 1));
    }

    fn irq_restore(&self, (): ()) {
        GUARDS.with(|guards| guards.set(guards.get() - 1));
    }

    fn relax(&self) {
        thread::yield_now();
    }

    fn now_ns(&self) -> u64 {
        if self.reports.get() == 0 {
            return u64::from(self.parks.get());
        }
        self.looks.add();
        u64::from(self.looks.get() > 1)
    }
}

impl<const PARKS: bool, const N: usize> Waiting for Port<PARKS, N> {
    const PARKS: bool = PARKS;

    fn pause(&self, _backoff: &Backoff) -> Pause {
        assert!(!is_guarded(), "a pause with interrupts off");
        self.pauses.add();
        if PARKS {
            if self.watched.get() != 0 {
                self.prepared.set(1);
            }
            return Pause::Park;
        }
        self.relax();
        Pause::Again
    }

    fn waiter(&self) -> Option<u16> {
        Some(self.current_cpu().map_or(N as u16, |cpu| cpu as u16))
    }

    fn park(&self, waiter: Option<u16>, _timeout_ns: u64) {
        assert!(!is_guarded(), "a park with interrupts off");
        self.parks.add();
        match waiter {
            Some(waiter) if self.naps.get() == 0 => {
                self.bells[waiter as usize].wait();
            }
            _ => thread::yield_now(),
        }
    }

    fn wake(&self, waiter: u16) {
        assert!(is_guarded(), "a wake outside of call context and without the irq guard");
        self.look_what_is_prepared();
        self.bells[waiter as usize].notify();
        if self.slow_wakes.get() != 0 {
            thread::yield_now();
        }
    }
}

impl<const PARKS: bool, const N: usize> Reporting for Port<PARKS, N> {
    fn stall_timeout_ns(&self) -> u64 {
        u64::from(self.reports.get())
    }
}

impl<const PARKS: bool, const N: usize> Tuning for Port<PARKS, N> {
    /// None, so that a waiting caller goes its whole way.
    fn looks_first(&self, _target: u32) -> u32 {
        0
    }
}

impl<const PARKS: bool, const N: usize> Tracing for Port<PARKS, N> {}
impl<const PARKS: bool, const N: usize> Topology for Port<PARKS, N> {}
impl<const PARKS: bool, const N: usize> Foreign for Port<PARKS, N> {}
impl<const PARKS: bool, const N: usize> Hosting for Port<PARKS, N> {}

/// What a csd of a model runs.
pub(crate) type Run = Box<dyn Fn() + Sync>;

/// A machine of `N` CPUs, all online, and what the threads of one execution share.
pub(crate) struct Machine<const PARKS: bool, const N: usize = CPUS> {
    smp: smpcall::Machine<Port<PARKS, N>, [PerCpu; N]>,
    kept: RefCell<Vec<Box<dyn Any>>>,
}

impl<const PARKS: bool, const N: usize> Deref for Machine<PARKS, N> {
    type Target = smpcall::Machine<Port<PARKS, N>, [PerCpu; N]>;

    fn deref(&self) -> &Self::Target {
        &self.smp
    }
}

// SAFETY: loom runs all threads of a model on one.
unsafe impl<const PARKS: bool, const N: usize> Sync for Machine<PARKS, N> {}

impl<const PARKS: bool, const N: usize> Machine<PARKS, N> {
    fn new() -> Self {
        let smp = smpcall::Machine::new(Port::new(), from_fn(|_| PerCpu::new()));
        Self { smp, kept: RefCell::default() }
    }

    /// Another machine, all of whose CPUs are online.
    pub(crate) fn another(&self) -> &'static Self {
        let other: &'static Self = self.keep(Self::new());
        (0..N as u32).for_each(|cpu| other.on(cpu, || other.come_online()).unwrap());
        other
    }

    /// Keeps `value` for this execution.
    pub(crate) fn keep<T: 'static>(&self, value: T) -> &'static T {
        let value = Box::new(value);
        let lent: *const T = &*value;
        self.kept.borrow_mut().push(value);
        // SAFETY: it is freed with the machine, at the start of the next execution, when all threads of this one have
        // ended.
        unsafe { &*lent }
    }

    /// A word that starts as 0.
    pub(crate) fn word(&self) -> &'static Word {
        self.keep(Word::new())
    }

    /// A place that starts as 0.
    pub(crate) fn place(&self) -> &'static Place {
        self.keep(Place::new())
    }

    /// A tally that starts as 0.
    pub(crate) fn tally(&self) -> &'static Tally {
        self.keep(Tally::default())
    }

    /// A csd of this execution.
    pub(crate) fn csd<F: Fn() + Sync + 'static>(&self, function: F) -> &'static Csd<F> {
        self.keep(Csd::new(function))
    }

    /// A csd whose run finds, in order, what its poster wrote before, and counts; and the poster, a thread that is no CPU.
    pub(crate) fn post_what_was_written<R: 'static>(
        &'static self,
        post: impl FnOnce(&'static Csd<Run>) -> R + 'static,
    ) -> (&'static Csd<Run>, &'static Tally, JoinHandle<R>) {
        let (written, runs) = (self.place(), self.tally());
        let csd = self.csd::<Run>(Box::new(move || {
            assert_eq!(written.read(), 7);
            runs.add();
        }));
        let poster = self.thread(None, move || {
            written.write(7);
            post(csd)
        });
        (csd, runs, poster)
    }

    fn as_pinned(&self) -> Pin<&smpcall::Machine<Port<PARKS, N>, [PerCpu; N]>> {
        // SAFETY: it lies in a box of the shelf or of another machine's, from which nothing takes it.
        unsafe { Pin::new_unchecked(&self.smp) }
    }

    /// The handle of the CPU that runs the caller.
    pub(crate) fn own(&self) -> Cpu<'_, Port<PARKS, N>, [PerCpu; N]> {
        self.as_pinned().this_cpu().expect("a CPU that is online, and outside of a function")
    }

    /// The CPU that runs the caller comes online, and lets its handle go.
    pub(crate) fn come_online(&self) -> Result<(), HotplugError> {
        self.as_pinned().online().map(|_| ())
    }

    /// The CPU that runs the caller goes offline.
    pub(crate) fn offline(&self) -> Result<u32, HotplugError> {
        self.as_pinned().this_cpu()?.offline().map_err(|(_, why)| why)
    }

    /// Starts a thread as that CPU, or as none.
    pub(crate) fn thread<R: 'static>(
        &'static self,
        cpu: impl Into<Option<u32>>,
        f: impl FnOnce() -> R + 'static,
    ) -> JoinHandle<R> {
        let cpu = cpu.into();
        thread::spawn(move || self.on(cpu, f))
    }

    /// Runs `f` as that CPU, or as a thread that is none.
    pub(crate) fn on<R>(&self, cpu: impl Into<Option<u32>>, f: impl FnOnce() -> R) -> R {
        let before = CPU.with(|here| here.replace(cpu.into()));
        let result = f();
        CPU.with(|here| here.set(before));
        result
    }

    /// Acknowledges the CPU's latch and flushes, as its doorbell's handler would.
    pub(crate) fn answer(&self, cpu: u32) -> Flushed {
        self.on(cpu, || {
            if !PARKS {
                self.smp.platform().latches[cpu as usize].acknowledge();
            }
            self.smp.flush(Budget::DEFAULT)
        })
    }

    /// Answers the CPU's bell until `done`: a ring that was left out is a deadlock.
    pub(crate) fn answer_until(&self, cpu: u32, done: impl Fn() -> bool) {
        while !done() {
            if PARKS {
                self.smp.platform().bells[cpu as usize].wait();
            } else if !self.smp.platform().latches[cpu as usize].acknowledge() {
                thread::yield_now();
                continue;
            }
            let _ = self.on(cpu, || self.smp.flush(Budget::DEFAULT));
        }
    }

    /// Rings the CPU, as something else than a call would.
    pub(crate) fn ring(&self, cpu: u32) {
        self.smp.platform().irq_save();
        self.smp.platform().ring(cpu).unwrap();
        self.smp.platform().irq_restore(());
    }

    /// Acknowledges the CPU's latch; says whether it was set.
    pub(crate) fn acknowledge(&self, cpu: u32) -> bool {
        self.smp.platform().latches[cpu as usize].acknowledge()
    }

    /// How often the CPU was rung.
    pub(crate) fn rings(&self, cpu: u32) -> u32 {
        self.smp.platform().rings[cpu as usize].get()
    }

    /// At the end, when all other threads have: P7 as it must be then. What is left in the CPU's queue has rung, and is
    /// run now; says whether there was anything. A CPU that is offline has run all.
    pub(crate) fn finish(&self, cpu: u32) -> bool {
        let has_work = || self.on(cpu, || self.as_pinned().this_cpu().is_ok_and(|own| own.has_work()));
        let left = has_work();
        let rung = self.acknowledge(cpu);
        assert!(rung || !left, "P7: entries are left, and the doorbell is silent");
        let _ = self.on(cpu, || self.smp.flush(Budget::DEFAULT));
        assert!(!has_work());
        left
    }
}

/// Lends what is not `Sync` to a function that must be.
pub(crate) struct Alone<T: 'static>(pub(crate) &'static T);

impl<T> Clone for Alone<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Alone<T> {}

// SAFETY: loom runs all threads of a model on one.
unsafe impl<T> Sync for Alone<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Alone<T> {}

impl<T> Alone<T> {
    pub(crate) fn get(&self) -> &'static T {
        self.0
    }
}

pub(crate) fn budget(calls: u32) -> Budget {
    Budget::calls(NonZeroU32::new(calls).unwrap())
}

/// Holds one execution's machine until the next begins: by then its threads have ended, and no atomic of loom's does
/// anything when it is dropped.
struct Shelf<const PARKS: bool, const N: usize>(Mutex<Option<Box<Machine<PARKS, N>>>>);

// SAFETY: all executions of a model run on one thread.
unsafe impl<const PARKS: bool, const N: usize> Send for Shelf<PARKS, N> {}
// SAFETY: as above.
unsafe impl<const PARKS: bool, const N: usize> Sync for Shelf<PARKS, N> {}

impl<const PARKS: bool, const N: usize> Shelf<PARKS, N> {
    fn renew(&self) -> &'static Machine<PARKS, N> {
        let machine = Box::new(Machine::new());
        let lent: *const Machine<PARKS, N> = &*machine;
        drop(self.0.lock().unwrap().replace(machine));
        // SAFETY: it is freed at the start of the next execution, or at the end of the model.
        unsafe { &*lent }
    }
}

/// Checks a model of CPUs that spin.
pub(crate) fn model(body: impl Fn(&'static Machine<false>) + Send + Sync + 'static) {
    check(usize::MAX, body);
}

/// As [`model`], with at most that many preemptions.
pub(crate) fn model_within(
    preemptions: usize,
    body: impl Fn(&'static Machine<false>) + Send + Sync + 'static,
) {
    check(preemptions, body);
}

/// Checks a model of callers that park.
pub(crate) fn model_parking(body: impl Fn(&'static Machine<true>) + Send + Sync + 'static) {
    check(usize::MAX, body);
}

/// As [`model_parking`], with at most that many preemptions.
pub(crate) fn model_parking_within(
    preemptions: usize,
    body: impl Fn(&'static Machine<true>) + Send + Sync + 'static,
) {
    check(preemptions, body);
}

/// As [`model_parking_within`], of two groups: from four CPUs on, multicasts are relayed under loom.
pub(crate) fn model_of_groups(
    preemptions: usize,
    body: impl Fn(&'static Machine<true, 4>) + Send + Sync + 'static,
) {
    check(preemptions, body);
}

fn check<const PARKS: bool, const N: usize>(
    most: usize,
    body: impl Fn(&'static Machine<PARKS, N>) + Send + Sync + 'static,
) {
    let shelf = Shelf(Mutex::new(None));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.min(most));
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let machine = shelf.renew();
        for cpu in 0..N as u32 {
            machine.on(cpu, || machine.come_online()).unwrap();
        }
        body(machine);
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}
