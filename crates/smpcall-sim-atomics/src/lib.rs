//! The simulator's atomics: each access of the core is a scheduling point, and memory is as weak as it is asked to be.
//!
//! The values are inline, so the constructors are `const` and the core's layouts stay as they are; what is in flight, or was there before,
//! is kept apart, by address. Outside of a simulation ([`enter`]) every access goes straight to memory.
//!
//! First of all, each access calls [`Hook::before`]: the scheduler may run other virtual CPUs, interrupts come in. (But of [`OwnBool`]
//! and the like: only interrupts come in there, since no other CPU looks.) Then, with [`Memory::Tso`]:
//!
//! | access | what happens |
//! |---|---|
//! | load | the youngest buffered store of the same virtual CPU, else memory |
//! | store | goes into the virtual CPU's buffer, and to memory when the scheduler drains it |
//! | read-modify-write, failed ones too, and [`fence`] | the buffer is drained first: on x86 they are locked instructions |
//! | a cell that is no atomic ([`touch`]) | nothing |
//!
//! That is x86-TSO (Owens, Sarkar, Sewell 2009): the orderings that the code names make no difference, all loads acquire
//! and all stores release. With [`Memory::Weak`]:
//!
//! | access | what happens |
//! |---|---|
//! | load | the newest value that its virtual CPU knows, or any newer one: [`Hook::choose`] says which |
//! | store | is the newest value at once; if it releases, what its virtual CPU knows goes with it |
//! | read-modify-write | reads the newest value; what that carries, its own value carries on: a release sequence |
//! | a compare-and-exchange that fails | as a load |
//! | whatever acquires | takes over what goes with the value that it reads |
//! | [`fence`] | releases with the relaxed stores after it, acquires with the relaxed loads before it |
//! | `SeqCst`, on any of these | as `AcqRel`, and sees all that was `SeqCst` before |
//! | a cell that is no atomic | must be known to whoever touches it next, if one of the two writes: else [`Hook::raced`] |
//!
//! That is C++20's memory model, which is Rust's, without load buffering: nothing is read that is not written yet, and a store comes last in
//! its location's order (so two stores are never seen the other way round by way of a third location that both CPUs write, "2+2W").
//! `SeqCst` is somewhat stronger here than there. `weak.rs` says how it is done.
//!
//! **The price of an access** (for a cost model): [`Hook::before`] is told kind and cache line of every access, and knows the
//! virtual CPU; whoever implements it can charge for the transfer of the line there.

mod atomics;
mod buffers;
mod weak;

pub use atomics::{
    AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, HeadWord, OwnBool, OwnPtr, OwnUsize, StateWord,
};
pub use buffers::{CAPACITY, drain_all, drain_one, is_empty, len};
pub use core::sync::atomic::Ordering;
pub use weak::{HISTORY, Race};

use core::sync::atomic as real;
use std::cell::{Cell, RefCell};

/// How weak memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// As on x86: stores are late.
    #[default]
    Tso,
    /// As C++20 and Rust have it, without load buffering: loads may read old values.
    Weak,
}

/// What kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A load.
    Load,
    /// A store.
    Store,
    /// A read-modify-write, whether it goes through or not.
    Rmw,
    /// A fence.
    Fence,
    /// An access to what only its own CPU looks at.
    Own,
    /// A look into memory that is no atomic ([`touch`]): has a price, and is no step.
    Read,
    /// A write to such memory.
    Write,
}

/// An access that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What kind.
    pub kind: Kind,
    /// Which cache line: address / 64. For the price of it only; it differs from run to run.
    pub line: usize,
}

/// Which of the core's words has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// A csd's state.
    State,
    /// The head of a CPU's queue.
    Head,
}

/// The simulator, as the atomics know it.
pub trait Hook {
    /// Is called before each access, by the virtual CPU that makes it. May run other virtual CPUs before it returns.
    fn before(&self, access: Access);

    /// One of the core's two words has changed. (With weak memory, and with store buffers when a read-modify-write did it.)
    fn changed(&self, _word: Word, _from: usize, _to: usize) {}

    /// Which of so many values a load reads, 0 being the newest. Asked where memory is weak. Must not access any simulated memory.
    fn choose(&self, _values: usize) -> usize {
        0
    }

    /// The time, in steps.
    fn now(&self) -> u64 {
        0
    }

    /// The step at which a value must have been the newest, or have become it, to be read.
    fn oldest(&self) -> u64 {
        0
    }

