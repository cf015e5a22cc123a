//! Doorbells: how an attached thread is woken out of a sleep that is its program's own.
//!
//! | doorbell | its thread sleeps in | what a ring costs its poster | chosen by |
//! |---|---|---|---|
//! | [`Futex`] | [`Attached::park`](crate::Attached::park) only | a futex wake | [`Machine::attach`](crate::Machine::attach) |
//! | the same | nothing: it polls | nothing | the same, and [`Attached::poll_begin`](crate::Attached::poll_begin) |
//! | [`EventFd`] | epoll, a runtime's reactor | a write to an eventfd | [`Machine::attach_with`](crate::Machine::attach_with) |
//! | [`MsgRing`] | io_uring, submitting and waiting | a message to a ring | the same |
//! | [`Signal`] | nothing, or whatever a signal interrupts | a signal, whose handler flushes | [`Machine::attach_interrupted`](crate::Machine::attach_interrupted) |
//! | [`WakerCell`] | an executor, while a task [pumps](crate::Attached::pump) | what the executor's wake-up costs | the same |
//! | your own | whatever it can end | – | the same |
//!
//! Before a doorbell comes the CPU's latch, which is the same for all: it says whether the thread was rung, and where it sleeps. So a
//! doorbell is asked only when the thread sleeps in its own loop, or may, and once for each such sleep (P7); and a thread that waits
//! for a call sleeps on the latch, whatever its doorbell. Every ring is a read-modify-write of the latch (Release), also one that is
//! merged into a pending one, and its thread takes note of it by another (Acquire), before the flush.

mod event_fd;
mod msg_ring;
mod signal;
mod waker_cell;

pub use self::event_fd::EventFd;
pub use self::msg_ring::MsgRing;
pub use self::signal::Signal;
pub use self::waker_cell::WakerCell;

use smpcall::RingError;

/// Ends the sleep that an attached thread sleeps in its program's own loop.
///
/// ```
/// use smpcall_host::smpcall::{Budget, Flushed, RingError};
/// use smpcall_host::{Doorbell, Machine};
/// use std::thread::{self, Thread};
///
/// /// For a loop that sleeps in `std::thread::park`.
/// struct Unpark(Thread);
///
/// impl Doorbell for Unpark {
///     fn ring(&self) -> Result<(), RingError> {
///         self.0.unpark();
///         Ok(())
///     }
/// }
///
/// let machine = Machine::builder().attachable(1).build()?;
/// let mut here = machine.attach_with(0, Unpark(thread::current()))?;
/// thread::scope(|scope| {
///     scope.spawn(|| machine.post_detached(0, || println!("posted")));
///     let mut ran = 0;
///     while ran == 0 {
///         let flushed = if let Ok(guard) = here.begin_sleep() {
///             let asleep = guard.commit();
///             thread::park();
///             asleep.woken(Budget::DEFAULT)
///         } else {
///             here.poll(Budget::DEFAULT)
///         };
///         let (Flushed::All(now) | Flushed::More(now)) = flushed else { unreachable!("outside of any call") };
///         ran += now;
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Doorbell: Send + Sync + 'static {
    /// Ends the sleep that the CPU's thread is in, or is about to begin: a ring that comes first is kept, and ends it at once. Called
    /// at most once for each sleep that began (P7), and again if it failed.
    ///
    /// What was written before it is published by the CPU's latch, not by this.
    ///
    /// Context: any thread, in call context too, with the soft irq guard held, and in a signal's handler if a post is made there.
    /// It neither waits for the CPU's thread, nor posts, nor calls. A call may come late, when the thread is awake, or has detached:
    /// then it does nothing, or wakes in vain.
    ///
    /// # Errors
    ///
    /// [`RingError`] if the sleep cannot be ended. What is queued stays queued, and is rung for again: see there.
    ///
    /// # Panics
    ///
    /// One that panics, or whose drop does, counts as one that failed, and [is counted](crate::Counts::panics).
    fn ring(&self) -> Result<(), RingError>;

    /// The same, for what the CPU's own flush has left over at its budget: it may come when the thread has had a turn, and does where a ring
    /// interrupts, since in a flood the thread would have none.
    ///
    /// Context: the CPU's thread, awake, with the soft irq guard held; in a signal's handler if that flushes.
    ///
    /// # Errors
    ///
    /// As for [`Self::ring`].
    ///
    /// Example: [`Doorbell::acknowledge`].
    fn ring_self(&self) -> Result<(), RingError> {
        self.ring()
    }

    /// Takes back what earlier rings left behind for the loop to see, such as a readable file descriptor. Called by the CPU's thread when
    /// it is awake, after the latch was taken note of and before the flush; also when there was no ring: then it should cost nothing.
    ///
    /// Context: the CPU's thread.
    ///
    /// ```
    /// use smpcall_host::smpcall::{Budget, Flushed, RingError};
    /// use smpcall_host::{Doorbell, Machine};
    /// use std::sync::mpsc::{Receiver, Sender, channel};
    /// use std::sync::Mutex;
    ///
    /// /// For a loop that sleeps in a channel's `recv`.
    /// struct Message(Sender<&'static str>);
    /// impl Doorbell for Message {
    ///     fn ring(&self) -> Result<(), RingError> { self.0.send("calls").map_err(|_| RingError) }
    ///     fn ring_self(&self) -> Result<(), RingError> { self.ring() } // no interrupt: it comes when the loop comes round
    ///     fn acknowledge(&self) {} // the loop has taken the message
    /// }
    ///
    /// let (sender, inbox) = channel();
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach_with(0, Message(sender))?;
    /// let asleep = here.begin_sleep().expect("nothing is there").commit();
    /// machine.post_detached(0, || ())?;
    /// assert_eq!(inbox.recv()?, "calls");
    /// assert_eq!(asleep.woken(Budget::DEFAULT), Flushed::All(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn acknowledge(&self) {}
}

/// The default: the latch itself, on which [`Attached::park`](crate::Attached::park) sleeps. A thread that never parks is never woken, and
/// costs its posters no system call.
///
/// It is no way out of any other sleep: of a thread that [begins one](crate::Attached::begin_sleep) all the same, rings fail, and
/// reports say so.
#[derive(Debug)]
pub struct Futex(pub(crate) ());

impl Doorbell for Futex {
    fn ring(&self) -> Result<(), RingError> {
        Err(RingError)
    }
}
