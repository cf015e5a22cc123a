//! The core under loom: one model for each race. `cargo xtask models` runs them, `cargo xtask mutants` shows that they
//! can fail (every ordering of the core is weakened there, one at a time).
//!
//! loom runs a model again and again, until it has tried every order of the threads' steps, and every value that a
//! load may yet return, with at most so many preemptions (`LOOM_MAX_PREEMPTIONS`; 3 in `cargo xtask models`). What a
//! model's own bounds leave out is said at the model. What all of them leave out: more threads and preemptions than
//! that, load buffering (a load that returns what is written later), nested interrupts, and time. CAVEATS.md has the
//! list.
//!
//! How they are built: the main thread prepares a machine of two CPUs, starts one or two threads, and is itself the
//! target, most often; when all have ended it looks at what is left. So hardly a model has a loop. What users write
//! before a post is a [`Word`](memory::Word), read and written relaxed, or a [`Place`](memory::Place), for which loom
//! demands that accesses are ordered; counts are [`Tally`](memory::Tally), which the models do not see.

#![cfg(loom)]

mod blocking;
#[cfg(feature = "alloc")]
mod boxed;
mod call;
mod cancel;
mod chain;
#[cfg(feature = "alloc")]
mod counted;
mod deferred;
mod detached;
mod doorbell;
#[cfg(feature = "alloc")]
mod embedded;
#[cfg(feature = "alloc")]
mod future;
mod hotplug;
mod kick;
mod lazy;
mod local;
mod mailbox;
mod many;
mod memory;
mod message;
#[cfg(feature = "alloc")]
mod message_field;
mod migrates;
mod port;
mod post;
mod prepared;
#[cfg(feature = "relays")]
mod relay;
mod rendezvous;
mod stalls;
mod wait;
#[cfg(feature = "alloc")]
mod waker;
