//! The thread that runs a vCPU.
//!
//! | the thread is | its latch | a post to it |
//! |---|---|---|
//! | in the guest, or about to enter it | outside | kicks: [`Kick`] |
//! | out of the guest, in an exit's handler for example | quiet | latches; the thread looks before it enters again |
//! | asleep, by [`Vcpu::park`] or paused | asleep | a futex wake |
//!
//! The marks are the machine's own, of any thread that sleeps in its own loop (`smpcall_host::SleepGuard`), and so is the protocol: the queue's
//! mark first, then the latch, then a look at the queue, then the run. What is posted before the look is found by it; what is posted
//! later finds the latch outside, and kicks.

use crate::error::{RunError, VcpuAttachError};
use crate::guest::Guest;
use crate::here;
use crate::kick::{Kick, KickError};
use kvm_ioctls::VcpuFd;
use nix::libc;
use smpcall_host::handler::Masked;
use smpcall_host::smpcall::{Budget, Flushed, NoSleep};
use smpcall_host::{Attached, Machine, Trace};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

/// The calling thread as a vCPU: a CPU of a machine that spends its time in a guest, out of which every post and call gets it, once.
///
/// A thread that is no CPU of the machine, or another vCPU's, posts and [calls](crate::Vcpus) as to any other CPU. Functions run on this thread, out of
/// the guest, when no operation of the guest's is half done; [`with_guest`](crate::with_guest) reaches it there.
///
/// When it is dropped the CPU goes offline, runs what it had accepted, and the guest is dropped; [`Self::into_guest`] gives it back. Later calls are told
/// [`Offline`](smpcall_host::smpcall::CallError::Offline). One that is leaked stays online with nobody to look, as for any [`Attached`]: rings
/// fail when its thread has ended, and reports name the CPU.
pub struct Vcpu<'m, G: Guest = VcpuFd, T: Trace = ()> {
    machine: &'m Machine<T>,
    /// Empty in the drop only.
    here: Option<Attached<'m, T, Kick>>,
    signal: i32,
    was: Masked,
    guest: PhantomData<G>,
}

/// What became of a [run](Vcpu::run).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran<R> {
    /// The guest exited by itself: what the handler returned.
    Exit(R),
    /// It was kicked, or a signal of the program's own came: how many functions of posts and plain calls ran on this thread, out of the
    /// guest; 0 too.
    Kicked(u32),
    /// The machine was shut down.
    ShutDown,
}

/// How one entry of the guest ended.
enum Ended<R> {
    Exit(R),
    Kicked,
}

impl<'m, G: Guest, T: Trace> Vcpu<'m, G, T> {
    /// Makes the calling thread CPU `cpu`, which runs `guest`, and is kicked out of it by `signal`: a number that the program uses for
    /// nothing else, such as [`Signal::real_time`](smpcall_host::Signal::real_time)`(0)`. All vCPUs of a process may have the same. Its
    /// handler, which does nothing, is installed once, with `SA_RESTART`, and stays; the signal is open in this thread until the vCPU is dropped.
    ///
    /// ```no_run
    /// use kvm_ioctls::{Kvm, VcpuExit};
    /// use smpcall_host::{Machine, Signal};
    /// use smpcall_kvm::{Ran, Vcpu};
    ///
    /// let vm = Kvm::new()?.create_vm()?;
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let signal = Signal::real_time(0).expect("there are some");
    /// let mut vcpu = Vcpu::attach(&machine, 0, vm.create_vcpu(0)?, signal).map_err(|(why, _)| why)?;
    /// loop {
    ///     match vcpu.run(|exit| matches!(exit, VcpuExit::Shutdown))? {
    ///         Ran::Exit(true) | Ran::ShutDown => break,
    ///         Ran::Exit(false) | Ran::Kicked(_) => {}
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Context: a thread that is no CPU, outside of any call. Progress: a mapping, a lock, some system calls.
    ///
    /// # Errors
    ///
    /// [`VcpuAttachError`], and the guest. Nothing has changed then, but that the handler may be there.
    pub fn attach(
        machine: &'m Machine<T>,
        cpu: u32,
        guest: G,
        signal: i32,
    ) -> Result<Self, (VcpuAttachError, G)> {
        // SAFETY: it is what a `Guest` promises of its page.
        let kick = match unsafe { Kick::new(guest.page(), signal) } {
            Ok(kick) => kick,
            Err(KickError::Attach(error)) => return Err((VcpuAttachError::Attach(error), guest)),
            Err(KickError::Map(error)) => return Err((VcpuAttachError::Map(error), guest)),
        };
        let was = kick.was();
        match machine.attach_with(cpu, kick) {
            Ok(attached) => {
                // Before this thread first looks at its queue.
                here::begin(guest);
                Ok(Self { machine, here: Some(attached), signal, was, guest: PhantomData })
            }
            Err(error) => {
                Kick::end(signal, was);
                Err((VcpuAttachError::Attach(error), guest))
            }
        }
    }

