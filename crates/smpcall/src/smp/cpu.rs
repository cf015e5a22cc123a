//! The handle of a CPU: what only that CPU's own thread may ask of the machine.
//!
//! Coming online gives it out, and going offline takes it back. It is neither `Send` nor `Sync`, so that no other thread has it, nor
//! a function that was sent here; it is borrowed while it runs functions. What a type cannot see, as a handle in a thread-local,
//! is looked at when it is used (I20).

mod sleep;

pub use self::sleep::{Asleep, NoSleep, SleepGuard};

use super::Smp;
use super::context::demand_no_frame;
use super::flush::{Budget, Flushed};
use crate::error::HotplugError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform, demand_used};
use core::marker::PhantomData;

/// A CPU, in the hands of its own thread: from [`Machine::online`](crate::Machine::online) to [`Cpu::offline`].
///
/// If it is dropped the CPU stays online, and [`Machine::this_cpu`](crate::Machine::this_cpu) gives the handle anew: for a kernel
/// that cannot carry it from start-up to its idle loop. A thread that ends takes its CPU offline first; else posts to it are accepted, and nobody runs them.
///
/// It does not leave its thread. Who wants something done on a CPU posts a function there, which may ask
/// [`this_cpu`](crate::Machine::this_cpu) once it has returned, in the thread's own loop; nothing sleeps, polls or goes offline
/// inside a function.
///
/// Where threads [migrate](crate::Waiting::MIGRATES), it is for the thread that is bound to the CPU, and for an idle loop that is
/// not preempted.
///
/// ```compile_fail,E0277
/// # use smpcall::{Cpu, Platform, Storage};
/// fn on_another_thread<P: Platform + Sync, S: Storage + Sync>(mut cpu: Cpu<'_, P, S>) {
///     std::thread::scope(|scope| scope.spawn(|| cpu.poll_begin()).join().unwrap()); // cannot be sent between threads safely
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use smpcall::{Cpu, Platform, Smp, Storage};
/// fn in_a_function<P: Platform, S: Storage>(smp: &Smp<P, S>, mut cpu: Cpu<'_, P, S>) {
///     let _ = smp.call_blocking(0, || cpu.poll_begin()); // cannot be sent between threads safely
/// }
/// ```
///
/// ```compile_fail,E0499
/// # use smpcall::{Cpu, Platform, Storage};
/// fn while_it_serves<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>) {
///     cpu.serve(|| { cpu.poll_begin(); true }); // borrowed mutably more than once
/// }
/// ```
///
/// ```compile_fail,E0382
/// # use smpcall::{Cpu, Platform, Storage};
/// fn after_it_went<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>) {
///     let _ = cpu.offline();
///     cpu.poll_begin(); // use of moved value
/// }
/// ```
#[must_use = "its thread serves the CPU by this; a kernel that gets it back by `this_cpu` drops it"]
pub struct Cpu<'m, P: Platform, S: Storage> {
    smp: &'m Smp<P, S>,
    number: u32,
    own_thread: PhantomData<*const StaysOnItsThreadSoPostToItsCpu>,
}

/// What the compiler names where a handle is sent away.
struct StaysOnItsThreadSoPostToItsCpu;

impl<'m, P: Platform, S: Storage> Cpu<'m, P, S> {
    pub(super) fn new(smp: &'m Smp<P, S>, number: u32) -> Self {
        Self { smp, number, own_thread: PhantomData }
    }

    /// Returns the CPU's number.
    ///
    /// Example: [`Machine::emplace`](crate::Machine::emplace).
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Runs what was posted, as [`Machine::flush`](crate::Machine::flush) does, and then the calls that may block, until none is
    /// left. For an idle or event loop; a doorbell's interrupt handler calls that other one, which leaves those that may block to this.
    ///
    /// Since their functions may sleep, a kernel keeps the thread on its CPU by binding it there, not by switching preemption off.
    ///
    /// Context: the CPU's thread, interrupts on; with interrupts off those that may block are left. Progress: at most `budget` of
    /// those that do not block, and as long as the others take.
    ///
    /// # Panics
    ///
    /// If the caller is no CPU of the machine any more, which a port says that unmakes its CPUs.
    ///
    /// ```
    /// # use smpcall::{Budget, Cpu, Flushed, Platform, Storage};
    /// fn event_loop<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>, mut own_work: impl FnMut() -> bool) {
    ///     cpu.poll_begin(); // nobody rings: it looks
    ///     while own_work() {
    ///         // `More` needs no answer: it looks again.
    ///         let _: Flushed = cpu.flush(Budget::DEFAULT);
    ///     }
    ///     let _ = cpu.offline();
    /// }
    /// ```
    #[inline]
    pub fn flush(&mut self, budget: Budget) -> Flushed {
        let flushed = self.smp.flush(budget);
        self.run_blocking();
        flushed
    }

