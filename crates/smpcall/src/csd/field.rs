//! A csd that is a field of the user's own struct, and whose function is given that struct.
//!
//! What is queued is the header, which is all that the field has. What its function gets is the pointer by which the owner was
//! posted, whole: it travels as the header's `arg`, so that nothing has to be worked out from the field's address.
//!
//! | posted as | what the queue holds (I5) | what the function may take |
//! |---|---|---|
//! | `&'static Owner` | nothing: it stays | `&'static Owner`, or [`Lent`] |
//! | `&Arc<Owner>` | a count, which the function is given | `Arc<Owner>`, or [`Lent`] |
//! | `Pin<&Pinned<Owner>>` | a note in the [`Pinned`](crate::Pinned), whose drop waits for it | [`Lent`] |
//!
//! # Invariants
//!
//! - **I24** A [`CsdField`] with the tag `Tag` that is posted is the one field of that type which [`csd_field!`](crate::csd_field)
//!   named of its owner. So all claims of a header are of one owner and one function, and Busy promises the run that was
//!   asked for (P2).

mod here;
mod lasting;
mod pointer;
#[cfg(feature = "alloc")]
mod shared;

pub use self::here::Here;
pub use self::pointer::{FromStatic, Lent, OwnerPointer};
#[cfg(feature = "alloc")]
pub use self::shared::FromArc;

use super::{Cancel, Header, sealed};
use crate::sync::const_unless_loom;
use core::fmt;
use core::marker::PhantomData;

/// A csd to be embedded: 32 bytes, whose function is that of the struct it is a field of ([`CsdOwner`]).
///
/// The field is named to the library by [`csd_field!`](crate::csd_field), which checks that it is there. A struct with
/// several has a type of one's own for each, its `Tag`.
///
/// ```
/// use core::sync::atomic::{AtomicUsize, Ordering};
/// use smpcall::{CsdField, CsdOwner, Here, Platform, PostError, Smp, Storage, csd_field};
///
/// struct Request {
///     csd: CsdField,
///     bytes: AtomicUsize,
/// }
///
/// csd_field! { impl Request { csd } }
///
/// impl CsdOwner for Request {
///     type Pointer = &'static Self;
///     fn run(this: &'static Self, here: Here<'_>) {
///         println!("{} bytes on CPU {}", this.bytes.load(Ordering::Relaxed), here.cpu());
///     }
/// }
///
/// static REQUEST: Request = Request { csd: CsdField::new(), bytes: AtomicUsize::new(0) };
///
/// fn send<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), PostError> {
///     REQUEST.bytes.store(512, Ordering::Relaxed);
///     // Queued, or busy: a run is to come that sees the 512.
///     smp.post(1, &REQUEST)?;
///     Ok(())
/// }
/// # assert!(!REQUEST.csd.is_pending());
/// ```
///
/// Two in one struct, each with its own function, posted as the owner and the tag:
///
#[cfg_attr(feature = "alloc", doc = "```")]
#[cfg_attr(not(feature = "alloc"), doc = "```ignore")]
/// use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, PostError, Smp, Storage, csd_field};
/// use std::sync::Arc;
///
/// #[derive(Clone, Copy)]
/// struct Read;
/// #[derive(Clone, Copy)]
/// struct Close;
///
/// struct Connection { read: CsdField<Read>, close: CsdField<Close> }
///
/// csd_field! { impl Connection { read: Read, close: Close } }
///
/// impl CsdOwner<Read> for Connection {
///     type Pointer = Lent;
///     fn run(this: &Self, _: Here<'_>) { assert!(!this.read.is_pending()); }
/// }
/// impl CsdOwner<Close> for Connection {
///     type Pointer = Arc<Self>;
///     fn run(this: Arc<Self>, _: Here<'_>) { drop(this); }
/// }
///
/// fn send<P: Platform, S: Storage>(smp: &Smp<P, S>, it: &Arc<Connection>) -> Result<(), PostError> {
///     smp.post(1, (it, Read))?;
///     smp.post(1, (it, Close))?;
///     Ok(())
/// }
/// ```
#[cfg_attr(target_pointer_width = "64", repr(C, align(32)))]
#[cfg_attr(not(target_pointer_width = "64"), repr(C, align(16)))]
pub struct CsdField<Tag = ()> {
    header: Header,
    tag: PhantomData<fn() -> Tag>,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<CsdField>() == 32, "an embedded csd is its header and nothing else");

