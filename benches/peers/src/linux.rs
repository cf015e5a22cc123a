//! Linux's algorithm on host threads, written from a description of how kernel/smp.c behaves, on the port that ours uses.
//!
//! Each CPU has a list of call objects, pushed by compare-and-swap and taken whole by a swap. A multicast has one call object for
//! each pair of CPUs: for each target in turn it waits until that pair's object is free, locks it, fills it, and pushes it; CPUs
//! whose list was empty are rung, after all pushes; then it waits for each object in turn, in the order of their numbers. A
//! waited-for object is unlocked after its function, any other before; those that are waited for run first.
//!
//! To its favour: each object has a line of its own, and a waiting call's argument and result lie in the object's line; a target that
//! polls is known as such without a look; what the kernel does besides (tracepoints, checks, RCU) is left out. As in the kernel, a
//! waiter looks and does nothing else; where CPUs share cores, which no kernel's do, it yields between looks.

mod rig;

pub(crate) use rig::{Who, all_parked, all_polling, csd, csd_parked, mask, waiting, waiting_parked};

use smpcall_host::Machine;
use smpcall_host::smpcall::Platform;
use smpcall_measure::pace::Line;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

const LOCK: u32 = 1;
const SYNC: u32 = 2;

/// What a call object names: a function, and what it is given.
#[derive(Clone, Copy)]
struct Work {
    function: fn(*const ()),
    argument: *const (),
}

fn nothing(_: *const ()) {}

/// A call object.
#[repr(align(64))]
struct Csd {
    flags: AtomicU32,
    next: Cell<*const Csd>,
    work: Cell<Work>,
}

// SAFETY: its cells are written by whoever locked it, before the push that publishes them, and read by the target, before it
// unlocks.
unsafe impl Sync for Csd {}
// SAFETY: as above; what a work points to is the caller's, who waits.
unsafe impl Send for Csd {}

impl Csd {
    const fn new() -> Self {
        let work = Work { function: nothing, argument: ptr::null() };
        Self { flags: AtomicU32::new(0), next: Cell::new(ptr::null()), work: Cell::new(work) }
    }

    fn is_locked(&self) -> bool {
        // Acquire: the function has returned, or the fields were read; pairs with `unlock`.
        self.flags.load(Ordering::Acquire) & LOCK != 0
    }

    /// The owner, who found it unlocked.
    fn fill(&self, flags: u32, work: Work) {
        // Relaxed: published by the push.
        self.flags.store(flags, Ordering::Relaxed);
        self.work.set(work);
    }

    fn unlock(&self) {
        // Release: pairs with `is_locked`.
        self.flags.store(0, Ordering::Release);
    }
}

/// Whether each CPU has a core to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Own,
    Shared,
}

/// Whether targets look at their lists by themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Polling,
    Parked,
}

/// The machine's calls.
pub(crate) struct Linux<'m> {
    machine: &'m Machine,
    state: State,
    room: Room,
    lists: Vec<Line<AtomicPtr<Csd>>>,
    /// By sender and target.
    pairs: Vec<Vec<Csd>>,
    /// By sender, for calls that nobody waits for.
    own: Vec<Csd>,
}

impl<'m> Linux<'m> {
    pub(crate) fn new(machine: &'m Machine, cpus: u32, state: State, room: Room) -> Self {
        let objects = || (0..cpus).map(|_| Csd::new()).collect::<Vec<_>>();
        Self {
            machine,
            state,
            room,
            lists: (0..cpus).map(|_| Line(AtomicPtr::new(ptr::null_mut()))).collect(),
            pairs: (0..cpus).map(|_| objects()).collect(),
            own: objects(),
        }
    }

