//! A port whose callers sleep: who waits for a csd is woken when its run has ended, and nobody is rung for that.

use crate::port::{OwnCpu, stays};
use smpcall::{
    Backoff, Budget, Csd, Flushed, Pause, PerCpu, Platform, RingError, Tuning, WaitError, Waiting,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How a waiting caller slept: woken by number, or for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slept {
    Woken(u16),
    Napped,
}

/// One thread that is every CPU in turn; waiters' numbers are CPUs, and 9 is the thread that is none.
struct Sleepy {
    cpu: Cell<Option<u32>>,
    waiters: Cell<bool>,
    now_ns: Cell<u64>,
    rings: RefCell<Vec<u32>>,
    wakes: RefCell<Vec<u16>>,
    slept: RefCell<Vec<Slept>>,
    /// How long the last sleep was to take.
    asleep_ns: Cell<u64>,
    rings_fail: Cell<bool>,
    /// What the others do while a caller sleeps.
    on_park: RefCell<Option<Rc<dyn Fn()>>>,
}

// SAFETY: 1. It is not `Sync`: one thread, which is one CPU at a time. 2. Nothing is off. 3. The tests flush by themselves.
// 4. Nothing panics. 5. Every park returns.
unsafe impl Platform for Sleepy {
    type IrqState = ();
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        self.cpu.get()
    }
    fn can_wait(&self) -> bool {
        true
    }
    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        if self.rings_fail.get() {
            return Err(RingError);
        }
        self.rings.borrow_mut().push(cpu);
        Ok(())
    }
    fn irq_save(&self) {}
    fn irq_restore(&self, (): ()) {}
    fn relax(&self) {}
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
}

impl Waiting for Sleepy {
    const PARKS: bool = true;
    fn pause(&self, _backoff: &Backoff) -> Pause {
        Pause::Park
    }
    fn waiter(&self) -> Option<u16> {
        self.waiters.get().then(|| self.cpu.get().map_or(9, |cpu| cpu as u16))
    }
    fn park(&self, waiter: Option<u16>, timeout_ns: u64) {
        self.now_ns.set(self.now_ns.get() + timeout_ns.min(1_000));
        self.asleep_ns.set(timeout_ns);
        let slept = waiter.map_or(Slept::Napped, Slept::Woken);
        assert!(self.slept.borrow().len() < 1_000, "the caller waits for ever");
        self.slept.borrow_mut().push(slept);
        let hook = self.on_park.borrow().clone();
        if let Some(hook) = hook {
            hook();
        }
    }
    fn wake(&self, waiter: u16) {
        self.wakes.borrow_mut().push(waiter);
    }
}

impl Tuning for Sleepy {
    fn looks_first(&self, _target: u32) -> u32 {
        0
    }
}

smpcall::simple_port!(Sleepy: Reporting, Tracing, Topology, Foreign, Hosting);

type Machine = smpcall::Machine<Sleepy, [PerCpu; 3]>;

thread_local! {
    static MACHINE: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
    static RAN: Cell<u32> = const { Cell::new(0) };
}

/// A csd of this test's own: they run at the same time.
fn runs() -> &'static Csd<fn()> {
    crate::port::csd((|| RAN.set(RAN.get() + 1)) as fn())
}

fn machine() -> Rc<Machine> {
    MACHINE.with_borrow(|machine| Rc::clone(machine.as_ref().expect("the test begins with `start`")))
}

fn start() -> Rc<Machine> {
    let port = Sleepy {
        cpu: Cell::new(None),
        waiters: Cell::new(true),
        now_ns: Cell::new(0),
        rings: RefCell::default(),
        wakes: RefCell::default(),
        slept: RefCell::default(),
        asleep_ns: Cell::new(0),
        rings_fail: Cell::new(false),
        on_park: RefCell::default(),
    };
    let machine = Rc::new(smpcall::Machine::new(port, [const { PerCpu::new() }; 3]));
    MACHINE.set(Some(Rc::clone(&machine)));
    RAN.set(0);
    for cpu in 0..3 {
        on(cpu, |_| crate::port::pinned(&machine).come_online()).unwrap();
    }
    machine
}

#[test]
fn p7_who_serves_looks_once_more_before_it_sleeps() {
    let machine = start();
    let looks = Cell::new(0);
    on(1, |machine| {
        let mut cpu = stays(machine).this_cpu().unwrap();
        // As if an interrupt's flush had made it true, between the first look and the rest.
        cpu.serve(|| looks.replace(looks.get() + 1) == 1);
    });
    assert_eq!((looks.get(), machine.platform().slept.take()), (2, vec![]));
}

