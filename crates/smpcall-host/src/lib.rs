//! smpcall on host threads: a CPU is a thread, its doorbell a futex.
//!
//! There are three ways to take part in a [`Machine`]:
//!
//! - a thread that the machine **owns**: pinned to a core, it polls or sleeps, and runs what is posted to it;
//! - an existing thread that **attaches** ([`Machine::attach`]) and polls or parks in its own event loop;
//! - any thread that only **calls**: it posts and waits through a `&Machine`, with nothing to set up.
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
//! **When the owner of a post is off its core.** Host threads are preempted. A csd that another thread has claimed but not
//! yet pushed is `Busy`, and its run begins as late as that thread comes back; the same holds between its push and its
//! ring (a waiting caller rings once more before it sleeps).
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
//!
//! # Modules
//!
//! `machine` (threads, start and end), `attach`, `port` (what the core asks of a platform), `doorbell` (the futex),
//! `callers` (doorbells of threads that only call), `stalls` (when a target is silent, and who is told), `trace` (who listens to the
//! tracepoints), `spin` (when to stop looking and sleep), `here` (who am I),
//! `affinity`, `topology` (who is near to whom), `fork` (what a child finds).

mod affinity;
mod attach;
mod callers;
#[cfg(doctest)]
mod doctests;
mod doorbell;
mod fork;
mod here;
mod machine;
mod port;
mod spin;
mod stalls;
mod topology;
mod trace;

pub use affinity::{allowed_cores, pin_this_thread};
pub use attach::{AttachError, Attached};
pub use machine::{BuildError, Builder, Cores, Counts, Idle, Machine, ShutdownError};
pub use port::Host;
pub use smpcall;
pub use spin::short_pause;
pub use trace::{Counters, Latencies, Trace};
