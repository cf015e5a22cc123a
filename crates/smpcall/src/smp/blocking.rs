//! Calls that may block: their function runs in the target CPU's thread, outside call context, with interrupts on.
//!
//! Such a call travels like a waiting one, in a frame on its caller's stack and by the target's queue, which decides
//! acceptance, doorbell and refusal (P7, P8). The flush does not run it: it moves it to a list that only the owner reaches, and the
//! CPU's thread runs what is in the list between two flushes ([`Cpu::flush`](super::Cpu::flush)).
//!
//! P10: a CPU that waits here serves its own list too. So if two CPUs make blocking calls to each other, each runs the other's
//! inside its own wait. A CPU that waits in another way serves its queue only; it comes back to its list when that wait is over,
//! and what it waits for does not hang on its list, since a blocking caller serves its queue. One that sleeps in a blocking wait is
//! woken for its list: the flush that fills it may be an interrupt's, which comes between the last look and the sleep, and whose
//! doorbell is answered then.
//!
//! # Invariants
//!
//! - **I14** A blocking call's header is in one place at a time: the queue, the owner's list, or, being run, none. From the push to
//!   the completion it is the target's (I4, I5), so the owner's list needs no other owner than the queue does.

use super::Budget;
use super::Smp;
use super::context::InFrame;
use super::serve::Serve;
use super::wait::CallSetup;
use crate::csd::{Header, Op};
use crate::error::CallError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform, demand_shared_stacks, demand_used};
use crate::queue::Seen;
use crate::state::Kind;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` in `cpu`'s thread, outside call context and with interrupts on, waits until it has returned, and gives
    /// back its result. So the function may itself wait: call, multicast, sleep, take a lock. It may borrow from the caller's
    /// stack. This is Linux's `smp_call_on_cpu`. Called on `cpu` itself it runs inline.
    ///
    /// It runs when that CPU's thread comes to [`Cpu::flush`](crate::Cpu::flush), in the order of the calls that came in. While the caller
    /// waits, a CPU serves its own queue *and its own blocking calls*: two that call each other in this way both finish (P10).
    /// So hold no lock here that such a function could want.
    ///
    /// Context: thread, interrupts on, outside call context. Progress: waits for the target's thread.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the function was then dropped without being run. In call context also a call to one's own CPU is refused.
    ///
    /// # Panics
    ///
    /// With the function's own panic, where there is unwinding (P11).
    ///
    /// ```
    /// use smpcall::{CallError, Platform, Smp, Storage};
    /// use std::sync::Mutex;
    ///
    /// fn add<P: Platform, S: Storage>(smp: &Smp<P, S>, sum: &Mutex<u64>) -> Result<u64, CallError> {
    ///     // It may wait for a lock, and call in its turn: it runs in the CPU's thread.
    ///     smp.call_blocking(1, || {
    ///         let mut sum = sum.lock().unwrap();
    ///         *sum += 1;
    ///         *sum
    ///     })
    /// }
    /// ```
    pub fn call_blocking<F, R>(&self, cpu: u32, function: F) -> Result<R, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        const { demand_shared_stacks::<P>() };
        demand_used!(P::BLOCKING_CALLS);
        let target = self.cpu(cpu).ok_or(CallError::NoSuchCpu)?;
        let here = self.here();
        if !self.may_wait(here) {
            return Err(CallError::WouldDeadlock);
        }
        if here.is_some_and(|(number, _)| number == cpu) && self.is_at_home() {
            if target.mailbox.head.look() == Seen::Offline {
                return Err(CallError::Offline);
            }
            // The function is one of this CPU, to its end (P1, I20).
            let _frame = InFrame::enter(&self.platform, Some(target));
            return Ok(function());
        }
        let setup = CallSetup { cpu, target, waiter: self.waiter(), serve: Serve::Blocking };
        match self.call_from_frame(setup, Kind::Blocking, function)? {
            Ok(result) => Ok(result),
            Err(panic) => P::resume(panic),
        }
    }

    /// [`Cpu::run_blocking`](super::Cpu::run_blocking), for the CPU that runs the caller.
    #[inline]
    pub(super) fn run_blocking(&self) -> u32 {
        let (cpu, here) = self.here().expect("run_blocking is for a CPU of this machine");
        if P::BLOCKING_CALLS
            && here.own.has_blocking()
            && self.is_at_home()
            && self.may_wait(Some((cpu, here)))
        {
            self.run_all_blocking(here)
        } else {
            0
        }
    }

    /// Returns whether the CPU that runs the caller is inside of such a function, at whose end somebody waits. What is waited for
    /// there must not wait for that caller; a port refuses what could.
    ///
    /// Context: any code of a CPU; `false` for a thread that is none. Progress: wait-free.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use smpcall::{Platform, Smp, Storage};
    ///
    /// /// A port ends its machine only where nobody waits for the code that asks for it.
    /// fn may_end<P: Platform, S: Storage>(smp: &Smp<P, S>) -> bool {
    ///     !smp.is_in_blocking()
    /// }
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// # assert!(may_end(&smp));
    /// ```
    pub fn is_in_blocking(&self) -> bool {
        self.home().is_some_and(|here| here.running.is_in_blocking())
    }

    /// Thread context of `here`, or its going offline; the caller is at home there.
    #[cold]
    pub(super) fn run_all_blocking(&self, here: &PerCpu) -> u32 {
        let own = &*here.own;
        let polled = own.polling();
        if polled && own.has_blocking() {
            // Nobody is to come in between and find the mark without a waiter that looks.
            let _stay = self.stay();
            own.set_polling(false);
            // On its way out a flush takes the mark back, or runs what came while the mark kept posters from ringing.
            let _ = self.flush(Budget::DEFAULT);
        }
        let mut ran = 0;
        loop {
            let irq = IrqGuard::new(&self.platform);
            let at = own.take_blocking();
            if at.is_null() {
                break;
            }
            // SAFETY: it was in the list, and is in none now (I14).
            unsafe { self.run_one_blocking(here, at, irq) };
            ran += 1;
        }
        if polled && here.mailbox.head.look() != Seen::Offline {
            let _irq = IrqGuard::new(&self.platform);
            self.start_polling(here);
        }
        ran
    }

    /// What is told of it is told under the guard, as a flush tells it: a CPU's own counters have one writer.
    ///
    /// # Safety
    ///
    /// `at` was taken out of this CPU's list, and is run once.
    unsafe fn run_one_blocking(&self, here: &PerCpu, at: *const Header, irq: IrqGuard<'_, P>) {
        // SAFETY: by I14 it is alive until its completion, after which the reference is not used (I4).
        let header = unsafe { &*at };
        // SAFETY: the fields are ours (I2).
        let work = unsafe { header.work() };
        let entered = self.enter(at.addr(), work.func as usize, &header.stamp);
        let outer = here.running.begin_blocking((at, work.func as *const ()));
        drop(irq);
        let frame = InFrame::enter(&self.platform, Some(here));
        // SAFETY: by I6. A waiting call's function catches its own panics.
        unsafe { (work.func)(work.arg, Op::RUN) };
        drop(frame);
        debug_assert!(!here.own.polling(), "under a frame nobody polls, but in a wait");
        let _irq = IrqGuard::new(&self.platform);
        here.running.begin_blocking(outer);
        self.exit(at.addr(), work.func as usize, entered);
        self.complete(header);
    }
}
