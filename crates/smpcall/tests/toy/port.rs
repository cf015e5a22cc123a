//! The toy port, and the one machine of the thread that runs a test.

use smpcall::{
    Backoff, Budget, CallStall, Counts, CpuStats, Csd, Entry, Event, Flushed, Foreign, Hosting, HotplugError,
    NoSleep, Pause, PerCpu, Platform, QueueStall, Reporting, RingError, Serve, Stats, Storage, Topology,
    Tracing, Tuning, Waiting,
};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;

pub(crate) const CPUS: usize = 4;
/// How far the clock goes at every pause of a waiting caller.
pub(crate) const PAUSE_NS: u64 = 1_000;

pub(crate) type Machine = smpcall::Machine<Toy, [PerCpu; CPUS]>;
type Hook = Option<Box<dyn FnOnce()>>;
type Coalesced = Option<Rc<dyn Fn(&Event)>>;
type OnCallStall = Option<Rc<dyn Fn(&CallStall)>>;

/// What a thread does for its CPU of another machine.
pub(crate) type OnServe = Rc<dyn Fn(Serve)>;

/// One thread that is every CPU in turn.
pub(crate) struct Toy {
    /// Which CPU it is now; `None`: a thread that is no CPU.
    pub(crate) cpu: Cell<Option<u32>>,
    /// How deep interrupts are off on each CPU; the last is for the thread that is none.
    irq_off: [Cell<u32>; CPUS + 1],
    pub(crate) rings: RefCell<Vec<u32>>,
    /// How many of them were a CPU's own, that had stopped at its budget.
    pub(crate) own_rings: Cell<u32>,
    /// So many rings cannot be sent.
    pub(crate) rings_to_fail: Cell<u32>,
    pub(crate) caught: Cell<u32>,
    pub(crate) now_ns: Cell<u64>,
    pub(crate) stall_timeout_ns: Cell<u64>,
    pub(crate) stall_stop_ns: Cell<u64>,
    pub(crate) stalls: RefCell<Vec<CallStall>>,
    /// Is called at every report, and at its end.
    pub(crate) on_call_stall: RefCell<OnCallStall>,
    pub(crate) unstuck: RefCell<Vec<CallStall>>,
    pub(crate) queue_stalls: RefCell<Vec<QueueStall>>,
    /// The addresses of the entries that were handed over.
    pub(crate) taken: RefCell<Vec<usize>>,
    pub(crate) events: RefCell<Vec<Event>>,
    /// Is called at every event.
    pub(crate) on_event: RefCell<Coalesced>,
    stats: Stats<[CpuStats; CPUS]>,
    /// Runs once, at the next `irq_save`: what comes in before a poster's claim.
    pub(crate) on_save: RefCell<Hook>,
    /// Runs once, when interrupts are on again: one that was held off.
    pub(crate) on_restore: RefCell<Hook>,
    /// Runs once, at the next `ring`: what comes in between a poster's push and its return.
    pub(crate) on_ring: RefCell<Hook>,
    /// Runs at every pause of a waiting caller: what the others do meanwhile.
    pub(crate) on_pause: RefCell<Option<Rc<dyn Fn()>>>,
    /// Runs at every look of a waiting caller that is no CPU here: what its thread owes another machine.
    pub(crate) on_elsewhere: RefCell<Option<OnServe>>,
    /// What a waiting caller does next.
    pub(crate) pauses: Cell<Pause>,
    /// Whether, and for which waits, callers that are no CPU here slept.
    pub(crate) slept_elsewhere: RefCell<Vec<Serve>>,
    /// What the port calls nearest, and whom it was given to choose from, one list for each time it was asked.
    pub(crate) nearest: Cell<Option<u32>>,
    pub(crate) among: RefCell<Vec<Vec<u32>>>,
}