#[test]
fn p10_who_serves_asleep_is_woken_for_a_call_that_may_block() {
    let machine = start();
    let parks = Cell::new(0);
    let hook = move || {
        match parks.replace(parks.get() + 1) {
            0 => assert_eq!(on(0, |machine| machine.call_blocking(1, || RAN.set(RAN.get() + 1))), Ok(())),
            // While its caller sleeps, CPU 1's doorbell interrupts; then its thread comes forward.
            1 => on(1, |machine| {
                assert_eq!(machine.flush(Budget::DEFAULT), Flushed::All(1));
                assert_eq!((machine.platform().wakes.take(), RAN.get()), (vec![1], 0));
                assert_eq!(machine.run_blocking(), 1);
            }),
            _ => unreachable!("it has run"),
        }
    };
    *machine.platform().on_park.borrow_mut() = Some(Rc::new(hook));
    on(1, |machine| stays(machine).this_cpu().unwrap().serve(|| RAN.get() == 1));
    // By its number, CPU 1, and then its caller, CPU 0.
    assert_eq!(machine.platform().slept.take(), [Slept::Woken(1), Slept::Woken(0)]);
}

fn on<R>(cpu: u32, f: impl FnOnce(&Machine) -> R) -> R {
    let machine = machine();
    let before = machine.platform().cpu.replace(Some(cpu));
    let result = f(&machine);
    machine.platform().cpu.set(before);
    result
}

fn flush(cpu: u32) -> Flushed {
    on(cpu, |machine| machine.flush(Budget::DEFAULT))
}

fn while_asleep(hook: impl Fn() + 'static) {
    *machine().platform().on_park.borrow_mut() = Some(Rc::new(hook));
}

/// How the callers slept, who was woken, and who was rung, since the last look.
fn came() -> (Vec<Slept>, Vec<u16>, Vec<u32>) {
    let machine = machine();
    let port = machine.platform();
    (port.slept.take(), port.wakes.take(), port.rings.take())
}

const BY_9: Slept = Slept::Woken(9);

#[test]
fn p4_who_waits_for_a_csd_sleeps_until_its_run_has_ended_and_rings_nobody() {
    let (machine, runs) = (start(), runs());
    for (waits, waiter) in [(None, 9), (Some(0), 0)] {
        machine.post(1, runs).unwrap();
        let before = RAN.get();
        while_asleep(move || {
            assert_eq!((RAN.get(), flush(1)), (before, Flushed::All(2)), "the run, and the wake behind it");
        });
        let waited = match waits {
            Some(cpu) => on(cpu, |machine| machine.wait(runs)),
            None => machine.wait(runs),
        };
        assert_eq!((waited, RAN.get()), (Ok(()), before + 1));
        // The post's ring, and that of a waiter before it sleeps, of a CPU that has not looked (P7 allows it).
        assert_eq!(came(), (vec![Slept::Woken(waiter)], vec![waiter], vec![1, 1]));
    }
}

#[test]
fn p4_a_wait_that_comes_while_the_function_runs_is_woken_behind_it() {
    static RUNNING: Csd<fn()> = Csd::new(|| {
        let asleep = Cell::new(0);
        while_asleep(move || asleep.set(asleep.get() + 1));
        // Seen from inside, as another would see it: it asks once, and gives up.
        let waited = on(0, |machine| machine.wait_until(&RUNNING, machine.platform().now_ns() + 3_000));
        assert!(matches!(waited, Err(WaitError::TimedOut(_))));
        RAN.set(RAN.get() + 1);
    });
    let machine = start();
    machine.post(1, &RUNNING).unwrap();
    assert_eq!((flush(1), RAN.get()), (Flushed::All(2), 1));
    assert_eq!(
        came(),
        (vec![Slept::Woken(0); 3], vec![0], vec![1]),
        "one wake, which comes too late, and harms nobody"
    );
    assert_eq!(flush(1), Flushed::All(0));
}

#[test]
fn p7_a_target_that_rests_is_not_rung_for_a_wake() {
    static NEVER: Csd<fn()> = Csd::new(|| ());
    let machine = start();
    // Claimed for CPU 1, and its poster has still to push it: a function of the machine's own, at the poster's ring.
    let other = csd_of_another_machine(&NEVER);
    while_asleep(move || _ = other.flush(Budget::DEFAULT));
    assert_eq!(machine.wait(&NEVER), Ok(()));
    let (slept, wakes, rings) = came();
    assert_eq!((slept, wakes, rings), (vec![Slept::Napped], vec![], vec![]));
}

