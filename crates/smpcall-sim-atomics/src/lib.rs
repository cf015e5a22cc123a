//! The simulator's atomics: each access of the core is a scheduling point, and plain stores travel through store buffers
//! as on x86.
//!
//! The values are inline, so the constructors are `const` and the core's layouts stay as they are; what is in flight is kept
//! for each virtual CPU, by address (`buffers`). Outside of a simulation ([`enter`]) every access goes straight to memory.
//!
//! | access | what happens |
//! |---|---|
//! | any | first [`Hook::before`]: the scheduler may run other virtual CPUs, interrupts come in |
//! | load | the youngest buffered store of the same virtual CPU, else memory |
//! | store | goes into the virtual CPU's buffer, and to memory when the scheduler drains it |
//! | read-modify-write, failed ones too, and [`fence`] | the buffer is drained first: on x86 they are locked instructions |
//! | [`OwnBool`] and the like | only interrupts come in: no other CPU looks |
//!
//! That is x86-TSO (Owens, Sarkar, Sewell 2009): the orderings that the code names make no difference, all loads acquire
//! and all stores release. Weaker machines are the loom models' business.
//!
//! **The price of an access** (for a cost model): [`Hook::before`] is told kind and cache line of every access, and knows the
//! virtual CPU; whoever implements it can charge for the transfer of the line there.

mod buffers;

pub use buffers::{CAPACITY, drain_all, drain_one, is_empty, len, reset, set_current};
pub use core::sync::atomic::Ordering;

use buffers::{drain_current, put, seen};
use core::sync::atomic as real;
use std::cell::Cell;

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

/// The simulator, as the atomics know it.
pub trait Hook {
    /// Is called before each access, by the virtual CPU that makes it. May run other virtual CPUs before it returns.
    fn before(&self, access: Access);
}

thread_local! {
    static HOOK: Cell<Option<&'static dyn Hook>> = const { Cell::new(None) };
}

/// This thread simulates, until it is dropped.
#[derive(Debug)]
pub struct Simulating(());

/// Begins a simulation on the calling thread.
///
/// # Safety
///
/// While this thread simulates, an atomic that was stored to is neither moved nor freed before that store was drained: by a
/// read-modify-write of the same virtual CPU, by [`drain_all`] or by [`reset`].
pub unsafe fn enter(hook: &'static dyn Hook) -> Simulating {
    HOOK.set(Some(hook));
    Simulating(())
}

impl Drop for Simulating {
    fn drop(&mut self) {
        HOOK.set(None);
    }
}

#[inline(always)]
fn step<T>(kind: Kind, at: &T) -> bool {
    match HOOK.get() {
        None => false,
        Some(hook) => {
            hook.before(Access { kind, line: core::ptr::from_ref(at).addr() / 64 });
            true
        }
    }
}

/// Says that memory which is no atomic is about to be read, or written: for the price of it only.
#[inline]
pub fn touch<T>(at: *const T, kind: Kind) {
    if let Some(hook) = HOOK.get() {
        hook.before(Access { kind, line: at.addr() / 64 });
    }
}

/// A full fence.
pub fn fence() {
    if step(Kind::Fence, &()) {
        drain_current();
    }
    // SeqCst: the strongest there is, for use outside of a simulation.
    real::fence(Ordering::SeqCst);
}

