//! An owner that stays: what is queued holds nothing of it.

use super::here::Here;
use super::pointer::FromStatic;
use super::{CsdOwner, HasCsds};
use crate::csd::{Header, Op, Post, Work, sealed};

impl<O> Post for &'static O
where
    O: CsdOwner + Sync,
    O::Pointer: FromStatic<O>,
{
}

// SAFETY: 1. `'static`. 2. `O: Sync`, and `run_static` turns `arg` back into the reference that it was.
unsafe impl<O> sealed::Sealed for &'static O
where
    O: CsdOwner + Sync,
    O::Pointer: FromStatic<O>,
{
    #[inline(always)]
    fn header(&self) -> &Header {
        O::field(self).header()
    }

    #[inline(always)]
    fn work(&self) -> Work {
        Work { func: run_static::<O, ()>, arg: core::ptr::from_ref::<O>(self).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<O>()
    }
}

impl<O, Tag: Copy + 'static> Post for (&'static O, Tag)
where
    O: HasCsds + CsdOwner<Tag> + Sync,
    O::Pointer: FromStatic<O>,
{
}

// SAFETY: as for `&'static O`.
unsafe impl<O, Tag: Copy + 'static> sealed::Sealed for (&'static O, Tag)
where
    O: HasCsds + CsdOwner<Tag> + Sync,
    O::Pointer: FromStatic<O>,
{
    #[inline(always)]
    fn header(&self) -> &Header {
        O::field(self.0).header()
    }

    #[inline(always)]
    fn work(&self) -> Work {
        Work { func: run_static::<O, Tag>, arg: core::ptr::from_ref::<O>(self.0).cast() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<(O, Tag)>()
    }
}

/// # Safety
///
/// `arg` is a `&'static O`.
unsafe fn run_static<O, Tag>(arg: *const (), op: Op)
where
    O: CsdOwner<Tag>,
    O::Pointer: FromStatic<O>,
{
    if !op.is_discard() {
        // SAFETY: by I6, `arg` was made from a `&'static O`, in `work` above.
        let owner = unsafe { &*arg.cast::<O>() };
        let here = Here::of(op);
        O::run(O::Pointer::from_static(owner, here), here);
    }
}
