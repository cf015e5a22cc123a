//! Run a function on another CPU.
//!
//! A caller owns a small object, the [`Csd`] (call single data), [posts](Smp::post) it to a CPU, and that CPU runs its
//! function in call context (local interrupts off). A post allocates nothing, takes no lock and waits for nobody; while
//! the object is still queued, a further post returns [`Busy`](Posted::Busy) at once, and that is a promise: the run
//! that is still to begin sees everything the caller wrote before. [`Smp::call`] waits, borrows from the caller's stack,
//! and gives back a result; [`Smp::call_blocking`] does so in the CPU's thread, where the function may wait in turn.
//! [`Smp::post_detached`] needs no csd, [`Smp::post_lazy`] rings nobody, and [`Smp::post_deferred`] nobody in user space.
//!
//! ```text
//!  CPU 0: whoever posts                  CPU 1's queue: one word              CPU 1: flush
//!  struct Shard {                         ┌─────┐  ┌─────┐  ┌─────┐
//!      drain: csd, ────── one CAS ──────▶ │ csd │──│ csd │──│ csd │ ── one swap ──▶ Shard::run(this)
//!      pending: …                         └─────┘  └─────┘  └─────┘                 callers that wait first,
//!  }     └ ─ ─ doorbell (interrupt, futex, eventfd, waker): only if CPU 1 was not looking ─ ─ ▶ interrupts off
//! ```
//!
//! ```
//! use core::sync::atomic::{AtomicUsize, Ordering};
//! use smpcall::{CallError, CsdField, CsdOwner, Here, Platform, PostError, Smp, Storage, csd_field};
//!
//! struct Shard { drain: CsdField, pending: AtomicUsize }
//! csd_field! { impl Shard { drain } }
//! impl CsdOwner for Shard {
//!     type Pointer = &'static Self;
//!     fn run(this: &'static Self, here: Here<'_>) {
//!         println!("CPU {} drains {}", here.cpu(), this.pending.swap(0, Ordering::Relaxed));
//!     }
//! }
//!
//! /// From any CPU, any context.
//! fn ask<P: Platform, S: Storage>(smp: &Smp<P, S>, cpu: u32, shard: &'static Shard) -> Result<(), PostError> {
//!     shard.pending.fetch_add(1, Ordering::Relaxed);
//!     smp.post(cpu, shard)?; // Queued or Busy: a run is to come, and it sees the addition
//!     Ok(())
//! }
//!
//! /// From a thread: waits, borrows, and gives back a result.
//! fn answer<P: Platform, S: Storage>(smp: &Smp<P, S>, cpu: u32, question: &str) -> Result<usize, CallError> {
//!     smp.call(cpu, || question.len())
//! }
//! ```
//!
//! For threads `smpcall-host` is the port, and the machine is made in a line. A kernel implements [`Platform`], nine methods.
//!
//! | you want | take |
//! |---|---|
//! | a result, now | [`Smp::call`] |
//! | that something runs soon, once, however often it is asked for | [`Smp::post`] of a [`Csd`], or of a struct with a [`CsdField`] |
//! | a value there, and an answer back | [`Smp::send`] of a [`Message`] |
//! | something of all CPUs | [`Smp::call_many`], [`Smp::call_map`], [`Smp::post_many`] |
//! | a task to go on when it is done | [`Smp::call_async`] |
//! | all others held still | [`Smp::rendezvous`] |
//!
//! The promises have ids, P1 to P15, by which the documentation cites them; docs/promises.md has the table.
//! A machine is a [`Machine`]: a port (a [`Platform`]) and memory for its CPUs (a [`Storage`]); what any thread may ask of it is [`Smp`]. How it is built is in
//! ARCHITECTURE.md, beside the README: two atomic words, the csd's state and the queue's head, are the whole protocol.
//!
//! The crate is `no_std`, allocates nothing and depends on nothing. The feature `alloc` adds shared csds
//! (`Arc<Csd<F>>`) and boxed storage.

#![cfg_attr(not(any(test, loom)), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(doctest)]
mod doctests;

mod call_slot;
mod csd;
mod detached;
mod error;
mod foreign;
mod future;
mod local;
mod lock;
mod mailbox;
mod mask;
mod meeting;
mod message;
mod multicast;
mod payload;
mod percpu;
mod platform;
mod posted;
mod queue;
#[cfg(feature = "relays")]
mod relay;
mod smp;
mod stall;
mod stamp;
mod state;
mod stats;
mod sync;
mod trace;
mod wake;
#[cfg(smpcall_sim)]
#[doc(hidden)]
pub mod words;

pub use call_slot::CallSlot;
#[cfg(feature = "alloc")]
pub use csd::field::FromArc;
#[doc(hidden)]
pub use csd::field::demand as __demand_csd_field;
pub use csd::field::{CsdField, CsdOwner, FromStatic, HasCsd, HasCsds, Here, Lent, OwnerPointer};
pub use csd::{Cancel, Coalesced, Csd, Post};
pub use detached::DETACHED_MAX;
pub use error::{
    CallError, CallInError, CpuCountError, DetachedError, HotplugError, ManyError, PostError, Refused,
    RendezvousError, WaitError, WhyRefused,
};
pub use foreign::{Entry, ForeignCsd};
#[cfg(feature = "alloc")]
pub use future::PendingMany;
pub use future::{AsyncCall, AsyncCallError, AwaitedSlot, PendingCall};
pub use local::{LocalError, PerCpuCell};
pub use mask::{CpuMask, CpuSet};
pub use message::{
    Carries, HasMessage, Message, MessageField, MessageOwner, NotSent, ReceiveError, SendError, TakeError,
};
pub use percpu::{CPUS_MAX, PerCpu, Storage};
pub use platform::{
    Backoff, Broadcasting, Foreign, Hosting, NotBroadcast, Pause, Platform, Reporting, RingError, Topology,
    Tracing, Tuning, Waiting,
};
pub use posted::Posted;
pub use smp::{
    Asleep, Awaits, Broadcast, Budget, Chain, Cpu, Deferred, Flushed, Hold, Machine, NoSleep, NotInUser,
    Pinned, Reached, Serve, SleepGuard, Smp, To, Watch,
};
pub use stall::{CallStall, Phase, QueueStall, StallCause};
pub use stats::{Counts, CpuStats, Histogram, LeftOver, Stats};
pub use trace::{CallKind, Event, EventKind};
