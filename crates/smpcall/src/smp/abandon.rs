//! A machine without its CPUs' threads: in the child of a fork.

use super::Smp;
use crate::percpu::Storage;
use crate::platform::Platform;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Closes the queues of all CPUs, whose threads are gone, so that every later post is refused with `Offline`. What was queued
    /// stays locked for ever, as in a machine that is dropped.
    ///
    /// Context: any. Progress: wait-free; two writes for each CPU.
    ///
    /// # Safety
    ///
    /// Nobody else is in a function of this machine, or will go on with one that was begun: the process has one thread, the
    /// caller's. If that is one of the CPUs it may go on with what it has begun.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::DetachedError;
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// // In the child of a fork. SAFETY: it has this one thread, which is in no function of the machine.
    /// unsafe { smp.abandon() };
    /// assert_eq!(smp.post_detached(0, || ()), Err(DetachedError::Offline));
    /// ```
    pub unsafe fn abandon(&self) {
        for cpu in self.cpus() {
            // What is in them is nobody's any more.
            let _ = cpu.mailbox.head.close();
            let _ = cpu.own.lazy.close();
        }
    }
}
