//! The fast paths on the smallest of ports: the code that `cargo xtask same-code` compiles with and without tracepoints in
//! the core's sources, and compares. Not meant to be run for its own sake; it runs all the same.

use smpcall::{
    Budget, CallError, Chain, Csd, CsdField, CsdOwner, Event, Flushed, Here, Machine, ManyError, PerCpu,
    Platform, PostError, Posted, Reached, RingError, To, Tracing, csd_field,
};
use std::sync::atomic::{AtomicU32, Ordering};

/// One CPU, or whoever is said to call.
pub struct Port {
    me: AtomicU32,
    rung: AtomicU32,
    told: AtomicU32,
}

// SAFETY: 1. The one thread is one CPU. 2. It flushes by itself. 3. Whatever was rung, `main` flushes. 4. Nothing unwinds.
// 5. Nobody parks.
unsafe impl Platform for Port {
    type IrqState = ();
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        // Relaxed: the one thread's own.
        Some(self.me.load(Ordering::Relaxed))
    }

    fn can_wait(&self) -> bool {
        true
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        // Relaxed: nobody is woken by it.
        self.rung.store(cpu, Ordering::Relaxed);
        Ok(())
    }

    fn irq_save(&self) {}

    fn irq_restore(&self, (): ()) {}

    fn relax(&self) {
        std::hint::spin_loop();
    }

    fn now_ns(&self) -> u64 {
        0
    }
}

impl Tracing for Port {
    // The control: then the code must differ.
    const TRACES: bool = option_env!("SMPCALL_CODE_TRACES").is_some();

    fn trace(&self, _event: &Event) {
        // Relaxed: a count.
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}

smpcall::simple_port!(Port: Waiting, Reporting, Topology, Tuning, Foreign, Hosting);

static SMP: Machine<Port, [PerCpu; 2]> = Machine::new(
    Port { me: AtomicU32::new(0), rung: AtomicU32::new(0), told: AtomicU32::new(0) },
    [const { PerCpu::new() }; 2],
);
static CSD: Csd<fn()> = Csd::new(|| ());

/// A struct with a csd in it.
pub struct Owner {
    number: usize,
    csd: CsdField,
}

csd_field! { impl Owner { csd } }

impl CsdOwner for Owner {
    type Pointer = &'static Self;

    fn run(_: &'static Self, _: Here<'_>) {}
}

static OWNER: Owner = Owner { number: 7, csd: CsdField::new() };

/// A post.
#[inline(never)]
pub fn post(cpu: u32) -> Result<Posted, PostError> {
    SMP.post(cpu, &CSD)
}

/// A post of an embedded csd.
#[inline(never)]
pub fn post_embedded(cpu: u32) -> Result<Posted, PostError> {
    SMP.post(cpu, &OWNER)
}

/// A csd that is not known when it is compiled.
#[inline(never)]
pub fn post_any(cpu: u32, csd: &'static Csd<fn()>) -> Result<Posted, PostError> {
    SMP.post(cpu, csd)
}

/// The same, embedded.
#[inline(never)]
pub fn post_any_embedded(cpu: u32, owner: &'static Owner) -> Result<Posted, PostError> {
    SMP.post(cpu, owner)
}

/// A chain.
#[inline(never)]
pub fn post_all(cpu: u32) -> Result<Chain, PostError> {
    SMP.post_all(cpu, [&CSD])
}

/// A waiting call.
#[inline(never)]
pub fn call(cpu: u32, number: u32) -> Result<u32, CallError> {
    SMP.call(cpu, move || number + 1)
}

/// A waiting call that is too large for the target's mailbox.
#[inline(never)]
pub fn call_large(cpu: u32, numbers: [usize; 4]) -> Result<usize, CallError> {
    SMP.call(cpu, move || numbers.iter().sum())
}

/// A multicast.
#[inline(never)]
pub fn post_many() -> Result<Reached, ManyError> {
    SMP.post_many(To::All, || ())
}

/// A flush.
#[inline(never)]
pub fn flush() -> Flushed {
    SMP.flush(Budget::DEFAULT)
}

/// Each of them once, on a machine of which one CPU is online.
pub fn main() {
    assert_eq!(call(1, 1), Err(CallError::Offline));
    assert_eq!(call_large(1, [1; 4]), Err(CallError::Offline));
    let _handle = SMP.as_pin().online().expect("it was offline");
    post(0).expect("a free csd");
    assert_eq!(post_all(0).map(|chain| chain.busy), Ok(1));
    assert!(OWNER.number == 7 && post_embedded(0).is_ok());
    assert_eq!(post_any(0, &CSD), Ok(Posted::Busy { cpu: 0 }));
    assert_eq!(post_any_embedded(0, &OWNER), Ok(Posted::Busy { cpu: 0 }));
    assert_eq!(post_many().map(|reached| reached.offline), Ok(1));
    assert_eq!(flush(), Flushed::All(2));
    assert_eq!((call(0, 1), call_large(0, [1; 4])), (Ok(2), Ok(4)));
    // Relaxed: the one thread's own.
    assert_eq!(SMP.platform().told.load(Ordering::Relaxed) > 0, Port::TRACES);
}