impl Toy {
    pub(crate) fn new() -> Self {
        Self {
            cpu: Cell::new(None),
            irq_off: Default::default(),
            rings: RefCell::default(),
            own_rings: Cell::new(0),
            rings_to_fail: Cell::new(0),
            caught: Cell::new(0),
            now_ns: Cell::new(0),
            stall_timeout_ns: Cell::new(0),
            stall_stop_ns: Cell::new(0),
            stalls: RefCell::default(),
            unstuck: RefCell::default(),
            on_call_stall: RefCell::default(),
            queue_stalls: RefCell::default(),
            taken: RefCell::default(),
            events: RefCell::default(),
            on_event: RefCell::default(),
            stats: Stats::new([const { CpuStats::new() }; CPUS]),
            on_save: RefCell::default(),
            on_restore: RefCell::default(),
            on_ring: RefCell::default(),
            on_pause: RefCell::default(),
            on_elsewhere: RefCell::default(),
            pauses: Cell::new(Pause::Again),
            slept_elsewhere: RefCell::default(),
            nearest: Cell::new(None),
            among: RefCell::default(),
        }
    }

    fn call_on_stall(&self, stall: &CallStall) {
        let hook = self.on_call_stall.borrow().clone();
        if let Some(hook) = hook {
            hook(stall);
        }
    }

    fn irq_off(&self) -> &Cell<u32> {
        &self.irq_off[self.cpu.get().map_or(CPUS, |cpu| (cpu as usize).min(CPUS))]
    }

    /// What the core owes its port: the irq guard is held.
    #[track_caller]
    fn demand_guarded(&self, what: &str) {
        assert_ne!(self.irq_off().get(), 0, "{what} without the irq guard");
    }

    /// What the core owes its port: a thread's context, interrupts on.
    #[track_caller]
    fn demand_waiting(&self, what: &str) {
        assert_eq!(self.irq_off().get(), 0, "{what} with interrupts off");
    }
}

fn call_once(hook: &RefCell<Hook>) {
    let taken = hook.borrow_mut().take();
    if let Some(hook) = taken {
        hook();
    }
}

// SAFETY: 1. `Toy` is not `Sync`, so a machine stays on one thread, which is one CPU at a time; a hook that becomes
// another CPU returns before the CPU that it came in on goes on. 2. No test flushes a CPU whose interrupts are off.
// 3. Tests flush by themselves. 4. `catch_unwind`. 5. It does not park. 6. No hook panics, but for
// those of tests that are to abort.
unsafe impl Platform for Toy {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    fn current_cpu(&self) -> Option<u32> {
        self.cpu.get()
    }

    fn can_wait(&self) -> bool {
        self.irq_off().get() == 0
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.demand_guarded("ring");
        let left = self.rings_to_fail.get().checked_sub(1);
        match left {
            Some(left) => self.rings_to_fail.set(left),
            None => self.rings.borrow_mut().push(cpu),
        }
        call_once(&self.on_ring);
        if left.is_some() { Err(RingError) } else { Ok(()) }
    }

    fn irq_save(&self) {
        call_once(&self.on_save);
        self.irq_off().set(self.irq_off().get() + 1);
    }

    fn irq_restore(&self, (): ()) {
        self.irq_off().set(self.irq_off().get() - 1);
        if self.irq_off().get() == 0 {
            call_once(&self.on_restore);
        }
    }

    fn relax(&self) {}

    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        catch_unwind(AssertUnwindSafe(f))
    }

    fn resume(panic: Self::Panic) -> ! {
        resume_unwind(panic)
    }
}

impl Waiting for Toy {
    fn pause(&self, _backoff: &Backoff) -> Pause {
        self.demand_waiting("pause");
        self.now_ns.set(self.now_ns.get() + PAUSE_NS);
        let hook = self.on_pause.borrow().clone();
        if let Some(hook) = hook {
            hook();
        }
        assert!(self.now_ns.get() < 1_000_000 * PAUSE_NS, "the waiting caller waits for ever");
        self.pauses.get()
    }
}

impl Reporting for Toy {
    fn caught(&self, _panic: <Self as Platform>::Panic) {
        self.demand_guarded("caught");
        self.caught.set(self.caught.get() + 1);
    }

    fn stall_timeout_ns(&self) -> u64 {
        self.stall_timeout_ns.get()
    }

    fn call_stalled(&self, stall: &CallStall) {
        self.demand_waiting("call_stalled");
        self.stalls.borrow_mut().push(*stall);
        self.call_on_stall(stall);
    }

    fn stall_stop_ns(&self) -> u64 {
        self.stall_stop_ns.get()
    }