    /// Pushes a locked object; `true` if the list was empty.
    #[inline]
    fn push(&self, cpu: u32, csd: &Csd) -> bool {
        let list = &self.lists[cpu as usize].0;
        // Relaxed: a guess.
        let mut first = list.load(Ordering::Relaxed);
        loop {
            csd.next.set(first);
            let new = ptr::from_ref(csd).cast_mut();
            // AcqRel: publishes the object; pairs with the swap in `flush`. Failure Relaxed: we try again.
            match list.compare_exchange(first, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return first.is_null(),
                Err(now) => first = now,
            }
        }
    }

    #[inline]
    fn ring(&self, cpu: u32) {
        if self.state == State::Parked {
            // A futex's wake does not fail.
            let _ = self.machine.platform().ring(cpu);
        }
    }

    /// Looks until the object is unlocked.
    #[inline]
    fn wait(&self, csd: &Csd) {
        let mut looks = 0_u32;
        while csd.is_locked() {
            self.machine.platform().relax();
            looks += 1;
            if self.room == Room::Shared && looks > 16 {
                std::thread::yield_now();
            }
        }
    }

    /// `smp_call_function_single`, waiting.
    #[inline]
    fn call(&self, cpu: u32, csd: &Csd, work: Work) {
        csd.fill(LOCK | SYNC, work);
        if self.push(cpu, csd) {
            self.ring(cpu);
        }
        self.wait(csd);
    }

    /// `smp_call_function_single`, not waiting: but for the sender's last one.
    #[inline]
    fn post(&self, me: u32, cpu: u32, work: Work) {
        let csd = &self.own[me as usize];
        self.wait(csd);
        csd.fill(LOCK, work);
        if self.push(cpu, csd) {
            self.ring(cpu);
        }
    }

    /// `smp_call_function_many`, waiting. `targets` are a bit each.
    fn call_many(&self, me: u32, targets: u64, work: Work) {
        let csds = &self.pairs[me as usize];
        let mut to_ring = 0_u64;
        for cpu in bits(targets) {
            let csd = &csds[cpu as usize];
            self.wait(csd);
            csd.fill(LOCK | SYNC, work);
            if self.push(cpu, csd) {
                to_ring |= 1 << cpu;
            }
        }
        bits(to_ring).for_each(|cpu| self.ring(cpu));
        bits(targets).for_each(|cpu| self.wait(&csds[cpu as usize]));
    }

    #[inline]
    fn has_work(&self, cpu: u32) -> bool {
        // Relaxed: the flush's swap is what sees.
        !self.lists[cpu as usize].0.load(Ordering::Relaxed).is_null()
    }

    /// The target: runs what is there.
    fn flush(&self, cpu: u32) {
        // AcqRel: sees the objects; pairs with `push`.
        let mut taken: *const Csd = self.lists[cpu as usize].0.swap(ptr::null_mut(), Ordering::AcqRel);
        // Oldest first.
        let mut at: *const Csd = ptr::null();
        // SAFETY: an object is in a list only while it is locked, and its owner neither moves nor reuses it until it is not.
        while let Some(csd) = unsafe { taken.as_ref() } {
            let next = csd.next.replace(at);
            at = taken;
            taken = next;
        }
        let mut others: *const Csd = ptr::null();
        let mut last: *const Csd = ptr::null();
        // SAFETY: as above; `next` is read before the unlock.
        while let Some(csd) = unsafe { at.as_ref() } {
            at = csd.next.get();
            let Work { function, argument } = csd.work.get();
            // Relaxed: it is ours while it is locked.
            if csd.flags.load(Ordering::Relaxed) & SYNC != 0 {
                function(argument);
                csd.unlock();
                continue;
            }
            csd.next.set(ptr::null());
            // SAFETY: as above.
            match unsafe { last.as_ref() } {
                Some(before) => before.next.set(csd),
                None => others = csd,
            }
            last = csd;
        }
        // SAFETY: as above.
        while let Some(csd) = unsafe { others.as_ref() } {
            others = csd.next.get();
            let Work { function, argument } = csd.work.get();
            csd.unlock();
            function(argument);
        }
    }
}

/// The numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word = word.checked_sub(1)? & word;
        Some(bit)
    })
}
