//! The core on the machine of the model: ours, as it is.

use super::cost::ps;
use super::machine::machine;
use smpcall_instrumented::{Backoff, Pause, Platform};
use std::convert::Infallible;

/// The port. All that it needs is the calling OS thread's machine.
pub(super) struct Priced;

// SAFETY: 1. `current_cpu` is the virtual CPU that the one OS thread plays. 2. No handler runs while `irq_off` is not 0, and
// virtual CPUs do not migrate. 3. An interrupt that was sent is taken once it is due and the irq guard is gone, and each access
// before it was made. 4. Nothing unwinds: a panic ends the run. 5. Nobody parks.
unsafe impl Platform for Priced {
    type IrqState = ();
    type Panic = Infallible;

    fn current_cpu(&self) -> Option<u32> {
        Some(machine().current_cpu())
    }

    fn can_wait(&self) -> bool {
        machine().may_wait()
    }

    fn ring(&self, cpu: u32) {
        machine().interrupt(cpu, 1);
    }

    fn ring_many(&self, first: u32, cpus: usize) {
        machine().interrupt(first, cpus);
    }

    fn irq_save(&self) {
        machine().irq_save();
    }

    fn irq_restore(&self, (): ()) {
        machine().irq_restore();
    }

    fn relax(&self) {
        machine().relax();
    }

    fn now_ns(&self) -> u64 {
        machine().now() / ps(1.0)
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Infallible> {
        Ok(f())
    }

    fn resume(panic: Infallible) -> ! {
        match panic {}
    }

    fn prefetch_write(&self, line: *const ()) {
        machine().prefetch(line);
    }

    fn pause(&self, _backoff: &Backoff) -> Pause {
        self.relax();
        Pause::Again
    }

    fn stall_timeout_ns(&self) -> u64 {
        0
    }
}
