//! A call object that carries a value there, and one back: a field of its owner, or one with a function of its own.
//!
//! # States
//!
//! ```text
//!          send                  the run has ended               try_take
//!   EMPTY ─────▶ SENT ─────────────────────────▶ ANSWERED ───────▶ TAKING ──▶ EMPTY
//!     ▲           │ ├── it has panicked ───────▶ PANICKED ───────▶
//!     └─ refused ─┘ └── it was cancelled ──────▶ RETURNED ───────▶
//! ```
//!
//! # Invariants
//!
//! - **I23** The content is its own who made the last step of `stage`: of the sender, from EMPTY to SENT, until its post; then
//!   of the target, until it has stored how it ended; then of nobody, until somebody takes it. It is a value in SENT (until the
//!   function was given it) and RETURNED, a result in ANSWERED, and nothing else.
//! - The csd is free whenever the message is EMPTY: its target lets go of it before the stage leaves SENT. So a sender always
//!   wins its claim, and nobody else can have.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `load` | Acquire | `empty` | the value is written over what the last taker still reads (P11) |
//! | the run has ended | Release | `begin_take` | the taker reads a half-written result (P4) |
//! | `begin_take` | Acquire | the run has ended | the other half of the same |
//! | `empty` | Release | `load` | the other half of the first |
//! | `is_sent` | Relaxed | – | –: who acts on it takes |

mod carries;
mod closure;
mod errors;

pub(crate) use self::carries::Loaded;
pub use self::carries::{Carries, HasMessage, MessageOwner};
pub use self::closure::Message;
pub use self::errors::{NotSent, ReceiveError, SendError, TakeError};

use crate::csd::{Cancel, Header, Op};
use crate::sync::{AtomicU32, Ordering, SharedCell, const_unless_loom};
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};

const EMPTY: u32 = 0;
const SENT: u32 = 1;
const ANSWERED: u32 = 2;
const PANICKED: u32 = 3;
const RETURNED: u32 = 4;
const TAKING: u32 = 5;

/// The room for what is in a message.
#[expect(dead_code, reason = "read and written as what it holds")]
union Content<T, R> {
    value: ManuallyDrop<T>,
    result: ManuallyDrop<R>,
}

/// A message to be embedded: room for a value on its way to another CPU, and for the result on its way back. Its function is
/// that of the struct it is a field of ([`MessageOwner`]); [`Message`] is one with a function of its own.
///
/// [`csd_field!`](crate::csd_field) names it, with the types that it carries. A struct with several has a type of one's own for
/// each, its `Tag`. [`Smp::send`](crate::Smp::send) takes the owner, as `&'static Owner` or `&Arc<Owner>`, with a tag as
/// `(owner, Tag)`; [`Smp::receive`](crate::Smp::receive) waits for the result, and [`try_take`](Self::try_take) looks for it.
///
#[cfg_attr(feature = "alloc", doc = "```")]
#[cfg_attr(not(feature = "alloc"), doc = "```ignore")]
/// use smpcall::{Here, MessageField, MessageOwner, Platform, Smp, Storage, csd_field};
/// use std::sync::Arc;
///
/// struct Index { words: Vec<String>, find: MessageField<String, Option<usize>> }
/// csd_field! { impl Index { find(String) -> Option<usize> } }
///
/// impl MessageOwner for Index {
///     fn run(this: &Self, word: String, _: Here<'_>) -> Option<usize> {
///         this.words.iter().position(|at| *at == word)
///     }
/// }
///
/// fn find<P: Platform, S: Storage>(smp: &Smp<P, S>, index: &Arc<Index>) -> Option<usize> {
///     smp.send(1, index, "four".to_string()).ok()?;
///     smp.receive(index).ok()?
/// }
/// # let index = Arc::new(Index { words: vec![], find: MessageField::new() });
/// # assert!(!index.find.is_pending());
/// ```
pub struct MessageField<T, R, Tag = ()> {
    header: Header,
    stage: AtomicU32,
    content: SharedCell<MaybeUninit<Content<T, R>>>,
    tag: PhantomData<fn() -> Tag>,
}

// SAFETY: value and result go from one thread to another (I23).
unsafe impl<T: Send, R: Send, Tag> Sync for MessageField<T, R, Tag> {}
// SAFETY: a message that can be moved is not queued (I5), and goes with what it holds.
unsafe impl<T: Send, R: Send, Tag> Send for MessageField<T, R, Tag> {}

impl<T, R, Tag> MessageField<T, R, Tag> {
    const_unless_loom! {
        /// An empty message.
        pub fn new() -> Self {
            Self {
                header: Header::new(),
                stage: AtomicU32::new(EMPTY),
                content: SharedCell::new(MaybeUninit::uninit()),
                tag: PhantomData,
            }
        }
    }

    /// Takes the result out, and leaves the message empty.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// # Errors
    ///
    /// [`TakeError`]; of a run that was cancelled it hands the value back.
    ///
    /// ```
    /// use smpcall::{Message, TakeError};
    ///
    /// let message = Message::<u32, u32>::new(|value, _| value + 1);
    /// assert_eq!(message.try_take(), Err(TakeError::Empty)); // nothing was sent
    /// ```
    pub fn try_take(&self) -> Result<R, TakeError<T>> {
        let stage = self.begin_take()?;
        // SAFETY: we have made the step to TAKING, so the content is ours, and it is what the stage before says (I23).
        let taken = self.content.with(|content| unsafe {
            match stage {
                ANSWERED => Ok(ManuallyDrop::into_inner(content.cast::<ManuallyDrop<R>>().read())),
                RETURNED => Err(TakeError::Cancelled(ManuallyDrop::into_inner(
                    content.cast::<ManuallyDrop<T>>().read(),
                ))),
                _ => Err(TakeError::Panicked),
            }
        });
        self.empty();
        taken
    }