    fn unstuck(&self, stall: &CallStall) {
        self.demand_waiting("unstuck");
        self.unstuck.borrow_mut().push(*stall);
        self.call_on_stall(stall);
    }

    fn queue_stalled(&self, stall: &QueueStall) {
        self.queue_stalls.borrow_mut().push(*stall);
    }
}

impl Tracing for Toy {
    const TRACES: bool = true;
    const STAMPS: bool = true;

    fn trace(&self, event: &Event) {
        self.events.borrow_mut().push(*event);
        let hook = self.on_event.borrow().clone();
        if let Some(hook) = hook {
            hook(event);
        }
        self.stats.count(event);
    }
}

impl Topology for Toy {
    fn ring_self(&self, cpu: u32) -> Result<(), RingError> {
        assert_eq!(self.cpu.get(), Some(cpu), "a CPU's own ring");
        self.own_rings.set(self.own_rings.get() + 1);
        self.ring(cpu)
    }

    fn nearest(&self, _cpu: u32, among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        self.among.borrow_mut().push(among.collect());
        self.nearest.get()
    }
}

impl Tuning for Toy {
    fn looks_first(&self, _target: u32) -> u32 {
        self.demand_waiting("looks_first");
        64
    }

    fn gather(&self) {
        self.demand_guarded("gather");
    }
}

impl Foreign for Toy {
    unsafe fn run_foreign(&self, function: *const (), argument: *const (), _csd: *const ()) {
        union Function {
            address: *const (),
            function: extern "C" fn(usize),
        }
        // SAFETY: what the tests post are functions of this type.
        let function = unsafe { Function { address: function }.function };
        self.demand_guarded("run_foreign");
        function(argument.addr());
    }

    unsafe fn take_entry(&self, entry: *const Entry) {
        self.demand_guarded("take_entry");
        self.taken.borrow_mut().push(entry.addr());
    }
}

impl Hosting for Toy {
    fn serve_elsewhere(&self, serve: Serve) {
        let hook = self.on_elsewhere.borrow().clone();
        if let Some(hook) = hook {
            hook(serve);
        }
    }

    fn rest_elsewhere(&self, serve: Serve, sleep: &mut dyn FnMut()) {
        self.slept_elsewhere.borrow_mut().push(serve);
        sleep();
    }
}