    fn here(&mut self) -> &mut Attached<'m, T, Kick> {
        self.here.as_mut().expect("it is there until the drop")
    }

    /// Returns the CPU's number.
    ///
    /// Example: [`Guest`].
    pub fn cpu(&self) -> u32 {
        self.here.as_ref().expect("it is there until the drop").cpu()
    }

    /// Runs the guest until it exits by itself, and hands that to `handle`; or until it is kicked, and runs what was posted. Sleeps
    /// as long as it is paused.
    ///
    /// What the guest left for, a read of a port for example, is half done until the next run: so what was posted meanwhile runs in
    /// that, after it was finished, and before the guest is entered again. An operation of several exits is finished exit by exit: then
    /// functions wait for the last.
    ///
    /// Context: this thread, outside of any call. `handle` may post and call; while it waits for somebody, functions of a plain call or
    /// post run inside of that, and do not reach the guest ([`GuestError::InExit`](crate::GuestError::InExit)); those of
    /// [`call_vcpu`](crate::Vcpus::call_vcpu) wait for the next run. Progress: the guest's.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub fn run<R>(&mut self, handle: impl FnOnce(G::Exit<'_>) -> R) -> Result<Ran<R>, RunError> {
        let mut handle = Some(handle);
        let mut handle =
            |exit: G::Exit<'_>| handle.take().map(|handle| handle(exit)).expect("one exit a run");
        loop {
            if self.machine.is_shut_down() {
                let _ = self.here().poll(Budget::DEFAULT);
                return Ok(Ran::ShutDown);
            }
            if here::is_paused() {
                if let Ended::Exit(answer) = self.finish(&mut handle)? {
                    return Ok(Ran::Exit(answer));
                }
                self.here().park(None);
                continue;
            }
            let Some(ended) = self.enter(&mut handle)? else {
                // Something was posted: it runs when nothing is half done.
                return Ok(match self.finish(&mut handle)? {
                    Ended::Exit(answer) => Ran::Exit(answer),
                    Ended::Kicked => Ran::Kicked(self.look()),
                });
            };
            return Ok(match ended {
                Ended::Exit(answer) => Ran::Exit(answer),
                Ended::Kicked => Ran::Kicked(self.look()),
            });
        }
    }

    /// Enters the guest, unless something was posted.
    fn enter<R>(&mut self, handle: &mut impl FnMut(G::Exit<'_>) -> R) -> Result<Option<Ended<R>>, RunError> {
        let asleep = match self.here().begin_sleep() {
            Ok(guard) => guard.commit(),
            Err(NoSleep::Work) => return Ok(None),
            Err(_) => return Err(RunError::InCall),
        };
        // Out of the guest, before anything else: from here on posts only latch, while the exit is answered.
        run_guest::<G, R>(|| asleep.awake(), handle).map(Some)
    }

    /// Finishes what the last exit has left half done. That may take another exit.
    fn finish<R>(&mut self, handle: &mut impl FnMut(G::Exit<'_>) -> R) -> Result<Ended<R>, RunError> {
        if !here::is_half_done() {
            return Ok(Ended::Kicked);
        }
        let kick = self.here.as_ref().expect("it is there until the drop").doorbell();
        kick.raise();
        // A ring that is erased with it is of a sleep that is over: while this thread is out of the guest, rings only latch.
        run_guest::<G, R>(|| smpcall_host::Doorbell::acknowledge(kick), handle)
    }

    /// Runs what was posted.
    fn look(&mut self) -> u32 {
        match self.here().poll(Budget::DEFAULT) {
            Flushed::All(ran) | Flushed::More(ran) => ran,
            Flushed::Nested | Flushed::NotACpu => unreachable!("thread context of a CPU is in no flush"),
        }
    }

    /// Runs what was posted, if there is something, and does not sleep; returns how much. For a monitor that does something else before it
    /// [runs](Self::run) the guest, such as waiting for the others to be there.
    ///
    /// Context: this thread, outside of any call. Progress: that of the functions.
    ///
    /// # Errors
    ///
    /// [`RunError::HalfDone`].
    ///
    /// Example: [`Guest`].
    pub fn poll(&mut self) -> Result<u32, RunError> {
        if here::is_half_done() { Err(RunError::HalfDone) } else { Ok(self.look()) }
    }

    /// Sleeps out of the guest until something is posted, or for that long, and runs it; returns how much. For a guest that has halted, where no
    /// interrupt controller of the kernel's wakes it. When the machine was shut down it does not sleep.
    ///
    /// Context, panics: as for [`Attached::park`]. Progress: until then.
    ///
    /// # Errors
    ///
    /// [`RunError::HalfDone`].
    ///
    /// Example: [`Guest`].
    pub fn park(&mut self, timeout: Option<Duration>) -> Result<u32, RunError> {
        if here::is_half_done() { Err(RunError::HalfDone) } else { Ok(self.here().park(timeout)) }
    }

    /// Calls `f` with the guest, whatever its last exit has left.
    ///
    /// Context: this thread. Progress: that of `f`.
    ///
    /// Example: [`Guest`].
    pub fn with<R>(&mut self, f: impl FnOnce(&mut G) -> R) -> R {
        here::borrow(f).expect("this thread runs that guest, and is in no run")
    }

    /// Goes offline, and gives the guest back.
    ///
    /// # Panics
    ///
    /// As the drop of an [`Attached`].
    ///
    /// Example: [`Guest`].
    pub fn into_guest(mut self) -> G {
        self.leave().expect("this thread runs that guest, and is in no run")
    }

    fn leave(&mut self) -> Option<G> {
        drop(self.here.take()?);
        Kick::end(self.signal, self.was);
        here::end()
    }
}

/// One run; `awake` is called as soon as it has ended, before its exit is handled.
fn run_guest<G: Guest, R>(
    awake: impl FnOnce(),
    handle: &mut impl FnMut(G::Exit<'_>) -> R,
) -> Result<Ended<R>, RunError> {
    let ended = here::borrow(|guest: &mut G| {
        let run = guest.run();
        awake();
        here::set_half_done(run.as_ref().is_ok_and(G::is_half_done));
        run.map(handle)
    });
    match ended {
        Ok(Ok(answer)) => Ok(Ended::Exit(answer)),
        Ok(Err(error)) if is_kick(&error) => Ok(Ended::Kicked),
        Ok(Err(error)) => Err(RunError::Guest(error)),
        Err(_) => Err(RunError::InCall),
    }
}

fn is_kick(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

impl<G: Guest, T: Trace> Drop for Vcpu<'_, G, T> {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

impl<G: Guest, T: Trace> fmt::Debug for Vcpu<'_, G, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vcpu").field("signal", &self.signal).finish_non_exhaustive()
    }
}