// SAFETY: the header's cells are reached by one side at a time (I2), its atomics by anyone.
unsafe impl<Tag> Sync for CsdField<Tag> {}
// SAFETY: a csd that can be moved is not queued (I5), and then the header's pointers are dead values.
unsafe impl<Tag> Send for CsdField<Tag> {}

impl<Tag> CsdField<Tag> {
    const_unless_loom! {
        /// A csd that was never posted.
        pub fn new() -> Self {
            Self { header: Header::new(), tag: PhantomData }
        }
    }

    /// Returns whether a run is still to begin, as [`Csd::is_pending`](crate::Csd::is_pending) does.
    ///
    /// Context: any, an NMI included. Progress: wait-free.
    pub fn is_pending(&self) -> bool {
        self.header.state.look_racy().is_pending()
    }

    /// Takes the pending run away, if it has not begun, as [`Csd::cancel`](crate::Csd::cancel) does. What the queue holds of
    /// the owner is given back at the target's next flush.
    ///
    /// Context: any, an NMI included. Progress: lock-free.
    ///
    /// ```
    /// use smpcall::{Cancel, CsdField};
    ///
    /// struct Timer { expire: CsdField }
    ///
    /// fn stop(timer: &Timer) -> bool {
    ///     matches!(timer.expire.cancel(), Cancel::Removed { .. })
    /// }
    /// # assert!(!stop(&Timer { expire: CsdField::new() }), "it was not posted");
    /// ```
    pub fn cancel(&self) -> Cancel {
        Cancel::of(&self.header)
    }

    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

impl<Tag> Default for CsdField<Tag> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Tag> fmt::Debug for CsdField<Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsdField").field("pending", &self.is_pending()).finish()
    }
}

/// A struct whose csds [`csd_field!`](crate::csd_field) has named: all of them at once, so that a pointer to it is never taken
/// for a struct itself.
#[doc(hidden)]
pub trait HasCsds {}

/// A struct with a csd in it. Implemented by [`csd_field!`](crate::csd_field).
///
/// # Safety
///
/// `field` returns the field of `this` itself that is of the type `CsdField<Tag>`, the same each time, and does not unwind.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no csd of the tag `{Tag}`",
    label = "no `CsdField<{Tag}>` of it is known",
    note = "give it a field `csd: CsdField<{Tag}>`, and name that: `csd_field! {{ impl {Self} {{ csd: {Tag} }} }}`"
)]
pub unsafe trait HasCsd<Tag = ()>: Sized + 'static {
    /// The field.
    #[doc(hidden)]
    fn field(this: &Self) -> &CsdField<Tag>;
}

/// What the csd of a struct runs.
///
/// The function is called once for each post that was queued, in call context, with the pointer by which the owner was posted.
/// Its csd is free again before it starts (P5), so that it may post its owner again, and may run on two CPUs at once.
/// [`CsdField`] has examples.
#[diagnostic::on_unimplemented(
    message = "the csd of `{Self}` with the tag `{Tag}` has no function",
    label = "cannot be posted",
    note = "say what is to run: `impl CsdOwner<{Tag}> for {Self}`; a csd with another tag is posted as `(owner, Tag)`"
)]
pub trait CsdOwner<Tag = ()>: HasCsd<Tag> {
    /// By what the function is given its owner, which says how it may be posted: `&'static Self`, `Arc<Self>` (feature
    /// `alloc`: the count is the function's to keep), or [`Lent`] for `&Self`, which any owner can be posted for.
    type Pointer: OwnerPointer<Self>;

    /// Runs on the CPU that the owner was posted to, in call context. A panic goes to
    /// [`Reporting::caught`](crate::Reporting::caught).
    fn run<'run>(this: <Self::Pointer as OwnerPointer<Self>>::In<'run>, here: Here<'run>);
}