macro_rules! atomic {
    ($(#[$meta:meta])* $name:ident $(<$g:ident>)?, $inner:ty, $value:ty, $to:expr, $from:expr) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Debug)]
        pub struct $name $(<$g>)?($inner);

        impl $(<$g>)? $name $(<$g>)? {
            /// As of core's atomic of this name.
            #[inline]
            pub const fn new(value: $value) -> Self {
                Self(<$inner>::new(value))
            }

            /// As of core's atomic of this name.
            #[inline]
            pub fn load(&self, order: Ordering) -> $value {
                if step(Kind::Load, self)
                    && let Some(value) = seen(core::ptr::from_ref(self).cast())
                {
                    return ($from)(value);
                }
                self.0.load(order)
            }

            /// As of core's atomic of this name.
            #[inline]
            pub fn store(&self, value: $value, order: Ordering) {
                if step(Kind::Store, self) {
                    // SAFETY (of the later call): who entered the simulation has promised that we are still there.
                    put(core::ptr::from_ref(self).cast(), ($to)(value), |at, value| {
                        // SAFETY: `at` is the atomic that `put` was given just above, and is still there.
                        let this = unsafe { &*at.cast::<Self>() };
                        // Relaxed: one OS thread plays all virtual CPUs.
                        this.0.store(($from)(value), Ordering::Relaxed);
                    });
                } else {
                    self.0.store(value, order);
                }
            }

            /// As of core's atomic of this name.
            #[inline]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                if step(Kind::Rmw, self) {
                    drain_current();
                }
                self.0.swap(value, order)
            }

            /// As of core's atomic of this name.
            ///
            /// # Errors
            ///
            /// The value, if it is not `current`.
            #[inline]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if step(Kind::Rmw, self) {
                    drain_current();
                }
                self.0.compare_exchange(current, new, success, failure)
            }
        }
    };
}

/// What only numbers can do.
macro_rules! counted {
    ($name:ident, $value:ty: $($op:ident)+) => {
        impl $name {
            $(
                /// As of core's atomic of this name.
                #[inline]
                pub fn $op(&self, value: $value, order: Ordering) -> $value {
                    if step(Kind::Rmw, self) {
                        drain_current();
                    }
                    self.0.$op(value, order)
                }
            )+
        }
    };
}

atomic!(
    /// A simulated `AtomicU16`.
    AtomicU16, real::AtomicU16, u16, |value: u16| usize::from(value), |value: usize| value as u16
);
atomic!(
    /// A simulated `AtomicU32`.
    AtomicU32, real::AtomicU32, u32, |value: u32| value as usize, |value: usize| value as u32
);
atomic!(
    /// A simulated `AtomicUsize`.
    AtomicUsize, real::AtomicUsize, usize, |value: usize| value, |value: usize| value
);
atomic!(
    /// A simulated `AtomicPtr`.
    AtomicPtr<T>, real::AtomicPtr<T>, *mut T,
    |value: *mut T| value.expose_provenance(), |value: usize| core::ptr::with_exposed_provenance_mut::<T>(value)
);
impl Default for AtomicU32 {
    fn default() -> Self {
        Self::new(0)
    }
}

counted!(AtomicU32, u32: fetch_add fetch_sub fetch_or fetch_and fetch_max);
counted!(AtomicUsize, usize: fetch_add fetch_sub fetch_or fetch_and fetch_max);

/// What only its owner reads and writes, from its thread and its interrupts: an interrupt may come in at each access, and no
/// other CPU is let in, since none looks.
macro_rules! own {
    ($(#[$meta:meta])* $name:ident $(<$g:ident>)?, $inner:ty, $value:ty) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Debug)]
        pub struct $name $(<$g>)?($inner);

        impl $(<$g>)? $name $(<$g>)? {
            /// As of core's atomic.
            #[inline]
            pub const fn new(value: $value) -> Self {
                Self(<$inner>::new(value))
            }

            /// As of core's atomic.
            #[inline]
            pub fn load(&self, order: Ordering) -> $value {
                step(Kind::Own, self);
                self.0.load(order)
            }

            /// As of core's atomic.
            #[inline]
            pub fn store(&self, value: $value, order: Ordering) {
                step(Kind::Own, self);
                self.0.store(value, order);
            }
        }
    };
}

own!(
    /// A flag of one CPU.
    OwnBool, real::AtomicBool, bool
);
own!(
    /// A pointer of one CPU.
    OwnPtr<T>, real::AtomicPtr<T>, *mut T
);
own!(
    /// A number of one CPU.
    OwnUsize, real::AtomicUsize, usize
);

#[cfg(test)]
mod tests;
