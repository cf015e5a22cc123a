//! What the unit tests have in common.

use crate::rig::Rig;
use core::mem::MaybeUninit;
use smpcall::{Machine, PerCpu, Platform, RingError};

/// A rig of nothing, for what is only looked at.
pub(crate) struct NoRig;

/// Its port.
pub(crate) struct NoPort;

// SAFETY: nothing ever runs on it, and no CPU of it exists.
unsafe impl Platform for NoPort {
    type IrqState = ();
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        None
    }

    fn can_wait(&self) -> bool {
        false
    }

    fn ring(&self, _cpu: u32) -> Result<(), RingError> {
        Ok(())
    }

    fn irq_save(&self) {}

    fn irq_restore(&self, (): ()) {}

    fn relax(&self) {}

    fn now_ns(&self) -> u64 {
        0
    }
}

smpcall::simple_port!(NoPort);

impl Rig for NoRig {
    type Platform = NoPort;
    type Storage = [PerCpu; 1];

    fn smp(&self) -> &'static Machine<NoPort, [PerCpu; 1]> {
        static SMP: Machine<NoPort, [PerCpu; 1]> = Machine::new(NoPort, [PerCpu::new()]);
        &SMP
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        &mut []
    }
}