    /// Runs the calls that may block which flushes have left for the CPU's thread, oldest first, until none is left. Returns how many
    /// ran. Part of [`Cpu::flush`]; by itself, for a CPU whose doorbell's interrupt handler flushes. Panics as that does.
    ///
    /// While a function runs, the CPU does not count as polling, so posts to it ring.
    ///
    /// Context: the CPU's thread, interrupts on; from call context, or with interrupts off, it does nothing. Progress: as long as the
    /// functions take; if there is none, one load.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use smpcall::{Cpu, Platform, Storage};
    ///
    /// /// A CPU whose doorbell's handler flushes; its thread sleeps until an interrupt.
    /// fn idle<P: Platform, S: Storage>(cpu: &mut Cpu<'_, P, S>, wait_for_interrupt: impl Fn()) -> ! {
    ///     loop {
    ///         cpu.run_blocking(); // what the handler has left for the thread
    ///         wait_for_interrupt();
    ///     }
    /// }
    /// # let smp = one::machine(one::One);
    /// # assert_eq!(smp.as_ref().online().unwrap().run_blocking(), 0);
    /// ```
    #[inline]
    pub fn run_blocking(&mut self) -> u32 {
        self.smp.run_blocking()
    }

    /// Returns whether there is something to flush. Two loads; writes nothing. Lazy posts do not count, nor do blocking calls that
    /// were flushed and wait for the CPU's thread.
    ///
    /// Context: the CPU's thread. Progress: wait-free.
    ///
    /// # Panics
    ///
    /// As [`Cpu::flush`]; where threads migrate, also if the caller is on another CPU. So do the operations below.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::{Budget, Flushed};
    /// # let smp = one::machine(one::One);
    /// let mut cpu = smp.as_ref().online().unwrap();
    /// smp.post_detached(0, || ()).unwrap();
    /// assert!(cpu.has_work());
    /// assert_eq!(cpu.flush(Budget::DEFAULT), Flushed::All(1));
    /// assert!(!cpu.has_work());
    /// ```
    #[inline]
    pub fn has_work(&self) -> bool {
        let _stay = self.smp.stay();
        Smp::<P, S>::has_work(self.here())
    }

    /// Says that the CPU looks at its queue by itself from now on, so that posts to it need not ring (P7). It must then
    /// [flush](Cpu::flush) again and again, until it [begins to sleep](Cpu::begin_sleep).
    ///
    /// Context: the CPU's thread; in call context, and under a frame of this crate, it does nothing. Progress: wait-free.
    ///
    /// Example: [`Cpu::flush`](crate::Cpu::flush).
    pub fn poll_begin(&mut self) {
        demand_used!(P::POLLS);
        let _irq = IrqGuard::new(&self.smp.platform);
        let here = self.here();
        if demand_no_frame(here).is_ok() {
            self.smp.start_polling(here);
        }
    }

    /// Takes the CPU offline: closes its queue, and runs all that it had accepted (P8). From the moment of closing every post is
    /// refused with `Offline`; also those of the functions that run here last. Returns how many ran.
    ///
    /// Blocking calls run last, outside call context, with interrupts as the caller has them; their functions may still wait
    /// for others.
    ///
    /// Context: as for [`Machine::online`](crate::Machine::online). Progress: runs every accepted call, without a budget.
    ///
    /// # Errors
    ///
    /// [`HotplugError`], and the handle.
    ///
    /// ```
    /// # use smpcall::{Cpu, HotplugError, Platform, Storage};
    /// fn end_of_thread<P: Platform, S: Storage>(cpu: Cpu<'_, P, S>) -> Result<u32, HotplugError> {
    ///     cpu.offline().map_err(|(_still_online, why)| why)
    /// }
    /// ```
    pub fn offline(self) -> Result<u32, (Self, HotplugError)> {
        self.smp.leave().map_err(|why| (self, why))
    }

    /// The port's word is asked each time: a handle that was kept for longer than its thread was the CPU changes nobody else's.
    #[inline(always)]
    fn here(&self) -> &'m PerCpu {
        let (cpu, here) = self.smp.here().expect("a CPU's handle is for the thread that is that CPU");
        assert!(!P::MIGRATES || cpu == self.number, "a CPU's handle is for a thread that stays there");
        here
    }
}

impl<P: Platform, S: Storage> core::fmt::Debug for Cpu<'_, P, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cpu").field("number", &self.number).finish_non_exhaustive()
    }
}
