//! Owners that lie on a stack, or anywhere else where they are pinned: their drop takes the pending run away, and waits until
//! nobody is at them any more.
//!
//! # Invariants
//!
//! - **I21** `runs` of a [`Pinned`] is how many claims of its csd were won whose function has not been called, or has not
//!   ended. What was pinned stays where it is until its drop, and the drop does not end before `runs` is 0. So a queued header
//!   stays alive and in place (I5), and so does what a run borrows. Who forgets a pinned value leaks its memory: that is what
//!   being pinned promises.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | a claim was won | Relaxed | – | –: whoever drops has every post behind it, since a post borrows what is dropped |
//! | a run has ended | Release | the drop | the memory is given back while the run still reads it (P11) |
//! | the drop | Acquire | a run has ended | the other half of the same |

use super::Smp;
use super::context::NoUnwind;
use crate::csd::field::{CsdOwner, HasCsd, Here, Lent};
use crate::csd::{Cancel, Header, Op, Post, Work, sealed};
use crate::percpu::Storage;
use crate::platform::{Platform, demand_shared_stacks};
use crate::sync::{AtomicUsize, Ordering};
use core::fmt;
use core::marker::{PhantomData, PhantomPinned};
use core::ops::Deref;
use core::pin::Pin;

/// An owner that can be posted wherever it is pinned, most often on the caller's stack, and whose drop takes a pending run
/// away and waits for one that is under way. Made by [`Smp::pinned`].
///
/// It is posted as `Pin<&Pinned<…>>`, to the machine that it was made by; its function borrows it ([`Lent`]). The owner borrows
/// nothing itself: one that is forgotten stays queued.
///
/// # Panics
///
/// The drop panics, and that aborts, if a run is pending or under way and the caller may not wait (P10): in call context, in an
/// interrupt, or with interrupts off. Cancel and [`wait`](Smp::wait) before.
///
/// ```
/// use core::pin::pin;
/// use core::sync::atomic::{AtomicU32, Ordering};
/// use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, PostError, Smp, Storage, WaitError, csd_field};
///
/// struct Visit { csd: CsdField, on: AtomicU32 }
/// csd_field! { impl Visit { csd } }
/// impl CsdOwner for Visit {
///     type Pointer = Lent;
///     fn run(this: &Self, here: Here<'_>) { this.on.store(here.cpu(), Ordering::Relaxed); }
/// }
///
/// fn visit<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u32, PostError> {
///     let visit = pin!(smp.pinned(Visit { csd: CsdField::new(), on: AtomicU32::new(u32::MAX) }));
///     smp.post(1, visit.as_ref())?;
///     // Whether this waits or gives up: the run is over, or taken away, when `visit` is gone.
///     let _ = smp.wait(visit.as_ref());
///     Ok(visit.on.load(Ordering::Relaxed))
/// }
/// ```
pub struct Pinned<'m, P: Platform, S: Storage, O: HasCsd<Tag>, Tag: 'static = ()> {
    smp: &'m Smp<P, S>,
    runs: AtomicUsize,
    owner: O,
    tag: PhantomData<fn() -> Tag>,
    _pinned: PhantomPinned,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Makes an owner that can be posted where it is pinned, by its csd with the tag `Tag`: `pin!(smp.pinned(owner))`.
    ///
    /// Example: [`Pinned`].
    pub fn pinned<O: HasCsd<Tag>, Tag: 'static>(&self, owner: O) -> Pinned<'_, P, S, O, Tag> {
        const { demand_shared_stacks::<P>() };
        Pinned { smp: self, runs: AtomicUsize::new(0), owner, tag: PhantomData, _pinned: PhantomPinned }
    }
}

impl<P: Platform, S: Storage, O: HasCsd<Tag>, Tag: 'static> Pinned<'_, P, S, O, Tag> {
    /// The long way of the drop.
    #[cold]
    fn release(&self) {
        let header = O::field(&self.owner).header();
        let guard = NoUnwind;
        // Whoever was told Busy on the strength of it has borrowed what is dropped now, and is done.
        let _ = Cancel::of(header);
        if let Some(cpu) = header.state.expedite() {
            self.smp.notify_for_lazy(cpu);
        }
        let waited = self.smp.await_until(header, core::any::type_name::<O>(), None, || self.is_left());
        assert!(waited.is_ok(), "a pinned csd is dropped where a wait for its run could deadlock");
        core::mem::forget(guard);
    }

    fn is_left(&self) -> bool {
        // Acquire: the runs have ended, and nobody reads the owner any more; pairs with `Ends`.
        self.runs.load(Ordering::Acquire) == 0
    }
}

impl<P: Platform, S: Storage, O: HasCsd<Tag>, Tag: 'static> Drop for Pinned<'_, P, S, O, Tag> {
    fn drop(&mut self) {
        if !self.is_left() {
            self.release();
        }
        #[cfg(loom)]
        self.runs.leave();
    }
}

impl<P: Platform, S: Storage, O: HasCsd<Tag>, Tag: 'static> Deref for Pinned<'_, P, S, O, Tag> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.owner
    }
}

impl<P: Platform, S: Storage, O: HasCsd<Tag> + fmt::Debug, Tag: 'static> fmt::Debug
    for Pinned<'_, P, S, O, Tag>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pinned").field(&self.owner).finish()
    }
}

impl<P: Platform, S: Storage, O, Tag: 'static> Post for Pin<&Pinned<'_, P, S, O, Tag>> where
    O: CsdOwner<Tag, Pointer = Lent> + Sync
{
}

// SAFETY: 1. By I21. 2. `O: Sync`, and `run_pinned` turns `arg` back into the reference that it was.
unsafe impl<P: Platform, S: Storage, O, Tag: 'static> sealed::Sealed for Pin<&Pinned<'_, P, S, O, Tag>>
where
    O: CsdOwner<Tag, Pointer = Lent> + Sync,
{
    fn header(&self) -> &Header {
        O::field(&self.owner).header()
    }

    fn work(&self) -> Work {
        // Relaxed: the drop has this post behind it (I21).
        self.runs.fetch_add(1, Ordering::Relaxed);
        let pinned: &Pinned<'_, P, S, O, Tag> = self.get_ref();
        Work { func: run_pinned::<P, S, O, Tag>, arg: core::ptr::from_ref(pinned).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<O>()
    }
}

/// A run of a pinned owner, or one that does not happen, ends: also when the function panics.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        // Release: the run's last look at the owner is before it; pairs with `is_left`. The memory may be gone at once.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// # Safety
///
/// `arg` is a `Pinned` of these types, and this is the one call for a claim that `work` has counted.
unsafe fn run_pinned<P: Platform, S: Storage, O, Tag: 'static>(arg: *const (), op: Op)
where
    O: CsdOwner<Tag, Pointer = Lent>,
{
    let at = arg.cast::<Pinned<'_, P, S, O, Tag>>();
    // SAFETY: by I21 it is there until the count goes down.
    let (runs, owner) = unsafe { (&(*at).runs, &(*at).owner) };
    let _ends = Ends(runs);
    if !op.is_discard() {
        O::run(owner, Here::of(op));
    }
}