    /// There is a data race.
    fn raced(&self, _race: Race) {}
}

#[derive(Clone, Copy)]
struct Now {
    hook: &'static dyn Hook,
    memory: Memory,
}

thread_local! {
    static NOW: Cell<Option<Now>> = const { Cell::new(None) };
}

/// This thread simulates, until it is dropped.
#[derive(Debug)]
pub struct Simulating(());

/// Begins a simulation on the calling thread, with such memory.
///
/// # Safety
///
/// While this thread simulates, an atomic that was stored to is neither moved nor freed before that store was drained: by a
/// read-modify-write of the same virtual CPU, by [`drain_all`] or by [`reset`].
pub unsafe fn enter(hook: &'static dyn Hook, memory: Memory) -> Simulating {
    NOW.set(Some(Now { hook, memory }));
    Simulating(())
}

impl Drop for Simulating {
    fn drop(&mut self) {
        NOW.set(None);
    }
}

/// Nothing is in flight any more, and nothing known: what was in flight is lost. Makes room for so many virtual CPUs.
pub fn reset(virtual_cpus: usize) {
    buffers::reset(virtual_cpus);
    weak::reset(virtual_cpus);
}

/// Says which virtual CPU runs from now on.
#[inline]
pub fn set_current(virtual_cpu: usize) {
    buffers::set_current(virtual_cpu);
    if is_weak() {
        weak::set_current(virtual_cpu);
    }
}

fn is_weak() -> bool {
    NOW.get().is_some_and(|now| now.memory == Memory::Weak)
}

/// Where an access goes.
#[derive(Clone, Copy)]
enum Way {
    /// To memory.
    Straight,
    Tso(&'static dyn Hook),
    Weak(&'static dyn Hook),
}

#[inline(always)]
fn step<T>(kind: Kind, at: &T) -> Way {
    match NOW.get() {
        None => Way::Straight,
        Some(Now { hook, memory }) => {
            hook.before(Access { kind, line: core::ptr::from_ref(at).addr() / 64 });
            match memory {
                Memory::Tso => Way::Tso(hook),
                Memory::Weak => Way::Weak(hook),
            }
        }
    }
}

/// Says that memory which is no atomic is about to be read, or written: for the price of it, and for races where memory is weak.
#[inline]
pub fn touch<T>(at: *const T, kind: Kind) {
    let Some(Now { hook, memory }) = NOW.get() else { return };
    hook.before(Access { kind, line: at.addr() / 64 });
    if memory == Memory::Weak {
        race(hook, at, kind);
    }
}

fn race<T>(hook: &dyn Hook, at: *const T, kind: Kind) {
    if size_of::<T>() > 0
        && let Some(race) = weak::touch(at.addr(), core::any::type_name::<T>(), kind == Kind::Write)
    {
        hook.raced(race);
    }
}

/// Says that such memory is something else from now on.
#[inline]
pub fn leave<T>(at: *const T) {
    if is_weak() {
        weak::forget_cell(at.addr());
    }
}

/// A fence.
///
/// # Panics
///
/// If it is relaxed, as core's does.
pub fn fence(order: Ordering) {
    match step(Kind::Fence, &()) {
        Way::Straight => real::fence(order),
        Way::Tso(_) => buffers::drain_current(),
        Way::Weak(_) => {
            assert_ne!(order, Ordering::Relaxed, "there is no such thing as a relaxed fence");
            weak::fence(order);
        }
    }
}

/// A word of the port's that nothing but read-modify-writes of its ever writes: a latch. What was known at any [`send`](Self::send) is known
/// after a [`receive`](Self::receive).
#[derive(Debug, Default)]
pub struct Channel(RefCell<Vec<u32>>);

impl Channel {
    /// The current virtual CPU sets the latch: a release.
    pub fn send(&self) {
        buffers::drain_current();
        if is_weak() {
            weak::send(&mut self.0.borrow_mut());
        }
    }

    /// It clears the latch: an acquire.
    pub fn receive(&self) {
        buffers::drain_current();
        if is_weak() {
            weak::receive(&self.0.borrow());
        }
    }
}

/// The current virtual CPU goes on with what that one has done, which goes on with nothing meanwhile: a CPU changes threads.
pub fn take_over(from: usize) {
    drain_all(from);
    if is_weak() {
        weak::take_over(from);
    }
}

#[cfg(test)]
mod tests;
