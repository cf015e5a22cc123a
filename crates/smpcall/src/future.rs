//! Calls that are awaited: a closure there and its result back, as a future. No thread is blocked, and none spins.
//!
//! A call lives in a [`AwaitedSlot`]: its csd, the room for the closure and then for what came of it, and the `awaited` word. The slot
//! is kept by its user ([`AsyncCall`]), and by the queue while it is posted: it is `'static` or shared, never on the caller's stack,
//! since a future may be forgotten.
//!
//! # The way of a call
//!
//! 1. The first poll moves the closure into the slot and posts its csd. Until then nothing has happened.
//! 2. The target runs the closure and puts its result into the slot. Then it takes the waker out, gives the slot back to the
//!    caller's side, lets go of it, and wakes: once, and with nothing of the slot in its hands.
//! 3. The next poll takes the result.
//!
//! If the target looks at its queue by itself when the call is posted, the first poll registers no waker: it wakes its own task, once,
//! and the second poll, when the executor comes round, most likely finds the result; else it registers. That spares a wake-up from
//! another CPU, which costs more than all the rest, and spins nowhere.
//!
//! # A future that is dropped
//!
//! | when | the closure | the result |
//! |---|---|---|
//! | before the first poll | is dropped with it | – |
//! | queued | does not run: is cancelled, and dropped there and then | – |
//! | its run has begun | runs to its end | stays in the slot: dropped by the slot's next call, or by the drop of its [`AsyncCall`] |
//! | the `AsyncCall` is gone, too, before the run has ended | runs to its end | is *posted home*: dropped on the CPU that made the call |
//! | its run has ended | – | is dropped there and then |
//!
//! So a result is dropped by its owner. It stays in the slot, and is not posted home each time, because that needs no second
//! entry in anybody's queue, rings nobody, and cannot be refused. The way home uses the slot's own csd, which is free by then.
//! What has no home (the caller was no CPU of the machine, or that CPU is offline by now) is dropped on the target. A future that
//! is forgotten is one that was not dropped yet: the slot's next call, or the drop of the `AsyncCall`, does what the drop would have done.
//!
//! # Invariants
//!
//! - **I30** A slot's caller side is one at a time: the future, or else the [`AsyncCall`], which the future borrows or owns. From the
//!   post until `end`, the content is the target's, unless `cancel` took the run away: then it is the caller's all along. Else it is
//!   the caller's; once the caller's side is gone, that of whoever drops the slot.
//! - **I31** The waker's cell is the caller's to write in `CALLER` and `SENT`. In `AWAITED` a waker is in it, and nobody writes. In
//!   `ENDING` the target reads it, and nobody writes. From the moment at which `end` leaves the word at `CALLER` the target
//!   does not touch the slot but for giving back what holds it.
//!
//! # The word
//!
//! ```text
//!            sent                 the run has ended, nobody awaits
//!   CALLER ────────▶ SENT ───────────────────────────────────────────▶ CALLER
//!                    │  ▲ another waker, or none                          ▲
//!         a waker is ▼  │                                                 │
//!                   AWAITED ── the run has ended ──▶ ENDING ── has the waker ──┘
//!
//!   SENT, ENDING ── the caller's side is gone ──▶ ORPHANED: who ends the run drops what came of it
//! ```
//!
//! # The race
//!
//! Both ways, of a waker that is registered against the run's end. *If the registration comes first*, `end` finds `AWAITED`,
//! has the waker and wakes. *If `end` comes first*, the registration fails, and the caller looks again and finds its result. In `ENDING` a
//! caller with the waker that is in the cell is about to be woken; one with another wakes itself, and looks again.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `is_callers` | Acquire | `end` | the caller reads a half-written result (P4) |
//! | `end`, nobody awaits | Release | `is_callers` | the other half of the same |
//! | `end`, the waker was taken | Release | `is_callers` | the same, and the next waker is written over the one that is still read |
//! | `await_end`, a waker is in the cell | Release | `end`, awaited | the target reads half a waker (P11) |
//! | `end`, awaited | Acquire | `await_end` | the other half of the same |
//! | the waker is taken back; the caller's side is gone | Relaxed | – | –: publishes nothing; what the last count sees is the count's business |
//!
//! Who has a static slot: `lock.rs`.

mod awaited;
mod call;
mod calls;
mod error;
#[cfg(feature = "alloc")]
mod home;
#[cfg(feature = "alloc")]
mod many;
mod pending;
mod slot;

pub use self::call::AsyncCall;
pub use self::error::AsyncCallError;
#[cfg(feature = "alloc")]
pub use self::many::PendingMany;
pub use self::pending::PendingCall;
pub use self::slot::AwaitedSlot;
