//! The comparison: calls as Linux makes them, written from a description of kernel/smp.c's behaviour.
//!
//! Each CPU has a list of call objects, pushed by compare-and-swap and taken whole by a swap. A multicast has one call object
//! for each pair of CPUs: for each target in turn it waits until that pair's object is free, locks it, fills it, and pushes it;
//! CPUs whose list was empty are interrupted, by one mask; then it waits for each object in turn, in the order of their numbers.
//! A waited-for object is unlocked after its function, any other before.
//!
//! To its favour: each call object has a line of its own, and what the kernel does besides is left out.

use super::cost::Ps;
use super::machine::machine;
use super::workload::Calls;
use smpcall_instrumented::CpuMask;
use smpcall_sim_atomics::{self as memory, AtomicU32, AtomicUsize, Kind, Ordering};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const LOCK: u32 = 1;
const SYNC: u32 = 0x10;

/// A call object.
#[repr(align(64))]
struct Csd {
    flags: AtomicU32,
    next: Cell<*const Csd>,
    function: RefCell<Option<Rc<dyn Fn()>>>,
}

impl Csd {
    const fn new() -> Self {
        Self { flags: AtomicU32::new(0), next: Cell::new(std::ptr::null()), function: RefCell::new(None) }
    }

    fn wait(&self) {
        // Acquire: the function has returned, or the fields were read; pairs with `run`.
        while self.flags.load(Ordering::Acquire) & LOCK != 0 {
            machine().relax();
        }
    }
}

/// A CPU's list, on a line of its own.
#[repr(align(64))]
struct Queue(AtomicUsize);

/// The machine's calls.
pub(super) struct Linux {
    queues: Vec<Queue>,
    /// For each sender that multicasts one object a target.
    pairs: Vec<Vec<Csd>>,
    /// For each sender one for calls that nobody waits for.
    own: Vec<Csd>,
}

impl Linux {
    /// Those CPUs for which `multicasts` says yes have an object for each target. (The others' are counted in [`Self::bytes`], but
    /// not made.)
    pub(super) fn new(cpus: u32, multicasts: impl Fn(u32) -> bool) -> Self {
        let pairs =
            |sender| if multicasts(sender) { (0..cpus).map(|_| Csd::new()).collect() } else { Vec::new() };
        Self {
            queues: (0..cpus).map(|_| Queue(AtomicUsize::new(0))).collect(),
            pairs: (0..cpus).map(pairs).collect(),
            own: (0..cpus).map(|_| Csd::new()).collect(),
        }
    }

    /// What such a machine takes: 32 bytes a pair, two masks, a list and an own object for each CPU.
    pub(super) fn bytes(cpus: u64) -> u64 {
        cpus * cpus * 32 + cpus * (2 * cpus.div_ceil(8)) + cpus * (64 + 32)
    }

    /// Pushes a locked object; `true` if the list was empty.
    fn push(&self, cpu: u32, csd: &Csd) -> bool {
        let queue = &self.queues[cpu as usize].0;
        // Relaxed: a guess.
        let mut first = queue.load(Ordering::Relaxed);
        loop {
            memory::touch(&csd.next, Kind::Write);
            csd.next.set(std::ptr::with_exposed_provenance(first));
            let new = std::ptr::from_ref(csd).expose_provenance();
            // AcqRel: publishes the object. Failure Relaxed: we try again.
            match queue.compare_exchange(first, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return first == 0,
                Err(now) => first = now,
            }
        }
    }

    fn fill(csd: &Csd, flags: u32, function: Rc<dyn Fn()>) {
        // Relaxed: published by the push.
        csd.flags.store(flags, Ordering::Relaxed);
        memory::touch(&csd.function, Kind::Write);
        csd.function.replace(Some(function));
    }

    fn run(csd: &Csd, sync: bool) {
        memory::touch(&csd.function, Kind::Read);
        let function = csd.function.take().expect("it was filled");
        if !sync {
            // Release: the fields were read.
            csd.flags.store(0, Ordering::Release);
        }
        function();
        if sync {
            // Release: the function has returned.
            csd.flags.store(0, Ordering::Release);
        }
    }
}

fn work(time: Ps) -> Rc<dyn Fn()> {
    Rc::new(move || machine().work(time))
}

impl Calls for Linux {
    fn online(&self) {}

    fn call(&self, cpu: u32, time: Ps) {
        let csd = Csd::new();
        Self::fill(&csd, LOCK | SYNC, work(time));
        if self.push(cpu, &csd) {
            machine().interrupt(cpu, 1);
        }
        csd.wait();
    }

    /// Waits for the sender's last one, as there.
    fn post(&self, cpu: u32, function: Rc<dyn Fn()>) {
        let csd = &self.own[machine().current_cpu() as usize];
        csd.wait();
        Self::fill(csd, LOCK, function);
        if self.push(cpu, csd) {
            machine().interrupt(cpu, 1);
        }
    }

    fn call_many(&self, to: Option<&CpuMask>, time: Ps) {
        let me = machine().current_cpu();
        let csds = &self.pairs[me as usize];
        let meant = |cpu: &u32| *cpu != me && to.is_none_or(|mask| mask.contains(*cpu));
        let targets = || (0..csds.len() as u32).filter(meant);
        let mut ring = vec![0usize; csds.len().div_ceil(usize::BITS as usize)];
        for cpu in targets() {
            let csd = &csds[cpu as usize];
            csd.wait();
            Self::fill(csd, LOCK | SYNC, work(time));
            if self.push(cpu, csd) {
                ring[(cpu / usize::BITS) as usize] |= 1 << (cpu % usize::BITS);
            }
        }
        for (word, cpus) in ring.into_iter().enumerate() {
            machine().interrupt(word as u32 * usize::BITS, cpus);
        }
        for cpu in targets() {
            csds[cpu as usize].wait();
        }
    }

    fn flush(&self) {
        let queue = &self.queues[machine().current_cpu() as usize].0;
        // AcqRel: sees the objects.
        let mut at: *const Csd = std::ptr::with_exposed_provenance(queue.swap(0, Ordering::AcqRel));
        let (mut waited_for, mut others) = (Vec::new(), Vec::new());
        while !at.is_null() {
            // SAFETY: an object is in a list only while it is locked, and its owner waits for that to end before it reuses or
            // leaves it.
            let csd = unsafe { &*at };
            memory::touch(&csd.next, Kind::Read);
            at = csd.next.get();
            // Relaxed: it is ours.
            let sync = csd.flags.load(Ordering::Relaxed) & SYNC != 0;
            if sync { &mut waited_for } else { &mut others }.push(csd);
        }
        waited_for.into_iter().rev().for_each(|csd| Self::run(csd, true));
        others.into_iter().rev().for_each(|csd| Self::run(csd, false));
    }
}
