//! A wait for something that is not the run of one csd.

use super::awaited::Wait;
use crate::csd::Header;
use crate::error::WaitError;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::{Serve, Smp};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Waits until `done`, which a run of `header` brings about. Nobody wakes the caller: it spins, then naps.
    #[cold]
    pub(in crate::smp) fn await_until(
        &self,
        header: &Header,
        function: &'static str,
        deadline_ns: Option<u64>,
        done: impl Fn() -> bool,
    ) -> Result<(), WaitError> {
        if done() {
            return Ok(());
        }
        if !self.may_wait(self.here()) {
            return Err(WaitError::WouldDeadlock);
        }
        // For reports. A csd of another machine can name a CPU that this one has not.
        let target_cpu = header.state.look_racy().cpu().filter(|cpu| *cpu < self.cpus_len()).unwrap_or(0);
        let target = &self.cpus()[target_cpu as usize];
        let (waiter, slots, serve) = (None, 0, Serve::Queue);
        let gathers = false;
        let wait = Wait { target, target_cpu, header, function, waiter, deadline_ns, slots, gathers, serve };
        self.wait_loop(&wait, &done, &|| None).map_err(WaitError::TimedOut)
    }
}
