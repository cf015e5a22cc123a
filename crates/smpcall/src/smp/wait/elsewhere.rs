//! Threads that are a CPU of one machine and wait on another, and waits of the port's own.
//!
//! P10 across machines: CPU 0 of machine A waits on machine B for a function that calls CPU 0 of A. On B the waiting thread
//! is no CPU, so B's wait has no queue to serve. Only the port knows that the thread is a CPU of A: the wait asks it to serve
//! that CPU ([`Hosting::serve_elsewhere`](crate::Hosting::serve_elsewhere)), and to let it rest before it sleeps ([`Hosting::rest_elsewhere`](crate::Hosting::rest_elsewhere)); the port
//! hands both to A ([`Machine::serve_elsewhere`], [`Machine::rest_elsewhere`]).

use super::awaited::Wait;
use crate::error::WaitError;
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::smp::{Machine, Serve, Smp};
use crate::state::Park;

impl<P: Platform, S: Storage> Machine<P, S> {
    /// Serves the CPU that runs the caller, once, while that waits for something else than this machine: runs what is queued,
    /// and what may block if `serve` says so. For [`Hosting::serve_elsewhere`](crate::Hosting::serve_elsewhere) of another machine's port. Does nothing where
    /// the caller may not wait, or is no CPU.
    ///
    /// Context: thread, interrupts on. Progress: as [`Cpu::flush`](crate::Cpu::flush).
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use one::One;
    /// use smpcall::{Hosting, Machine, PerCpu, Serve};
    ///
    /// /// The port of a second machine, some of whose callers are CPUs of the first.
    /// struct Second { first: &'static Machine<One, [PerCpu; 1]> }
    /// impl Hosting for Second {
    ///     fn serve_elsewhere(&self, serve: Serve) { self.first.serve_elsewhere(serve); }
    ///     fn rest_elsewhere(&self, serve: Serve, sleep: &mut dyn FnMut()) { self.first.rest_elsewhere(serve, sleep); }
    /// }
    /// # let first: &'static Machine<One, [PerCpu; 1]> = Box::leak(Box::new(Machine::new(One, [PerCpu::new()])));
    /// # let _cpu = first.as_pin().online().unwrap();
    /// # let (second, mut slept) = (Second { first }, false);
    /// first.post_detached(0, || ()).unwrap();
    /// second.serve_elsewhere(Serve::Blocking); // as a wait on the second machine does
    /// assert!(!first.has_work_here());
    /// second.rest_elsewhere(Serve::Blocking, &mut || slept = true);
    /// assert!(slept);
    /// ```
    pub fn serve_elsewhere(&self, serve: Serve) {
        let here = self.here();
        if here.is_none() || !self.may_wait(here) {
            return;
        }
        // Whoever waits comes here again.
        let _ = self.serve_once(serve);
    }

    /// Calls `sleep` while the CPU that runs the caller counts as one that does not look, so that a post to it rings; not if it
    /// has work, which is to be [served](Machine::serve_elsewhere) first. For [`Hosting::rest_elsewhere`](crate::Hosting::rest_elsewhere) of another machine's port.
    ///
    /// Context: thread, interrupts on. Progress: as `sleep`.
    ///
    /// Example: [`Machine::serve_elsewhere`](crate::Machine::serve_elsewhere).
    pub fn rest_elsewhere(&self, serve: Serve, sleep: &mut dyn FnMut()) {
        let Some((_, here)) = self.here() else { return sleep() };
        // Where threads migrate, a wait takes the mark back (I26).
        let polled = Smp::<P, S>::polls(here) && !P::MIGRATES;
        if !self.may_sleep(serve, None) {
            return;
        }
        sleep();
        if polled {
            let _irq = IrqGuard::new(&self.platform);
            self.start_polling(here);
        }
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Waits until `done`, for something that a port waits for on behalf of `cpu`, which it calls `what`: that its thread ends,
    /// say. It is a wait like that of [`Smp::call_blocking`]: a CPU serves its queue and its blocking calls, and a target that does
    /// not come forward is reported, by the function that it runs.
    ///
    /// Before it sleeps it gives `ask` its number for [`Waiting::wake`](crate::Waiting::wake): `true`, and it will be woken; `false`, and it looks
    /// again. Where callers do not sleep, or have no number, it looks now and then.
    ///
    /// Context: thread, interrupts on, outside call context. Progress: waits.
    ///
    /// # Errors
    ///
    /// [`WaitError`], but never `Cancelled`.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static HAS_ENDED: AtomicBool = AtomicBool::new(false);
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// # HAS_ENDED.store(true, Ordering::Release);
    /// // `|_| false`: nobody wakes it, so it looks now and then.
    /// let joined = smp.wait_by_port(0, "the end of its thread", None, |_| false, || HAS_ENDED.load(Ordering::Acquire));
    /// assert_eq!(joined, Ok(()));
    /// ```
    pub fn wait_by_port(
        &self,
        cpu: u32,
        what: &'static str,
        deadline_ns: Option<u64>,
        ask: impl Fn(u16) -> bool,
        done: impl Fn() -> bool,
    ) -> Result<(), WaitError> {
        if done() {
            return Ok(());
        }
        let (here, Some(target)) = (self.here(), self.cpu(cpu)) else { return Err(WaitError::NoSuchCpu) };
        if !self.may_wait(here) {
            return Err(WaitError::WouldDeadlock);
        }
        let waiter = self.waiter();
        let wait = Wait {
            target,
            target_cpu: cpu,
            // No run is waited for: no CPU runs a header at this address.
            header: core::ptr::dangling(),
            function: what,
            waiter,
            deadline_ns,
            slots: 0,
            gathers: false,
            serve: Serve::Blocking,
        };
        let asks = || waiter.map(|waiter| if ask(waiter) { Park::Sleep } else { Park::Done });
        self.wait_loop(&wait, &done, &asks).map_err(WaitError::TimedOut)
    }
}
