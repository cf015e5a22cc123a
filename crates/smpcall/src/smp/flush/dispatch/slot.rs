//! Runs a multicast's part, passes it on where this CPU leads a group, and acknowledges.

use crate::multicast::Slot;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
#[cfg(feature = "relays")]
use crate::relay::Relay;
use crate::smp::Smp;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs a multicast's function, and acknowledges it.
    ///
    /// # Safety
    ///
    /// This CPU has to acknowledge slot `at` (I11).
    #[inline(always)]
    pub(in crate::smp::flush) unsafe fn run_slot(&self, cpu: u32, here: &PerCpu, at: u32) {
        #[cfg(feature = "relays")]
        if let Some(relay) = self.relay(cpu, at) {
            // SAFETY: the caller's promise.
            return unsafe { self.run_slot_of_a_group(cpu, here, at, relay) };
        }
        let _ = cpu;
        // SAFETY: the caller's promise.
        let slot = unsafe { self.run_function_of(here, at) };
        self.retire(here, at, slot.acknowledge());
    }

    /// As [`Self::run_slot`], after passing it on to those who were left to this CPU.
    ///
    /// # Safety
    ///
    /// As for [`Self::run_slot`].
    #[cfg(feature = "relays")]
    #[inline(never)]
    unsafe fn run_slot_of_a_group(&self, cpu: u32, here: &PerCpu, at: u32, relay: &Relay) {
        self.pass_on(relay, cpu, at);
        // SAFETY: the caller's promise.
        let slot = unsafe { self.run_function_of(here, at) };
        let acks_for_all = !relay.is_in_use() || relay.acknowledge();
        self.retire(here, at, if acks_for_all { slot.acknowledge() } else { None });
    }

    /// # Safety
    ///
    /// As for [`Self::run_slot`].
    #[inline(always)]
    unsafe fn run_function_of(&self, here: &PerCpu, at: u32) -> &Slot {
        let slot = self.slots.get(at);
        // SAFETY: the caller's promise.
        let run = unsafe { slot.run() };
        let (csd, func) = (slot.as_header().addr(), run as usize);
        let entered = self.enter(csd, func, slot.stamp());
        here.running.begin(slot.as_header(), run as *const ());
        // SAFETY: by I10 it finds in the slot what it was filled for, until we acknowledge.
        if let Err(panic) = P::catch(|| unsafe { run(slot) }) {
            self.note_panic(panic);
        }
        self.exit(csd, func, entered);
        slot
    }

    /// After an acknowledgement to slot `at`, which may be somebody else's by now.
    #[inline(always)]
    fn retire(&self, here: &PerCpu, at: u32, waiter: Option<u16>) {
        here.running.collected.retire(at);
        if let Some(waiter) = waiter {
            self.platform.wake(waiter);
        }
        here.running.end();
    }
}
