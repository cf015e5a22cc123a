//! A call to the nearest of several CPUs.

use super::Smp;
use crate::error::CallError;
use crate::mask::CpuMask;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::queue::Seen;
use crate::sync::Ordering;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on one CPU of `mask` that is online, and gives back its result: the caller's own if it is in
    /// there. (Linux's `smp_call_function_any`.) Else one that runs nothing and has nothing queued, if there is one:
    /// that which the port calls [nearest](crate::Topology::nearest), or the next by number; for a thread that is no CPU, each
    /// in turn. If all are busy, it waits for one that is chosen in the same way.
    ///
    /// A CPU that goes offline before the call has reached it is passed over for another.
    ///
    /// Context, progress, panics: as for [`Smp::call`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::call`]: `NoSuchCpu` if the mask names none of the machine's, `Offline` if none of those is online.
    ///
    /// ```
    /// use smpcall::{CallError, CpuSet, Platform, Smp, Storage};
    ///
    /// /// Where the counter can be read, whichever of the two is free.
    /// fn read<P: Platform, S: Storage>(smp: &Smp<P, S>, counter: fn() -> u64) -> Result<u64, CallError> {
    ///     smp.call_nearest(&CpuSet::<1>::from_iter([2, 3]), counter)
    /// }
    /// ```
    pub fn call_nearest<F, R>(&self, mask: &CpuMask, function: F) -> Result<R, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let len = self.cpus_len();
        if !mask.iter().any(|cpu| cpu < len) {
            return Err(CallError::NoSuchCpu);
        }
        // A call that is refused drops what it was given; so it is lent the function.
        let mut function = Some(function);
        // Each try that fails has met a CPU that went offline just then.
        for _ in 0..=len {
            let Some(cpu) = self.choose_nearest(mask) else { break };
            let lent = &mut function;
            let call = || lent.take().map(|function| function());
            match self.call(cpu, call) {
                Ok(Some(result)) => return Ok(result),
                Err(CallError::Offline) => {}
                Ok(None) => unreachable!("a function that was refused has not run"),
                Err(other) => return Err(other),
            }
        }
        Err(CallError::Offline)
    }

    /// One that is online; best effort, since that and all else may change at once.
    fn choose_nearest(&self, mask: &CpuMask) -> Option<u32> {
        let own = self.here().map(|(cpu, _)| cpu);
        let online = |cpu: &u32| mask.contains(*cpu) && self.is_online_racy(*cpu);
        let idle = |cpu: &u32| {
            let looks = self.cpu(*cpu).is_some_and(|cpu| {
                matches!(cpu.mailbox.head.look(), Seen::Idle | Seen::Polling) && !Self::has_left_over(cpu)
            });
            looks && mask.contains(*cpu) && self.running_racy(*cpu).is_none()
        };
        if own.is_some_and(|own| online(&own)) {
            return own;
        }
        let from = own.map_or_else(|| self.next_turn(), |own| own + 1);
        self.nearest_of(own, from, mask, &idle).or_else(|| self.nearest_of(own, from, mask, &online))
    }

    /// One of those for which `takes` says yes: what the port calls nearest to `own`, or the next from `from` on.
    fn nearest_of(
        &self,
        own: Option<u32>,
        from: u32,
        mask: &CpuMask,
        takes: &impl Fn(&u32) -> bool,
    ) -> Option<u32> {
        let len = self.cpus_len();
        let next = (0..len).map(|step| (from % len + step) % len).find(takes)?;
        let asked = own.and_then(|own| self.platform.nearest(own, &mut mask.iter().filter(takes)));
        Some(asked.filter(takes).unwrap_or(next))
    }

    /// Where the next thread that is no CPU begins to look.
    fn next_turn(&self) -> u32 {
        // Relaxed: only spreads the calls; nothing hangs on it.
        self.turns.fetch_add(1, Ordering::Relaxed) as u32
    }
}
