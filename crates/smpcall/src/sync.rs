//! Every atomic and every shared cell of the core, so that a checker can stand in for the machine.
//!
//! The core names no other atomic (`cargo xtask tidy` looks). Plain builds re-export `core::sync::atomic`; under
//! `--cfg loom` each type is loom's, with one addition: **before every access a relaxed read-modify-write on a
//! shadow atomic**. loom 0.7 remembers one last access for each object; a load that comes directly before a
//! read-modify-write of the same thread hides the race of that read-modify-write with an older load of another
//! thread. The shadow makes every two accesses of one object conflict, so both orders are explored; it is relaxed,
//! so it orders nothing.

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

#[cfg(not(loom))]
mod plain {
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, Ordering};

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
            f(self.0.get())
        }

        /// Calls `f` with a pointer to write through.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(loom)]
mod under_loom {
    pub(crate) use loom::cell::UnsafeCell as SharedCell;
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

                fn touch(&self) {
                    // Relaxed: orders nothing; it only makes any two accesses of this object conflict for loom.
                    self.shadow.fetch_add(0, Ordering::Relaxed);
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.touch();
                    self.inner.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.touch();
                    self.inner.store(value, order);
                }

                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.touch();
                    self.inner.swap(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.touch();
                    self.inner.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    /// What only numbers can do.
    macro_rules! counted {
        ($name:ident, $value:ty) => {
            #[allow(dead_code, reason = "one set of methods for every type; not each is used of each")]
            impl $name {
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.touch();
                    self.inner.fetch_add(value, order)
                }

                pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    self.touch();
                    self.inner.fetch_sub(value, order)
                }

                pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    self.touch();
                    self.inner.fetch_or(value, order)
                }

                pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.touch();
                    self.inner.fetch_and(value, order)
                }
            }
        };
    }

    shadowed!(AtomicU32, real::AtomicU32, u32);
    counted!(AtomicU32, u32);
    counted!(AtomicUsize, usize);
    shadowed!(AtomicU16, real::AtomicU16, u16);
    shadowed!(AtomicUsize, real::AtomicUsize, usize);
    shadowed!(AtomicBool, real::AtomicBool, bool);
    shadowed!(AtomicPtr<T>, real::AtomicPtr<T>, *mut T);
}
