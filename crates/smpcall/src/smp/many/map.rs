//! A multicast that brings back one result from each CPU.

use super::to::{Reached, To};
use crate::error::ManyError;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::Smp;

/// The caller's slice, of which each CPU writes the entry with its own number; and who knows the numbers.
struct Results<'p, P, R> {
    results: *mut [Option<R>],
    platform: &'p P,
}

// SAFETY: each entry is reached by one CPU, which moves an `R` there; the port by CPUs, which reach it with their machine.
unsafe impl<P, R: Send> Sync for Results<'_, P, R> {}

impl<P: Platform, R> Results<'_, P, R> {
    /// The caller's CPU.
    fn cpu(&self) -> u32 {
        self.platform.current_cpu().expect("a function runs on a CPU")
    }

    /// # Safety
    ///
    /// The slice is there, and nobody else is at the entry `at` meanwhile.
    unsafe fn put(&self, at: u32, result: R) {
        assert!((at as usize) < self.results.len(), "a CPU of this machine");
        // SAFETY: in bounds, and the caller's promise.
        unsafe { *self.results.cast::<Option<R>>().add(at as usize) = Some(result) };
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on all CPUs that `to` names, with the CPU's number, and puts what it gave back into `results`, at that
    /// number. Otherwise as [`Smp::call_many`]. CPUs that did not run it have `None` there.
    ///
    /// Context, progress: as for [`Smp::call_many`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::call_many`], and [`ManyError::SliceTooShort`] if `results` has fewer entries than the machine has CPUs.
    /// `results` is as it was then.
    ///
    /// # Panics
    ///
    /// As for [`Smp::call_many`]; `results` has what the others gave back.
    ///
    /// ```
    /// use smpcall::{ManyError, Platform, Smp, Storage, To};
    ///
    /// fn numbers<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u32, ManyError> {
    ///     let mut results = [None; 8];
    ///     smp.call_map(To::All, &mut results, |cpu| cpu + 1)?;
    ///     Ok(results.iter().flatten().sum())
    /// }
    /// ```
    pub fn call_map<F, R>(
        &self,
        to: To<'_>,
        results: &mut [Option<R>],
        function: F,
    ) -> Result<Reached, ManyError>
    where
        F: Fn(u32) -> R + Sync,
        R: Send,
    {
        if results.len() < self.cpus().len() {
            return Err(ManyError::SliceTooShort);
        }
        // First what refuses it: until then the slice is left alone.
        self.demand_known(&to)?;
        if !self.may_wait(self.here()) {
            return Err(ManyError::WouldDeadlock);
        }
        results.fill_with(|| None);
        let results_of = Results { results, platform: &self.platform };
        self.call_many(to, || {
            // By the port's first promise two CPUs have two numbers, and one runs a multicast's function once (I11).
            let cpu = results_of.cpu();
            let result = function(cpu);
            // SAFETY: `call_many` returns when all have run; the entry is this CPU's.
            unsafe { results_of.put(cpu, result) };
        })
    }
}
