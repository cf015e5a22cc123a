//! An existing thread as a CPU: it looks at its queue from its own event loop.

use crate::here::{self, Here};
use crate::machine::Machine;
use crate::pin_this_thread;
use smpcall::{Budget, Flushed, Platform, Sleep};
use std::marker::PhantomData;
use std::time::Duration;

/// Why a thread could not become a CPU.
#[derive(Debug)]
pub enum AttachError {
    /// The machine has no CPU of that number that threads may attach to. See [`Builder::attachable`](crate::Builder::attachable).
    NotAttachable,
    /// Another thread is that CPU. Wait for it to detach, or take another CPU.
    Taken,
    /// The calling thread is a CPU already, of this machine or another. One thread is one CPU.
    ThreadIsACpu,
    /// The machine was shut down.
    ShutDown,
    /// The kernel refused to keep the thread on the core asked for.
    Pin(std::io::Error),
}

impl std::fmt::Display for AttachError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAttachable => f.write_str("the machine has no such CPU for threads to attach to"),
            Self::Taken => f.write_str("another thread is that CPU"),
            Self::ThreadIsACpu => f.write_str("this thread is a CPU already"),
            Self::ShutDown => f.write_str("the machine was shut down"),
            Self::Pin(error) => write!(f, "cannot pin the thread: {error}"),
        }
    }
}

impl std::error::Error for AttachError {}

/// The calling thread as a CPU, online until this is dropped. It stays on its thread.
///
/// Its event loop calls [`poll`](Self::poll) now and then, or [`park`](Self::park)s. While it does neither, calls to it
/// wait, and are reported as stalled if somebody waits for them.
///
/// If it is leaked instead of dropped, the CPU stays online with nobody to look at its queue.
#[derive(Debug)]
pub struct Attached<'m> {
    machine: &'m Machine,
    cpu: u32,
    not_send: PhantomData<*const ()>,
}

impl<'m> Attached<'m> {
    pub(crate) fn new(machine: &'m Machine, cpu: u32, core: Option<usize>) -> Result<Self, AttachError> {
        if here::here().machine != 0 {
            return Err(AttachError::ThreadIsACpu);
        }
        machine.seats().take(cpu)?;
        if let Some(core) = core
            && let Err(error) = pin_this_thread(core)
        {
            machine.seats().give_back(cpu);
            return Err(AttachError::Pin(error));
        }
        let core = machine.platform().settle(cpu, core);
        here::set(Here { machine: machine.platform().id(), cpu, core });
        machine.online().expect("the seat was free, so the CPU is offline and this thread is in no call");
        Ok(Self { machine, cpu, not_send: PhantomData })
    }

    /// Returns the CPU's number.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Runs what was posted, as far as `budget` goes. On an empty queue it costs two loads.
    pub fn poll(&self, budget: Budget) -> Flushed {
        self.machine.flush(budget)
    }

    /// Says that this thread polls from now on, so that posts to it need not ring; until [`park`](Self::park).
    pub fn poll_begin(&self) {
        self.machine.poll_begin();
    }

    /// Runs what was posted; if there is nothing, sleeps until a post rings or `timeout` has passed, and runs what came.
    /// `None`: for as long as it takes. Returns how many functions ran.
    ///
    /// # Panics
    ///
    /// From inside a function: call context does not sleep.
    pub fn park(&self, timeout: Option<Duration>) -> u32 {
        assert!(self.machine.platform().can_wait(), "park is for thread context");
        let mut ran = 0;
        loop {
            match self.machine.flush(Budget::DEFAULT) {
                Flushed::All(more) => ran += more,
                Flushed::More(more) => {
                    ran += more;
                    return ran;
                }
                Flushed::Nested => unreachable!("thread context is in no flush"),
            }
            if ran > 0 {
                return ran;
            }
            if self.machine.poll_end() == Sleep::Ready {
                break;
            }
        }
        self.machine.platform().cpu(self.cpu).doorbell.sleep(timeout);
        match self.machine.flush(Budget::DEFAULT) {
            Flushed::All(more) | Flushed::More(more) => ran + more,
            Flushed::Nested => ran,
        }
    }
}

impl Drop for Attached<'_> {
    /// Goes offline: runs what was accepted; later posts are told `Offline`.
    fn drop(&mut self) {
        let offline = self.machine.offline();
        debug_assert!(offline.is_ok(), "an attached CPU is online, and its thread is in no call");
        here::clear();
        self.machine.seats().give_back(self.cpu);
    }
}
