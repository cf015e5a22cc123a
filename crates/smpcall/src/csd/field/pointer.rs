//! By what a function is given its owner.

use super::here::Here;

/// By what a function is given the owner of its csd: `&'static Owner`, `Arc<Owner>`, or [`Lent`]. Sealed.
#[diagnostic::on_unimplemented(
    message = "a function cannot be given its owner as `{Self}`",
    note = "`CsdOwner::Pointer` is `&'static Self`, `Arc<Self>` (feature `alloc`), or `Lent` for a function that takes `&Self`"
)]
pub trait OwnerPointer<O: 'static>: sealed::Sealed {
    /// What the function's parameter is, in one run.
    type In<'run>;
}

/// Of functions that borrow their owner for as long as they run, as `&Self`: it can be posted in any way.
///
/// ```
/// use smpcall::{CsdField, CsdOwner, Here, Lent, csd_field};
///
/// struct Task { csd: CsdField }
/// csd_field! { impl Task { csd } }
/// impl CsdOwner for Task {
///     type Pointer = Lent;
///     fn run(this: &Self, here: Here<'_>) { println!("{this:p} on CPU {}", here.cpu()); }
/// }
/// # assert!(!Task { csd: CsdField::new() }.csd.is_pending());
/// ```
#[derive(Debug)]
pub enum Lent {}

/// Pointers that can be had of an owner that is posted as `&'static`. Sealed.
#[diagnostic::on_unimplemented(
    message = "this function wants its owner as `{Self}`, and it is posted as a `&'static` reference",
    note = "post it as what the function takes (`&Arc<_>` for an `Arc<Self>`), or let the function borrow it: \
            `type Pointer = Lent`"
)]
pub trait FromStatic<O: 'static>: OwnerPointer<O> {
    /// The function's parameter.
    #[doc(hidden)]
    fn from_static<'run>(owner: &'static O, here: Here<'run>) -> Self::In<'run>;
}

impl<O: 'static> OwnerPointer<O> for &'static O {
    type In<'run> = &'static O;
}

impl<O: 'static> FromStatic<O> for &'static O {
    #[inline(always)]
    fn from_static(owner: &'static O, _here: Here<'_>) -> &'static O {
        owner
    }
}

impl<O: 'static> OwnerPointer<O> for Lent {
    type In<'run> = &'run O;
}

impl<O: 'static> FromStatic<O> for Lent {
    #[inline(always)]
    fn from_static<'run>(owner: &'static O, _here: Here<'run>) -> &'run O {
        owner
    }
}

pub(super) mod sealed {
    pub trait Sealed {}
    impl<O: 'static> Sealed for &'static O {}
    impl Sealed for super::Lent {}
    #[cfg(feature = "alloc")]
    impl<O> Sealed for alloc::sync::Arc<O> {}
}
