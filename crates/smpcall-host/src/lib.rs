//! smpcall on host threads: a CPU is a thread, its doorbell a futex, or whatever wakes the loop that the thread sleeps in.
//!
//! There are three ways to take part in a [`Machine`]:
//!
//! - a thread that the machine **owns**: pinned to a core, it polls or sleeps, and runs what is posted to it;
//! - an existing thread that **attaches** ([`Machine::attach`]) and polls or parks in its own event loop, or, by another
//!   [`Doorbell`] ([`Machine::attach_with`]), sleeps in epoll, io_uring, or an executor;
//! - any thread that only **calls**: it posts and waits through a `&Machine`, with nothing to set up.
//!
//! ```text
//!  any thread ──── post, call ────▶ CPU 0: a thread of the machine's ── polls, or sleeps on a futex
//!             ──── post, call ────▶ CPU 1: a thread that attached    ── sleeps in epoll, io_uring, an executor
//!                                     ▲ doorbell, once for each sleep: futex wake, eventfd, message, waker, signal
//! ```
//!
//! ```
//! use smpcall_host::Machine;
//!
//! let machine = Machine::builder().owned(2).build()?;
//! let mut local = 20;
//! let sum = machine.call(1, || { local += 1; local * 2 })?;
//! assert_eq!((sum, local), (42, 21));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Awaiting.** A call can be awaited by any executor, on a thread that is a CPU or on none
//! ([`call_async`](smpcall::Smp::call_async), [`call_async_by`](smpcall::Smp::call_async_by)): no thread is blocked, and the task is
//! woken by the CPU that ran the call. The smallest executor sleeps by `park`:
//!
//! ```
//! use std::{future::Future, pin::pin, sync::Arc, task::{Context, Poll, Wake}, thread::{self, Thread}};
//!
//! struct Unpark(Thread);
//! impl Wake for Unpark {
//!     fn wake(self: Arc<Self>) { self.0.unpark(); }
//! }
//!
//! fn block_on<F: Future>(future: F) -> F::Output {
//!     let (mut future, waker) = (pin!(future), Arc::new(Unpark(thread::current())).into());
//!     loop {
//!         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
//!             Poll::Ready(output) => return output,
//!             Poll::Pending => thread::park(),
//!         }
//!     }
//! }
//!
//! let machine = smpcall_host::Machine::builder().owned(2).build()?;
//! let text = "four".to_string();
//! let len = block_on(async { machine.call_async(1, move || text.len()).await });
//! assert!(matches!(len, Ok(4)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Tasks of another thread, and its values.** [`Machine::spawn_on`] runs a future on a CPU's thread, as a task of the executor there, and its
//! result comes back; a [`CpuBound`] value is used and dropped on its own CPU only, and its handle may be anywhere.
//!
//! **When the owner of a post is off its core.** Host threads are preempted. A csd that another thread has claimed but not
//! yet pushed is `Busy`, and its run begins as late as that thread comes back; the same holds between its push and its
//! ring (a waiting caller rings once more before it sleeps).
//!
//! **How many CPUs, and when to pin.** One less than [the process may use cores](process_cores) if threads that are no CPUs call
//! them, pinned: the default. With as many, or more, they are not pinned, unless told; see [`Builder::owned`] for what that
//! costs and saves. Where all callers are CPUs: as many as cores, pinned by [`Cores::Spread`] or [`Machine::attach_pinned`].
//! [`Machine::placement`] says in one line what was found, and what may make it slow. Cores are the *process'*: that the
//! thread that builds a machine is kept on one says nothing of the others.
//!
//! **A blocking call stops its CPU.** While a function of [`call_blocking`](smpcall::Smp::call_blocking) runs, its CPU runs nothing
//! else, and whoever calls that CPU waits. A pool of CPUs of its own is for that: [`Machine`] shows one.
//!
//! **Threads inherit.** A thread that is started from a function on a pinned CPU, or after [`Machine::attach_pinned`], is kept on
//! that one core; rayon's and tokio's default pools get one thread there. [`unpin_this_thread`] lets it go. Threads that the
//! machine owns, and what they start, have all signals blocked but those that a thread brings upon itself (a fault), so that a
//! program's signals reach the threads that wait for them; [`Builder::on_start`] can open one, as a profiler may want.
//!
//! **Several machines.** A thread is a CPU of one machine at most, but may call any. While it waits for one it serves the CPU that
//! it is of another, so CPUs of several machines that call each other all finish, as those of one machine do (P10).
//!
//! **Time-outs** end late by what the kernel allows itself to save wake-ups: its timer slack, 50 µs unless told otherwise by
//! `prctl(PR_SET_TIMERSLACK)`. For no time at all nothing sleeps.
//!
//! **Fork.** In the child of a `fork` a machine has no threads: it counts as shut down, every post and call is told `Offline`, also
//! to the thread that forked if that is a CPU, and dropping it does nothing. What was under way in the parent stays so in the
//! child for ever: a csd that was pending is Busy, a wait from inside which the fork was made does not end, a multicast that was
//! being answered keeps its slot. So do in the child what a program with threads may do there: execute another program, or end.

mod affinity;
mod allowance;
mod attach;
mod bound;
mod callers;
#[cfg(doctest)]
mod doctests;
mod doorbell;
mod first_look;
mod fork;
#[doc(hidden)]
pub mod futex;
#[doc(hidden)]
pub mod handler;
mod here;
mod incarnation;
mod interrupt;
mod latch;
mod machine;
mod port;
mod pump;
mod sleep;
mod spawn;
mod spin;
mod stalls;
mod sysfs;
#[cfg(feature = "topology")]
mod topology;
mod trace;
mod turns;
mod uring;

pub use affinity::{allowed_cores, pin_this_thread, process_cores, unpin_this_thread};
pub use attach::{AttachError, Attached};
pub use bound::{BoundError, CpuBound};
pub use doorbell::{Doorbell, EventFd, Futex, MsgRing, Signal, WakerCell};
pub use machine::{
    BuildError, Builder, Cores, Counts, Idle, Machine, Placement, PlacementWarning, Publisher, ShutdownError,
};
pub use port::Host;
pub use pump::Pump;
pub use sleep::{Asleep, SleepGuard};
pub use smpcall;
pub use spawn::{LocalSpawner, LocalTask, SpawnError, Spawned};
pub use spin::short_pause;
pub use trace::{Counters, Latencies, Trace};
