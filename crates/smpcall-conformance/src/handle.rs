//! What a case does by the handle of its CPU.

use crate::ctx::{Ctx, Over};
use crate::rig::Rig;
use smpcall::{Cpu, HotplugError, NoSleep};

impl<R: Rig> Ctx<R> {
    /// The handle of the CPU that runs the caller: one that is online, outside of a function.
    #[track_caller]
    pub(crate) fn handle(self) -> Result<Cpu<'static, R::Platform, R::Storage>, Over> {
        self.smp().as_pin().this_cpu().map_err(|why| self.fail("a CPU has its handle", &why))
    }

    /// Comes online, and lets the handle go.
    pub(crate) fn come_online(self) -> Result<(), HotplugError> {
        self.smp().as_pin().online().map(|_| ())
    }

    /// Goes offline, and returns how many ran.
    pub(crate) fn go_offline(self) -> Result<u32, HotplugError> {
        self.smp().as_pin().this_cpu()?.offline().map_err(|(_, why)| why)
    }

    /// Says that it sleeps, as if it did.
    #[track_caller]
    pub(crate) fn sleeps(self) -> Result<Result<(), NoSleep>, Over> {
        Ok(self.handle()?.begin_sleep().map(|guard| _ = guard.commit()))
    }
}
