//! An owner behind an `Arc`: the queue holds a count, and gives it to the function.

use super::here::Here;
use super::pointer::{Lent, OwnerPointer};
use super::{CsdOwner, HasCsds};
use crate::csd::{Header, Op, Post, Work, sealed};
use alloc::sync::Arc;

/// Pointers that can be had of an owner that is posted as `&Arc`. Sealed.
#[diagnostic::on_unimplemented(
    message = "this function wants its owner as `{Self}`, and it is posted as an `&Arc`",
    note = "take it as `Arc<Self>`, which may be kept, or let the function borrow it: `type Pointer = Lent`"
)]
pub trait FromArc<O: 'static>: OwnerPointer<O> {
    /// The function's parameter; what is left in `count` is given back after the run.
    #[doc(hidden)]
    fn from_arc<'run>(count: &'run mut Count<O>) -> Self::In<'run>;
}

/// The count that a run was given.
#[doc(hidden)]
#[derive(Debug)]
pub struct Count<O>(Option<Arc<O>>);

impl<O: 'static> OwnerPointer<O> for Arc<O> {
    type In<'run> = Self;
}

impl<O: 'static> FromArc<O> for Arc<O> {
    #[inline(always)]
    fn from_arc(count: &mut Count<O>) -> Self {
        count.0.take().expect("it is asked for once")
    }
}

impl<O: 'static> FromArc<O> for Lent {
    #[inline(always)]
    fn from_arc(count: &mut Count<O>) -> &O {
        count.0.as_ref().expect("it is there until the run has ended")
    }
}

impl<O> Post for &Arc<O>
where
    O: CsdOwner + Send + Sync,
    O::Pointer: FromArc<O>,
{
}

// SAFETY: 1. `work` takes a count, which `run_arc` gives to the function, or back when that has returned. 2. `O: Send +
// Sync`, and `run_arc` turns `arg` back into the `Arc` that it was.
unsafe impl<O> sealed::Sealed for &Arc<O>
where
    O: CsdOwner + Send + Sync,
    O::Pointer: FromArc<O>,
{
    #[inline(always)]
    fn header(&self) -> &Header {
        O::field(self).header()
    }

    #[inline(always)]
    fn work(&self) -> Work {
        Work { func: run_arc::<O, ()>, arg: Arc::into_raw(Arc::clone(*self)).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<O>()
    }
}

impl<O, Tag: Copy + 'static> Post for (&Arc<O>, Tag)
where
    O: HasCsds + CsdOwner<Tag> + Send + Sync,
    O::Pointer: FromArc<O>,
{
}

// SAFETY: as for `&Arc<O>`.
unsafe impl<O, Tag: Copy + 'static> sealed::Sealed for (&Arc<O>, Tag)
where
    O: HasCsds + CsdOwner<Tag> + Send + Sync,
    O::Pointer: FromArc<O>,
{
    #[inline(always)]
    fn header(&self) -> &Header {
        O::field(self.0).header()
    }

    #[inline(always)]
    fn work(&self) -> Work {
        Work { func: run_arc::<O, Tag>, arg: Arc::into_raw(Arc::clone(self.0)).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<(O, Tag)>()
    }
}

/// # Safety
///
/// `arg` came from `Arc::into_raw` of an `Arc<O>`, and this is the one call for that count.
unsafe fn run_arc<O, Tag>(arg: *const (), op: Op)
where
    O: CsdOwner<Tag>,
    O::Pointer: FromArc<O>,
{
    // SAFETY: by I6. What the function does not take is dropped at the end, also when it panics.
    let mut count = Count(Some(unsafe { Arc::from_raw(arg.cast::<O>()) }));
    if !op.is_discard() {
        O::run(O::Pointer::from_arc(&mut count), Here::of(op));
    }
}