thread_local! {
    static MACHINE: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
    static LOG: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The machine of this thread's test. Functions that run on a CPU reach it here, since they cannot capture it.
pub(crate) fn machine() -> Rc<Machine> {
    MACHINE.with_borrow(|machine| Rc::clone(machine.as_ref().expect("the test begins with `start`")))
}

/// Starts a test: a new machine whose CPUs from 0 to `online` − 1 are online, and an empty log. The test is no CPU.
pub(crate) fn start(online: u32) -> Rc<Machine> {
    let machine = Rc::new(Machine::new(Toy::new(), [const { PerCpu::new() }; CPUS]));
    MACHINE.set(Some(Rc::clone(&machine)));
    LOG.take();
    for cpu in 0..online {
        on(cpu, || pinned(&machine).come_online()).unwrap();
    }
    machine
}

/// A machine's CPUs come online where it stays.
pub(crate) fn pinned<P, S>(machine: &Rc<smpcall::Machine<P, S>>) -> Pin<&smpcall::Machine<P, S>> {
    // SAFETY: what an `Rc` holds stays where it is, and no test takes it out again.
    unsafe { Pin::new_unchecked(&**machine) }
}

/// What the CPU that runs the caller asks of its machine: by a handle of its own each time, as a kernel that cannot keep one.
pub(crate) trait OwnCpu {
    /// [`Machine::online`], and lets the handle go.
    fn come_online(&self) -> Result<(), HotplugError>;
    /// [`Cpu::offline`], and lets the handle go.
    fn offline(&self) -> Result<u32, HotplugError>;
    fn poll_begin(&self);
    /// [`Cpu::begin_sleep`], at once committed.
    fn poll_end(&self) -> Result<(), NoSleep>;
    fn has_work(&self) -> bool;
    fn run_blocking(&self) -> u32;
}

impl<P: Platform, S: Storage> OwnCpu for smpcall::Machine<P, S> {
    fn come_online(&self) -> Result<(), HotplugError> {
        stays(self).online().map(|_| ())
    }

    fn offline(&self) -> Result<u32, HotplugError> {
        stays(self).this_cpu()?.offline().map_err(|(_, why)| why)
    }

    fn poll_begin(&self) {
        match stays(self).this_cpu() {
            Ok(mut cpu) => cpu.poll_begin(),
            Err(why) => assert_eq!(why, HotplugError::InCall, "the caller is a CPU that is online"),
        }
    }

    fn poll_end(&self) -> Result<(), NoSleep> {
        match stays(self).this_cpu() {
            Ok(mut cpu) => cpu.begin_sleep().map(|guard| _ = guard.commit()),
            Err(HotplugError::InCall) => Err(NoSleep::InCall),
            Err(why) => panic!("the caller is a CPU that is online: {why}"),
        }
    }

    fn has_work(&self) -> bool {
        stays(self).this_cpu().unwrap().has_work()
    }

    fn run_blocking(&self) -> u32 {
        match stays(self).this_cpu() {
            Ok(mut cpu) => cpu.run_blocking(),
            Err(why) => {
                assert_eq!(why, HotplugError::InCall, "the caller is a CPU that is online");
                0
            }
        }
    }
}

pub(crate) fn stays<P, S>(machine: &smpcall::Machine<P, S>) -> Pin<&smpcall::Machine<P, S>> {
    // SAFETY: the tests' machines are in boxes and counted, and none is taken out again.
    unsafe { Pin::new_unchecked(machine) }
}

/// Runs `f` as that CPU.
pub(crate) fn on<R>(cpu: u32, f: impl FnOnce() -> R) -> R {
    as_cpu(Some(cpu), f)
}

/// Runs `f` as that CPU, or as a thread that is none.
pub(crate) fn as_cpu<R>(cpu: Option<u32>, f: impl FnOnce() -> R) -> R {
    struct Back(Rc<Machine>, Option<u32>);
    impl Drop for Back {
        fn drop(&mut self) {
            self.0.platform().cpu.set(self.1);
        }
    }
    let machine = machine();
    let before = machine.platform().cpu.replace(cpu);
    let _back = Back(machine, before);
    f()
}

/// Flushes that CPU, as its doorbell's handler would.
pub(crate) fn flush(cpu: u32) -> Flushed {
    on(cpu, || machine().flush(Budget::DEFAULT))
}

pub(crate) fn budget(calls: u32) -> Budget {
    Budget::calls(NonZeroU32::new(calls).unwrap())
}

/// What happened since the last look.
pub(crate) fn events() -> Vec<Event> {
    machine().platform().events.take()
}

/// What was counted since the start: on that CPU, or by the thread that is none.
pub(crate) fn counted(cpu: Option<u32>) -> Counts {
    let machine = machine();
    let stats = &machine.platform().stats;
    cpu.map_or_else(|| stats.others(), |cpu| stats.cpu(cpu).unwrap())
}

/// The sum.
pub(crate) fn counted_in_all() -> Counts {
    machine().platform().stats.total()
}

/// The rings since the last look.
pub(crate) fn rings() -> Vec<u32> {
    machine().platform().rings.take()
}

pub(crate) fn log(entry: u32) {
    LOG.with_borrow_mut(|log| log.push(entry));
}

/// The log since the last look.
pub(crate) fn logged() -> Vec<u32> {
    LOG.take()
}

/// A csd that lives as long as the process. It is kept in a list, so that no checker calls it leaked.
pub(crate) fn csd<F: Fn() + Sync + 'static>(function: F) -> &'static Csd<F> {
    keep(Csd::new(function))
}

/// A value that lives as long as the process, kept in the same list.
pub(crate) fn keep<T: Sync + 'static>(value: T) -> &'static T {
    static ALL: Mutex<Vec<&'static (dyn Any + Sync)>> = Mutex::new(Vec::new());
    let kept: &'static T = Box::leak(Box::new(value));
    ALL.lock().unwrap().push(kept);
    kept
}

/// A csd that logs `entry`.
pub(crate) fn logs(entry: u32) -> &'static Csd<impl Fn() + Sync + 'static> {
    csd(move || log(entry))
}
