//! Every atomic and every shared cell of the core, so that a checker can stand in for the machine.
//!
//! The core names no other atomic (`cargo xtask tidy` looks). Plain builds re-export `core::sync::atomic`; under
//! `--cfg smpcall_sim` (the package smpcall-instrumented) they are the simulator's, where each access is a scheduling
//! point; under `--cfg loom` each type is loom's, with one addition: **before every load a relaxed read-modify-write on a shadow
//! atomic**. loom 0.7 remembers one last access for each object; a load that comes directly before a write of the same
//! thread hides the race of that write with an older load of another thread. The shadow makes every two loads of one
//! object conflict, so that each of them comes last before the write in some execution; it is relaxed, so it orders
//! nothing. The two words of the protocol have names of their own ([`StateWord`], [`HeadWord`]), by which the simulator tells them from
//! the other atomics.
//!
//! What only its owner touches ([`OwnBool`], [`OwnPtr`], [`OwnUsize`]) is a checked cell under loom: no steps to be
//! interleaved, and a failure if anybody else comes near.

#[cfg(not(loom))]
pub(crate) use self::plain::*;
#[cfg(loom)]
pub(crate) use self::under_loom::*;

/// Declares a constructor: `const` for real, plain under loom, whose atomics cannot be made in a constant.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block) => {
        $(#[$meta])*
        #[cfg(not(loom))]
        $vis const fn $name($($arg: $ty),*) -> $ret $body
        $(#[$meta])*
        #[cfg(loom)]
        $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}
pub(crate) use const_unless_loom;

/// What only its owner reads and writes, from its thread and its interrupts.
pub(crate) trait OwnersOnly {
    type Value;
    fn get(&self) -> Self::Value;
    fn set(&self, value: Self::Value);
}

macro_rules! owners_only {
    ($($name:ident $(<$g:ident>)?: $value:ty),*) => {$(
        impl $(<$g>)? OwnersOnly for $name $(<$g>)? {
            type Value = $value;

            #[inline(always)]
            fn get(&self) -> $value {
                // Relaxed: the owner's own; one CPU sees its own writes in order.
                self.load(Ordering::Relaxed)
            }

            #[inline(always)]
            fn set(&self, value: $value) {
                // Relaxed: as above; nobody else acts on it.
                self.store(value, Ordering::Relaxed);
            }
        }
    )*};
}
owners_only!(OwnBool: bool, OwnPtr<T>: *mut T, OwnUsize: usize);

#[cfg(not(loom))]
mod plain {
    #[cfg(not(smpcall_sim))]
    pub(crate) use core::sync::atomic::{
        AtomicBool as OwnBool, AtomicPtr as OwnPtr, AtomicUsize as OwnUsize,
    };
    #[cfg(not(smpcall_sim))]
    pub(crate) use core::sync::atomic::{
        AtomicPtr, AtomicPtr as HeadWord, AtomicU16, AtomicU32, AtomicU32 as StateWord, AtomicUsize, Ordering,
    };
    #[cfg(smpcall_sim)]
    pub(crate) use smpcall_sim_atomics::{
        AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, HeadWord, Ordering, OwnBool, OwnPtr, OwnUsize,
        StateWord,
    };

    /// A cell that several CPUs may reach; who may touch it when is an invariant of its owner.
    #[repr(transparent)]
    pub(crate) struct SharedCell<T>(core::cell::UnsafeCell<T>);

    impl<T> SharedCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        /// Calls `f` with a pointer to read through.
        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            // No step, but it has its price in the cost model, and where memory is weak it can be a data race.
            #[cfg(smpcall_sim)]
            smpcall_sim_atomics::touch(self, smpcall_sim_atomics::Kind::Read);
            f(self.0.get())
        }

        /// Calls `f` with a pointer to write through.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            // As above.
            #[cfg(smpcall_sim)]
            smpcall_sim_atomics::touch(self, smpcall_sim_atomics::Kind::Write);
            f(self.0.get())
        }
    }

    // What is here next is another cell.
    #[cfg(smpcall_sim)]
    impl<T> Drop for SharedCell<T> {
        fn drop(&mut self) {
            smpcall_sim_atomics::leave(self);
        }
    }
}

#[cfg(loom)]
mod under_loom {
    pub(crate) type SharedCell<T> = loom::cell::UnsafeCell<T>;
    use loom::sync::atomic as real;
    pub(crate) use loom::sync::atomic::Ordering;

    macro_rules! shadowed {
        ($name:ident $(<$g:ident>)?, $inner:ty, $value:ty) => {
            #[derive(Debug)]
            pub(crate) struct $name $(<$g>)? {
                shadow: real::AtomicUsize,
                inner: $inner,
            }

            #[allow(dead_code, reason = "one set of methods for every type; not each is used of each")]
            impl $(<$g>)? $name $(<$g>)? {
                pub(crate) fn new(value: $value) -> Self {
                    Self { shadow: real::AtomicUsize::new(0), inner: <$inner>::new(value) }
                }

                /// Its memory is given back: loom fails the model if anybody still touches it.
                pub(crate) fn leave(&mut self) {
                    self.inner.with_mut(|_| ());
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    // Relaxed: orders nothing; it only makes any two loads of this object conflict for loom.
                    self.shadow.fetch_add(0, Ordering::Relaxed);
                    self.inner.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.inner.store(value, order);
                }

                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.inner.swap(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.inner.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    /// What only numbers can do.
    macro_rules! arithmetic {
        ($name:ident, $value:ty) => {
            #[allow(dead_code, reason = "one set of methods for every type; not each is used of each")]
            impl $name {
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_add(value, order)
                }

                pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_sub(value, order)
                }

                pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_or(value, order)
                }

                pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_and(value, order)
                }

                pub(crate) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_max(value, order)
                }
            }
        };
    }

    shadowed!(AtomicU32, real::AtomicU32, u32);
    arithmetic!(AtomicU32, u32);
    arithmetic!(AtomicUsize, usize);
    pub(crate) type StateWord = AtomicU32;
    pub(crate) type HeadWord<T> = AtomicPtr<T>;
    shadowed!(AtomicU16, real::AtomicU16, u16);
    shadowed!(AtomicUsize, real::AtomicUsize, usize);
    shadowed!(AtomicPtr<T>, real::AtomicPtr<T>, *mut T);

    /// What only its owner reads and writes: loom fails the model if two accesses are not ordered.
    pub(crate) struct Own<T>(SharedCell<T>);
    pub(crate) type OwnBool = Own<bool>;
    pub(crate) type OwnPtr<T> = Own<*mut T>;
    pub(crate) type OwnUsize = Own<usize>;

    impl<T: Copy> Own<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(SharedCell::new(value))
        }

        pub(crate) fn load(&self, _order: Ordering) -> T {
            // SAFETY: loom has just found that nobody else is writing it.
            self.0.with(|value| unsafe { *value })
        }

        pub(crate) fn store(&self, value: T, _order: Ordering) {
            // SAFETY: loom has just found that nobody else is at it.
            self.0.with_mut(|place| unsafe { *place = value });
        }
    }

    // SAFETY: as above; plain builds have an atomic in its place.
    unsafe impl<T> Sync for Own<T> {}
    // SAFETY: as above.
    unsafe impl<T> Send for Own<T> {}
}
