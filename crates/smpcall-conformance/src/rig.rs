//! What a platform gives the suite beside its port.

use crate::tlb::Tlb;
use core::mem::MaybeUninit;
use smpcall::{Broadcast, Counts, Machine, ManyError, NotInUser, Platform, Storage, To};

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The doorbell rang, and was acknowledged.
    Rung,
    /// The time was over, and the doorbell had surely not rung. Work that is there all the same, and stays, is the sign of
    /// a doorbell that was lost.
    TimedOut,
    /// Cannot be told.
    Unknown,
}

/// A platform with its CPUs, as the suite uses it. Everything that has a default may be left out: the cases that need it
/// are then reported as skipped, with the reason.
///
/// Examples: `kernel/src/programs/conformance.rs`, `crates/smpcall-conformance/tests/common/threads.rs`, in the repository.
/// Example: `crates/smpcall-conformance/tests/common/rig.rs`, of user space that is pretended.
/// Example: `crates/smpcall-sim/tests/conformance.rs`, of threads that migrate.
pub trait Rig: Sync + Sized + 'static {
    /// The port under test.
    type Platform: Platform + Sync + 'static;
    /// The machine's memory.
    type Storage: Storage + Sync + 'static;

    /// Whether the doorbell's handler flushes by itself, as an interrupt's does. If not, the suite flushes: a thread that
    /// was rung.
    const HANDLER_FLUSHES: bool = false;

    /// Returns the machine under test.
    fn smp(&self) -> &'static Machine<Self::Platform, Self::Storage>;

    /// Returns how many CPUs take part: those from 0 up. The others must stay offline throughout.
    fn cpus(&self) -> u32 {
        self.smp().cpus_len()
    }

    /// Hands out memory for one run, [`memory_bytes`](crate::memory_bytes) of it. Called once, by CPU 0, before the first
    /// case. It is never given back: a [`Memory`](crate::Memory) in a `static`, or a leaked box.
    ///
    /// A platform that made up the `'static` by itself may use the memory again only when the suite and the machine are
    /// both gone: a case that failed may have left entries in queues.
    fn memory(&self) -> &'static mut [MaybeUninit<u8>];

    /// Returns how often the cases that repeat themselves do so. Few for a simulator or an emulator, hundreds for threads.
    fn rounds(&self) -> u32 {
        50
    }

    /// Returns how long a CPU waits for what must come, in ns on the port's clock, before the case is failed. Not to be
    /// less than the longest time that a CPU may be kept from running: seconds, where threads are CPUs. 0: there is no
    /// clock, and a lost doorbell shows as a run without an end.
    ///
    /// The suite reads the port's clock also with interrupts off, and inside functions.
    fn patience_ns(&self) -> u64 {
        10_000_000_000
    }

    /// Lets the other CPUs go on for a moment: a pause hint, a yield, a step of the simulator.
    ///
    /// Context: any; interrupts off and call context too.
    fn pause(&self) {
        self.smp().platform().relax();
    }

    /// Sleeps until the doorbell rings, or for about `limit_ns`; may return early.
    ///
    /// Context: thread, interrupts on, the CPU's queue at rest (or the CPU offline).
    fn sleep(&self, limit_ns: u64) -> Woken {
        let _ = limit_ns;
        self.pause();
        Woken::Unknown
    }

    /// Returns how many doorbells were sent so far, to all CPUs, if that is counted (P7).
    fn rings(&self) -> Option<u64> {
        None
    }

    /// Returns what the port has counted so far, on all CPUs, if it counts (P12). [`smpcall::Stats`] does it.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// Returns of how many panics the port has taken note so far ([`Reporting::caught`](smpcall::Reporting::caught)), if that is counted (P11).
    fn caught(&self) -> Option<u64> {
        None
    }

    /// Returns how to begin to unwind, where there is unwinding: a function that panics, preferably without a message.
    fn unwind(&self) -> Option<fn() -> !> {
        None
    }

    /// Runs `program` on this CPU as if in user space: between the platform's way out of the kernel and its way back in, of which the core's
    /// [`enter_user`](Machine::enter_user) and [`enter_kernel`](Machine::enter_kernel) are a part. One whose kernel has no user space
    /// leaves this as it is.
    ///
    /// Context: thread, interrupts on.
    ///
    /// # Errors
    ///
    /// As for [`Machine::enter_user`]; `program` was not run.
    fn in_user(&self, program: &mut dyn FnMut()) -> Result<(), NotInUser> {
        self.smp().enter_user()?;
        program();
        self.smp().enter_kernel();
        Ok(())
    }

    /// Returns what broadcasts are tried on ([`Broadcasting`](smpcall::Broadcasting)): a page of the platform's, or a
    /// [`ToyTlb`](crate::ToyTlb); `None` if there is none.
    fn tlb(&self) -> Option<&'static dyn Tlb> {
        None
    }

    /// Has all CPUs that `to` names throw the page out: [`Smp::broadcast`](smpcall::Smp::broadcast), with the platform's own request for
    /// it. `None` if there is none.
    ///
    /// Context: as for [`Smp::broadcast`](smpcall::Smp::broadcast).
    fn shoot_down(&self, to: To<'_>) -> Option<Result<Broadcast, ManyError>> {
        let _ = to;
        None
    }

    /// Raises an interrupt on this CPU whose handler calls `f`, and returns when it has returned. `false` if there is none. As for
    /// [`Self::nmi`], an errand that is lost is this method's failure.
    ///
    /// Context: thread, interrupts on.
    fn interrupt(&self, f: &(dyn Fn() + Sync)) -> bool {
        let _ = f;
        false
    }

    /// Raises on this CPU what cannot be masked, an NMI or a signal, whose handler calls `f`, and returns when it has
    /// returned. `false` if there is none.
    ///
    /// It must bear to be called while a call of its own is under way on this CPU: a doorbell may interrupt between the setting
    /// up of the errand and its delivery, and the function that it runs raises one of its own. One slot for each CPU is then
    /// taken by the second. Either interrupts are off meanwhile, or the slot is put back. An errand that is lost, or runs twice,
    /// is reported as a failure that names this method.
    ///
    /// Context: any; interrupts off and call context too.
    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        let _ = f;
        false
    }

    /// Has `f` called soon by a thread that is no CPU of the machine, and returns at once. `false` if there is none.
    ///
    /// Context: thread.
    fn outside(&self, f: &'static (dyn Fn() + Sync)) -> bool {
        let _ = f;
        false
    }

    /// Has `f` called soon by a thread that is on CPU `from` now, and not bound there; the first time that it pauses in a wait, it goes
    /// on on CPU `to`. Returns at once; `false` if no thread [migrates](smpcall::Waiting::MIGRATES).
    ///
    /// Context: thread.
    fn migrates(&self, from: u32, to: u32, f: &'static (dyn Fn() + Sync)) -> bool {
        let _ = (from, to, f);
        false
    }

    /// Returns how often such threads have gone on on another CPU so far.
    fn moves(&self) -> u32 {
        0
    }

    /// Returns whether the case of that name is to run; the others are neither announced nor reported. The answer is the
    /// same on every CPU.
    fn selects(&self, name: &str) -> bool {
        let _ = name;
        true
    }
}