    /// Takes the run away, if it has not begun. The value comes back by [`try_take`](Self::try_take), once the target has let go
    /// of it, at its next flush. (Nobody else can have relied on that run.)
    ///
    /// Context: any, an NMI included. Progress: lock-free.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::{Budget, Cancel, Message, TakeError};
    /// # let smp = one::machine(one::One);
    /// # let mut cpu = smp.as_ref().online().unwrap();
    /// static LEN: Message<String, usize> = Message::new(|text: String, _| text.len());
    ///
    /// smp.send(0, &LEN, "four".to_string()).unwrap();
    /// assert!(LEN.is_pending());
    /// assert!(matches!(LEN.cancel(), Cancel::Removed { .. }));
    /// let _ = cpu.flush(Budget::DEFAULT); // lets go of it
    /// assert_eq!(LEN.try_take(), Err(TakeError::Cancelled("four".to_string())));
    /// ```
    pub fn cancel(&self) -> Cancel {
        Cancel::of(&self.header)
    }

    /// Returns whether a value is on its way, or its function runs: racy, as any such look.
    ///
    /// Context: any, an NMI included. Progress: wait-free.
    ///
    /// Example: [`MessageField::cancel`](crate::MessageField::cancel).
    pub fn is_pending(&self) -> bool {
        self.is_sent()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn is_sent(&self) -> bool {
        // Relaxed: a look; who acts on it takes.
        self.stage.load(Ordering::Relaxed) == SENT
    }

    /// Sender: moves the value in, if the message is empty. Then it posts it.
    pub(crate) fn load(&self, value: T) -> Result<(), SendError<T>> {
        // Acquire: the last taker has read the content; pairs with `empty`. Failure Relaxed: it is in use.
        match self.stage.compare_exchange(EMPTY, SENT, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {}
            Err(SENT) => return Err(SendError { value, why: NotSent::Pending }),
            Err(_) => return Err(SendError { value, why: NotSent::Unread }),
        }
        // SAFETY: the step to SENT was ours, and nothing is posted yet (I23).
        self.content.with_mut(|content| unsafe { content.cast::<T>().write(value) });
        Ok(())
    }

    /// Sender: the post was refused.
    ///
    /// # Safety
    ///
    /// The caller has loaded the value, and its post was refused.
    pub(crate) unsafe fn unload(&self) -> T {
        // SAFETY: nobody has run it, so the value is there, and ours (I23).
        let value = self.content.with(|content| unsafe { content.cast::<T>().read() });
        self.empty();
        value
    }

    /// Makes the step that gives the caller the content, and returns what the stage was.
    fn begin_take(&self) -> Result<u32, TakeError<T>> {
        // Relaxed: a look; the CAS below decides.
        let mut stage = self.stage.load(Ordering::Relaxed);
        loop {
            match stage {
                EMPTY | TAKING => return Err(TakeError::Empty),
                SENT => return Err(TakeError::Pending),
                _ => {}
            }
            // Acquire: sees the content; pairs with the end of the run. Failure Relaxed: we look at the newer stage.
            match self.stage.compare_exchange(stage, TAKING, Ordering::Acquire, Ordering::Relaxed) {
                Ok(stage) => return Ok(stage),
                Err(now) => stage = now,
            }
        }
    }

    fn empty(&self) {
        // Release: we have read the content; pairs with `load`.
        self.stage.store(EMPTY, Ordering::Release);
    }

    /// Target: runs the function on the value, or leaves that there.
    ///
    /// # Safety
    ///
    /// The message was sent, this is the one call for that, and the csd is free again.
    unsafe fn run(&self, op: Op, function: impl FnOnce(T) -> R) {
        if op.is_refused() {
            return;
        }
        let mut ends = Ends { stage: &self.stage, end: RETURNED };
        if op.is_discard() {
            return;
        }
        ends.end = PANICKED;
        // SAFETY: the value is there, and the target's (I23); it is read once.
        let value = self.content.with(|content| unsafe { content.cast::<T>().read() });
        let result = function(value);
        // SAFETY: as above; there is nothing in it now.
        self.content.with_mut(|content| unsafe { content.cast::<R>().write(result) });
        ends.end = ANSWERED;
    }
}

/// The end of a run, however it ends.
struct Ends<'a> {
    stage: &'a AtomicU32,
    end: u32,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        // Release: publishes the result, or that the value was read; pairs with `begin_take`.
        self.stage.store(self.end, Ordering::Release);
    }
}

impl<T, R, Tag> Drop for MessageField<T, R, Tag> {
    /// Drops what is in it. Nobody else is at it: a queued message is neither dropped nor moved (P11).
    fn drop(&mut self) {
        drop(self.try_take());
    }
}

impl<T, R, Tag> Default for MessageField<T, R, Tag> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, R, Tag> fmt::Debug for MessageField<T, R, Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageField").field("pending", &self.is_pending()).finish()
    }
}
