//! The types. Each is core's of its name, and goes the way that its access goes.

use crate::buffers::{drain_current, put, seen};
use crate::{Hook, Kind, Ordering, Way, Word, is_weak, step, weak};
use core::sync::atomic as real;

/// Nothing else than the value changes.
const UNWATCHED: Option<Word> = None;

fn tell(hook: &dyn Hook, word: Option<Word>, from: usize, to: usize) {
    if let Some(word) = word {
        hook.changed(word, from, to);
    }
}

macro_rules! atomic {
    ($(#[$meta:meta])* $name:ident $(<$g:ident>)?, $inner:ty, $value:ty, $to:expr, $from:expr, $word:expr) => {
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

            fn at(&self) -> usize {
                core::ptr::from_ref(self).addr()
            }

            fn newest(&self) -> usize {
                // Relaxed: one OS thread plays all virtual CPUs.
                ($to)(self.0.load(Ordering::Relaxed))
            }

            /// As of core's atomic of this name.
            #[inline]
            pub fn load(&self, order: Ordering) -> $value {
                match step(Kind::Load, self) {
                    Way::Straight => self.0.load(order),
                    Way::Tso(_) => {
                        seen(core::ptr::from_ref(self).cast()).map_or_else(|| self.0.load(order), $from)
                    }
                    Way::Weak(hook) => {
                        let choose = |values| hook.choose(values);
                        ($from)(weak::load(self.at(), self.newest(), order, hook.oldest(), choose))
                    }
                }
            }

            /// The oldest value that a load could read: what the virtual CPU is sure to see. For those who check; no step.
            pub fn sure(&self) -> $value {
                if is_weak() {
                    ($from)(weak::oldest(self.at(), self.newest()))
                } else {
                    // Relaxed: to make it visible is the promise under test.
                    self.load(Ordering::Relaxed)
                }
            }

            /// As of core's atomic of this name.
            #[inline]
            pub fn store(&self, value: $value, order: Ordering) {
                match step(Kind::Store, self) {
                    Way::Straight => self.0.store(value, order),
                    // SAFETY (of the later call): who entered the simulation has promised that we are still there.
                    Way::Tso(_) => put(core::ptr::from_ref(self).cast(), ($to)(value), |at, value| {
                        // SAFETY: `at` is the atomic that `put` was given just above, and is still there.
                        let this = unsafe { &*at.cast::<Self>() };
                        // Relaxed: one OS thread plays all virtual CPUs.
                        this.0.store(($from)(value), Ordering::Relaxed);
                    }),
                    Way::Weak(hook) => {
                        let before = self.newest();
                        weak::store(self.at(), before, ($to)(value), order, hook.now());
                        // Relaxed: as above.
                        self.0.store(value, Ordering::Relaxed);
                        tell(hook, $word, before, ($to)(value));
                    }
                }
            }

            /// Replaces the newest value by what `f` makes of it.
            #[inline]
            fn modify(&self, order: Ordering, f: impl Fn(&$inner) -> $value) -> $value {
                match step(Kind::Rmw, self) {
                    Way::Straight => f(&self.0),
                    Way::Tso(hook) => {
                        drain_current();
                        let before = f(&self.0);
                        tell(hook, $word, ($to)(before), self.newest());
                        before
                    }
                    Way::Weak(hook) => {
                        let before = f(&self.0);
                        weak::rmw(self.at(), ($to)(before), self.newest(), order, hook.now());
                        tell(hook, $word, ($to)(before), self.newest());
                        before
                    }
                }
            }

            /// As of core's atomic of this name.
            #[inline]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.modify(order, |inner| inner.swap(value, order))
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
                let (hook, is_weak) = match step(Kind::Rmw, self) {
                    Way::Straight => return self.0.compare_exchange(current, new, success, failure),
                    Way::Tso(hook) => {
                        drain_current();
                        (hook, false)
                    }
                    Way::Weak(hook) => (hook, true),
                };
                let (newest, expected) = (self.newest(), ($to)(current));
                if is_weak {
                    // One that fails is a load, of any value that a load may read; one that goes through reads the newest.
                    let choose = |values| hook.choose(values);
                    let found = weak::load(self.at(), newest, failure, hook.oldest(), choose);
                    if found != expected {
                        return Err(($from)(found));
                    }
                    if newest != expected {
                        // An old value that would do is not enough: so it has read the newest, and will not see an older one again.
                        return Err(($from)(weak::load(self.at(), newest, failure, hook.oldest(), |_| 0)));
                    }
                    weak::rmw(self.at(), newest, ($to)(new), success, hook.now());
                }
                let done = self.0.compare_exchange(current, new, success, failure);
                if done.is_ok() {
                    tell(hook, $word, newest, ($to)(new));
                }
                done
            }
        }

        impl $(<$g>)? Drop for $name $(<$g>)? {
            #[inline]
            fn drop(&mut self) {
                if is_weak() {
                    weak::forget(self.at());
                }
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
                    self.modify(order, |inner| inner.$op(value, order))
                }
            )+
        }
    };
}

atomic!(
    /// A simulated `AtomicU16`.
    AtomicU16, real::AtomicU16, u16, |value: u16| usize::from(value), |value: usize| value as u16, UNWATCHED
);
atomic!(
    /// A simulated `AtomicU32`.
    AtomicU32, real::AtomicU32, u32, |value: u32| value as usize, |value: usize| value as u32, UNWATCHED
);
atomic!(
    /// A simulated `AtomicUsize`.
    AtomicUsize, real::AtomicUsize, usize, |value: usize| value, |value: usize| value, UNWATCHED
);
atomic!(
    /// A simulated `AtomicPtr`.
    AtomicPtr<T>, real::AtomicPtr<T>, *mut T,
    |value: *mut T| value.expose_provenance(), |value: usize| core::ptr::with_exposed_provenance_mut::<T>(value),
    UNWATCHED
);
atomic!(
    /// A simulated `AtomicU32` that is a csd's state: its changes are told of.
    StateWord, real::AtomicU32, u32, |value: u32| value as usize, |value: usize| value as u32, Some(Word::State)
);
atomic!(
    /// A simulated `AtomicPtr` that is the head of a queue: its changes are told of.
    HeadWord<T>, real::AtomicPtr<T>, *mut T,
    |value: *mut T| value.expose_provenance(), |value: usize| core::ptr::with_exposed_provenance_mut::<T>(value),
    Some(Word::Head)
);

impl Default for AtomicU32 {
    fn default() -> Self {
        Self::new(0)
    }
}

counted!(AtomicU32, u32: fetch_add fetch_sub fetch_or fetch_and fetch_max);
counted!(AtomicUsize, usize: fetch_add fetch_sub fetch_or fetch_and fetch_max);
counted!(StateWord, u32: fetch_or);

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
                _ = step(Kind::Own, self);
                self.0.load(order)
            }

            /// As of core's atomic.
            #[inline]
            pub fn store(&self, value: $value, order: Ordering) {
                _ = step(Kind::Own, self);
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
    /// A number of one CPU. Others may look at it, and are promised nothing.
    OwnUsize, real::AtomicUsize, usize
);
