//! A CPU that holds its interrupts off for as long as another wants, for benches and demonstrations of what is queued there.

use crate::soak::Signal;

/// The two that are in agreement about it; in a `static`.
///
/// ```
/// use smpcall_conformance::Holder;
/// use std::thread::{scope, yield_now};
///
/// static HOLDER: Holder = Holder::new();
///
/// scope(|scope| {
///     // The CPU that is held: a kernel's switches interrupts off meanwhile.
///     scope.spawn(|| {
///         while !HOLDER.is_wanted() { yield_now(); }
///         HOLDER.hold(yield_now);
///     });
///     let wait = |done: &mut dyn FnMut() -> bool| while !done() { yield_now(); };
///     assert_eq!(HOLDER.while_held(wait, || 0, 0, || "what is done meanwhile"), "what is done meanwhile");
/// });
/// ```
#[derive(Debug)]
pub struct Holder {
    /// Set and cleared by the one who wants it.
    wanted: Signal,
    /// Set while the CPU is held.
    holds: Signal,
}

impl Holder {
    /// Makes it: nobody is held.
    #[expect(clippy::new_without_default, reason = "it is made in a static")]
    pub const fn new() -> Self {
        Self { wanted: Signal::new(0), holds: Signal::new(0) }
    }

    /// Returns whether somebody wants this CPU held.
    pub fn is_wanted(&self) -> bool {
        self.wanted.is_set()
    }

    /// Holds the calling CPU, whose interrupts are off, for as long as that is wanted; `relax` is one step of a spin.
    pub fn hold(&self, relax: impl Fn()) {
        self.holds.set(1);
        while self.is_wanted() {
            relax();
        }
        self.holds.set(0);
    }

    /// Calls `f` while the other CPU is held, and keeps it so for `at_least_ns` in all; `wait` waits until something is true.
    pub fn while_held<R>(
        &self,
        wait: impl Fn(&mut dyn FnMut() -> bool),
        now_ns: impl Fn() -> u64,
        at_least_ns: u64,
        f: impl FnOnce() -> R,
    ) -> R {
        self.wanted.set(1);
        wait(&mut || self.holds.is_set());
        let until_ns = now_ns() + at_least_ns;
        let result = f();
        wait(&mut || now_ns() >= until_ns);
        self.wanted.set(0);
        wait(&mut || !self.holds.is_set());
        result
    }
}