/// Names the csds of a struct: which field it is, and with several, by which tag it is posted; of a
/// [`MessageField`](crate::MessageField) also what it carries there and back. That the field is there, is the struct's own, and
/// has the type `CsdField<Tag>` or `MessageField<Value, Answer, Tag>`, is checked when it is compiled. No `unsafe` is asked for.
///
/// ```
/// use smpcall::{CsdField, MessageField, csd_field};
///
/// struct Task { csd: CsdField }
/// csd_field! { impl Task { csd } }
///
/// struct Start;
/// struct Stop;
/// struct Shard<T> { start: CsdField<Start>, stop: CsdField<Stop>, value: T }
/// csd_field! { impl{T: Send + 'static} Shard<T> { start: Start, stop: Stop } }
///
/// struct Index { words: Vec<String>, csd: CsdField, at: MessageField<usize, String>, find: MessageField<String, bool, Start> }
/// csd_field! { impl Index { csd, at(usize) -> String, find(String) -> bool: Start } }
/// # let shard = Shard { start: CsdField::new(), stop: CsdField::new(), value: 1 };
/// # assert!(!shard.start.is_pending() && !shard.stop.is_pending() && shard.value == 1);
/// ```
#[macro_export]
macro_rules! csd_field {
    (impl $({ $($generics:tt)* })? $Owner:ty { $($fields:tt)* }) => {
        impl<$($($generics)*)?> $crate::HasCsds for $Owner {}
        $crate::csd_field! { @each [$($($generics)*)?] [$Owner] $($fields)* }
    };
    (@each $generics:tt $owner:tt $field:ident : $Tag:ty $(, $($rest:tt)*)?) => {
        $crate::csd_field! { @one $generics $owner $field $Tag }
        $crate::csd_field! { @each $generics $owner $($($rest)*)? }
    };
    (@each $generics:tt $owner:tt $field:ident $(, $($rest:tt)*)?) => {
        $crate::csd_field! { @one $generics $owner $field () }
        $crate::csd_field! { @each $generics $owner $($($rest)*)? }
    };
    (@each $generics:tt $owner:tt $field:ident ($Value:ty) -> $Answer:ty : $Tag:ty $(, $($rest:tt)*)?) => {
        $crate::csd_field! { @message $generics $owner $field $Value, $Answer, $Tag }
        $crate::csd_field! { @each $generics $owner $($($rest)*)? }
    };
    (@each $generics:tt $owner:tt $field:ident ($Value:ty) -> $Answer:ty $(, $($rest:tt)*)?) => {
        $crate::csd_field! { @message $generics $owner $field $Value, $Answer, () }
        $crate::csd_field! { @each $generics $owner $($($rest)*)? }
    };
    (@each $generics:tt $owner:tt) => {};
    (@one [$($generics:tt)*] [$Owner:ty] $field:ident $Tag:ty) => {
        // SAFETY: the pattern names a field of the struct itself, and `demand` takes nothing but a `CsdField<Tag>`.
        unsafe impl<$($generics)*> $crate::HasCsd<$Tag> for $Owner {
            #[inline(always)]
            fn field(this: &Self) -> &$crate::CsdField<$Tag> {
                let Self { $field, .. } = this;
                $crate::__demand_csd_field::<$Tag, _>($field)
            }
        }
    };
    (@message [$($generics:tt)*] [$Owner:ty] $field:ident $Value:ty, $Answer:ty, $Tag:ty) => {
        // SAFETY: the pattern names a field of the struct itself, of the type that is given back.
        unsafe impl<$($generics)*> $crate::HasMessage<$Tag> for $Owner {
            type Value = $Value;
            type Answer = $Answer;

            #[inline(always)]
            fn message(this: &Self) -> &$crate::MessageField<$Value, $Answer, $Tag> {
                let Self { $field, .. } = this;
                $field
            }
        }
    };
}

/// What [`csd_field!`](crate::csd_field) asks of the field that it names.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this field is no csd of the tag `{Tag}`, but a `{Self}`",
    label = "must be of the type `CsdField<{Tag}>`",
    note = "a tag is written behind the field's name: `csd_field! {{ impl Owner {{ field: Tag }} }}`, for a field of the type \
            `CsdField<Tag>`; without one it is `CsdField`; a `MessageField<Value, Answer>` is named as `field(Value) -> Answer`"
)]
pub trait IsCsdField<Tag>: sealed::Field {
    fn itself(&self) -> &CsdField<Tag>;
}

impl<Tag> sealed::Field for CsdField<Tag> {}
impl<Tag> IsCsdField<Tag> for CsdField<Tag> {
    #[inline(always)]
    fn itself(&self) -> &Self {
        self
    }
}

#[doc(hidden)]
#[inline(always)]
pub fn demand<Tag, F: IsCsdField<Tag>>(field: &F) -> &CsdField<Tag> {
    field.itself()
}
