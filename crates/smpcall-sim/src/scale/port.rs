//! The core on the machine of the model: ours, as it is.

use super::cost::ps;
use super::machine::machine;
use smpcall_instrumented::{Backoff, Pause, Platform, Reporting, RingError, Topology, Tuning, Waiting};

/// The port. All that it needs is the calling OS thread's machine.
pub(super) struct Priced;

// SAFETY: 1. `current_cpu` is the virtual CPU that the one OS thread plays. 2. No handler runs while `irq_off` is not 0, and
// virtual CPUs do not migrate. 3. An interrupt that was sent is taken once it is due and the irq guard is gone, and each access
// before it was made. 4. Nothing unwinds: a panic ends the run. 5. Nobody parks.
unsafe impl Platform for Priced {
    type IrqState = ();
    smpcall_instrumented::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        Some(machine().current_cpu())
    }

    fn can_wait(&self) -> bool {
        machine().may_wait()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        machine().interrupt(cpu, 1);
        Ok(())
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
}

impl Waiting for Priced {
    fn pause(&self, _backoff: &Backoff) -> Pause {
        self.relax();
        Pause::Again
    }
}

impl Reporting for Priced {
    fn stall_timeout_ns(&self) -> u64 {
        0
    }
}

impl Topology for Priced {
    fn ring_many(&self, first: u32, cpus: usize) -> usize {
        machine().interrupt(first, cpus);
        0
    }
}

impl Tuning for Priced {
    fn prefetch_write(&self, line: *const ()) {
        machine().prefetch(line);
    }
}

smpcall_instrumented::simple_port!(Priced: Tracing, Foreign, Hosting);
