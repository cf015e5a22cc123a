//! Who awaits a call's end, and whether it has come: one word and a waker. Its states and orderings are in the module above.

use crate::sync::{AtomicU32, Ordering, SharedCell, const_unless_loom};
use core::mem::MaybeUninit;
use core::task::Waker;

const CALLER: u32 = 0;
const SENT: u32 = 1;
const AWAITED: u32 = 2;
const ENDING: u32 = 3;
const ORPHANED: u32 = 4;

/// What the end of a run came to.
#[must_use]
#[derive(Debug)]
pub(super) enum End {
    /// The content is the caller's again, who is to be woken if it awaits.
    Callers(Option<Waker>),
    /// There is no caller any more: the content is the run's to drop.
    Orphaned,
}

/// The word, and the cell.
pub(super) struct Awaited {
    word: AtomicU32,
    waker: SharedCell<MaybeUninit<Waker>>,
}

impl Awaited {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self { word: AtomicU32::new(CALLER), waker: SharedCell::new(MaybeUninit::uninit()) }
        }
    }

    /// Returns whether the run has ended, or there is none: the content is the caller's.
    pub(super) fn is_callers(&self) -> bool {
        self.look() == CALLER
    }

    fn look(&self) -> u32 {
        // Acquire: who finds CALLER sees what the run has left, and that the waker was read; pairs with `end`.
        self.word.load(Ordering::Acquire)
    }

    /// Caller: the csd is about to be posted.
    pub(super) fn send(&self) {
        // Relaxed: the word is the caller's alone, and the push publishes it.
        self.word.store(SENT, Ordering::Relaxed);
    }

    /// Caller: the post was refused.
    pub(super) fn refused(&self) {
        // Relaxed: nobody else has seen it.
        self.word.store(CALLER, Ordering::Relaxed);
    }

    /// Caller: returns whether the run has ended. If not, `waker` is woken when it has, and none that was given before.
    pub(super) fn await_end(&self, waker: &Waker) -> bool {
        // Dropped at the end, when all is in order: that is code of the user's.
        let mut _replaced = None;
        loop {
            match self.look() {
                CALLER => return true,
                SENT if self.register(waker) => return false,
                // SAFETY: a waker was put into the cell, by this side, and nobody writes it (I31).
                AWAITED | ENDING if unsafe { self.has(waker) } => return false,
                AWAITED => _replaced = self.take_back(),
                ENDING => {
                    // The target has the other one, and gives the content back in a moment.
                    waker.wake_by_ref();
                    return false;
                }
                now => debug_assert_eq!(now, SENT, "the caller is here"),
            }
        }
    }

    /// Puts a waker into the empty cell; `false` if the run has ended meanwhile.
    fn register(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        // SAFETY: in SENT the cell is the caller's, and empty (I31).
        self.waker.with_mut(|cell| unsafe { (*cell).write(waker) });
        // Release: publishes the waker to the run's end. Failure Relaxed: it has ended, and we look again.
        if self.word.compare_exchange(SENT, AWAITED, Ordering::Release, Ordering::Relaxed).is_ok() {
            return true;
        }
        // SAFETY: the run's end found no waker, and the cell is the caller's (I31).
        drop(unsafe { self.take() });
        false
    }

    /// Caller: nobody is to be woken any more. Gives back the waker, to be dropped.
    pub(super) fn take_back(&self) -> Option<Waker> {
        // Relaxed: publishes nothing, and the waker is this side's own. Failure Relaxed: there is none, or the target has it.
        let taken = self.word.compare_exchange(AWAITED, SENT, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // SAFETY: in SENT the cell is the caller's; the waker in it was registered, and is read once.
        taken.then(|| unsafe { self.take() })
    }

    /// Caller, of a slot that its queue holds by itself: goes away. `false` if the run has ended, and the content is the caller's.
    #[cfg(feature = "alloc")]
    pub(super) fn orphan(&self) -> bool {
        // Relaxed: a look; the CAS below decides.
        let mut now = self.word.load(Ordering::Relaxed);
        while now != CALLER {
            // Relaxed: publishes nothing; the slot's count orders what its last owner sees. Failure Relaxed: we look again.
            match self.word.compare_exchange(now, ORPHANED, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(newer) => now = newer,
            }
        }
        false
    }

    /// Target: the run has ended, or does not happen; the content is whole. The slot is not to be touched any more if it is
    /// the caller's (I31).
    pub(super) fn end(&self) -> End {
        loop {
            // Relaxed: a look; each step below decides by itself.
            match self.word.load(Ordering::Relaxed) {
                SENT => {
                    // Release: publishes what the run has left; pairs with `is_callers`. Failure Relaxed: we look again.
                    if self.word.compare_exchange(SENT, CALLER, Ordering::Release, Ordering::Relaxed).is_ok()
                    {
                        return End::Callers(None);
                    }
                }
                AWAITED => {
                    // Acquire: sees the waker; pairs with `register`. Failure Relaxed: we look again.
                    if self
                        .word
                        .compare_exchange(AWAITED, ENDING, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                    {
                        return self.end_awaited();
                    }
                }
                now => {
                    debug_assert_eq!(now, ORPHANED, "it was sent, and ends once");
                    return End::Orphaned;
                }
            }
        }
    }

    fn end_awaited(&self) -> End {
        // SAFETY: in ENDING the waker is there, and the target's to read, once (I31).
        let waker = unsafe { self.take() };
        // Release: publishes what the run has left, and that the waker was read; pairs with `is_callers`. A swap, since the caller's
        // side may go meanwhile; the half that reads is Relaxed: who is an orphan reads nothing of the caller's.
        if self.word.swap(CALLER, Ordering::Release) == ORPHANED {
            return End::Orphaned;
        }
        End::Callers(Some(waker))
    }

    /// Whether that waker is the one in the cell, which may be old: taken, woken and freed. If its memory is the new one's, whoever made
    /// the new one sees what was done before the old one was freed, the end's CALLER included, and does not come here.
    ///
    /// # Safety
    ///
    /// A waker was put into the cell, and nobody writes it meanwhile.
    unsafe fn has(&self, waker: &Waker) -> bool {
        // SAFETY: the caller's promise. The target may own that waker by now; it is only compared.
        self.waker.with(|cell| unsafe { (*cell).assume_init_ref().will_wake(waker) })
    }

    /// # Safety
    ///
    /// A waker is in the cell, the caller's to take, and it is taken once.
    unsafe fn take(&self) -> Waker {
        // SAFETY: the caller's promise.
        self.waker.with(|cell| unsafe { (*cell).assume_init_read() })
    }
}
