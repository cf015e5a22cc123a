//! Run a function on another CPU.
//!
//! A caller owns a small object, the [`Csd`] (call single data), [posts](Smp::post) it to a CPU, and that CPU runs its
//! function in call context (local interrupts off). A post allocates nothing, takes no lock and waits for nobody; while
//! the object is still queued, a further post returns [`Busy`](Posted::Busy) at once, and that is a promise: the run
//! that is still to begin sees everything the caller wrote before. [`Smp::call`] waits, borrows from the caller's stack,
//! and gives back a result; [`Smp::call_blocking`] does so in the CPU's thread, where the function may wait in turn.
//! [`Smp::post_detached`] needs no csd, [`Smp::post_lazy`] rings nobody, and [`Smp::post_deferred`] nobody in user space.
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
    Backoff, Foreign, Hosting, Pause, Platform, Reporting, RingError, Topology, Tracing, Tuning, Waiting,
};
pub use posted::Posted;
pub use smp::{
    Asleep, Awaits, Budget, Chain, Cpu, Deferred, Flushed, Hold, Machine, NoSleep, NotInUser, Pinned,
    Reached, Serve, SleepGuard, Smp, To, Watch,
};
pub use stall::{CallStall, Phase, QueueStall, StallCause};
pub use stats::{Counts, CpuStats, Histogram, LeftOver, Stats};
pub use trace::{CallKind, Event, EventKind};