/// A machine, this thread its CPU 1, on which the csd is pending.
fn csd_of_another_machine(csd: &'static Csd<fn()>) -> Rc<Machine> {
    let before = machine();
    let other = start();
    MACHINE.set(Some(before));
    other.platform().cpu.set(Some(1));
    other.post(1, csd).unwrap();
    other
}

#[test]
fn p4_more_waiters_than_wakes_nap() {
    let (machine, runs) = (start(), runs());
    machine.post(1, runs).unwrap();
    // Each waits inside the sleep of the one before: CPUs 0 and 2, and a thread that is none.
    while_asleep(move || {
        while_asleep(move || {
            while_asleep(|| _ = flush(1));
            assert_eq!(machine_as(None, |machine| machine.wait(runs)), Ok(()));
        });
        assert_eq!(on(2, |machine| machine.wait(runs)), Ok(()));
    });
    assert_eq!(on(0, |machine| machine.wait(runs)), Ok(()));
    let (slept, wakes, _) = came();
    assert_eq!(slept, [Slept::Woken(0), Slept::Woken(2), Slept::Napped]);
    assert_eq!((wakes, RAN.get()), (vec![0, 2], 1));
    // Free again, and without a number it naps too.
    machine.platform().waiters.set(false);
    machine.post(1, runs).unwrap();
    while_asleep(|| _ = flush(1));
    assert_eq!((machine.wait(runs), came().0), (Ok(()), vec![Slept::Napped]));
    machine.platform().waiters.set(true);
    machine.post(1, runs).unwrap();
    assert_eq!((machine.wait(runs), came().0), (Ok(()), vec![BY_9]));
}

fn machine_as<R>(cpu: Option<u32>, f: impl FnOnce(&Machine) -> R) -> R {
    let machine = machine();
    let before = machine.platform().cpu.replace(cpu);
    let result = f(&machine);
    machine.platform().cpu.set(before);
    result
}

#[test]
fn p8_a_target_that_goes_offline_wakes_and_one_that_is_offline_is_asked_for_nothing() {
    let (machine, runs) = (start(), runs());
    machine.post(1, runs).unwrap();
    while_asleep(|| assert_eq!(on(1, |machine| machine.offline()), Ok(2)));
    assert_eq!((machine.wait(runs), came().1), (Ok(()), vec![9]));
}

#[test]
fn p4_lazy_and_cancelled_runs_wake_too() {
    let (machine, runs) = (start(), runs());
    machine.post_lazy(1, runs).unwrap();
    while_asleep(|| _ = flush(1));
    assert_eq!(machine.wait(runs), Ok(()));
    let (slept, wakes, _) = came();
    assert_eq!((slept, wakes, RAN.get()), (vec![BY_9], vec![9], 1));
    machine.post(1, runs).unwrap();
    while_asleep(move || {
        let _ = runs.cancel();
    });
    assert_eq!(machine.wait(runs), Err(WaitError::Cancelled), "at the next look");
    assert_eq!((flush(1), RAN.get()), (Flushed::All(2), 1));
}

/// Nobody is going to wake a caller whose target was not rung. No report is due, and the caller sees to it all the same.
#[test]
fn p10_a_caller_whose_ring_fails_does_not_sleep_for_long() {
    let (machine, runs) = (start(), runs());
    let tried = Cell::new(0);
    machine.platform().rings_fail.set(true);
    while_asleep(move || {
        let machine = self::machine();
        tried.set(tried.get() + 1);
        if machine.platform().rings.take().is_empty() {
            assert!(machine.platform().asleep_ns.get() <= 1_000_000, "it is to be tried again before long");
            // From the third time on there is room.
            machine.platform().rings_fail.set(tried.get() < 3);
        } else {
            assert!(tried.get() >= 4);
            let _ = flush(1);
        }
    });
    assert_eq!(on(0, |machine| machine.call(1, || 7)), Ok(7));
    assert!(machine.failed_rings_racy() >= 4, "{}", machine.failed_rings_racy());
    // One that is rung sleeps until it is woken.
    while_asleep(|| {
        assert!(self::machine().platform().asleep_ns.get() > 1_000_000_000, "until its report");
        let _ = flush(1);
    });
    machine.post(1, runs).unwrap();
    assert_eq!((machine.wait(runs), RAN.get()), (Ok(()), 1));
}
