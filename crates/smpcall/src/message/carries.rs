//! By what a message is sent: its owner, as it is posted.

use self::sealed_message::Holds;
use super::MessageField;
use crate::csd::field::{HasCsds, Here};
use crate::csd::{Header, Op, Post, Work, sealed};

/// A struct with a message in it. Implemented by [`csd_field!`](crate::csd_field).
///
/// # Safety
///
/// `message` returns the field of `this` itself that is of that type, the same each time, and does not unwind.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no message of the tag `{Tag}`",
    label = "no `MessageField<_, _, {Tag}>` of it is known",
    note = "give it a field `ask: MessageField<Value, Answer, {Tag}>`, and name that: \
            `csd_field! {{ impl {Self} {{ ask(Value) -> Answer: {Tag} }} }}`"
)]
pub unsafe trait HasMessage<Tag = ()>: Sized + 'static {
    /// What it carries there.
    type Value: Send + 'static;
    /// What it carries back.
    type Answer: Send + 'static;

    /// The field.
    #[doc(hidden)]
    fn message(this: &Self) -> &MessageField<Self::Value, Self::Answer, Tag>;
}

/// What the message of a struct runs.
///
/// The function is called once for each value that was sent, in call context. It borrows its owner: the result is put there when
/// it has returned. [`MessageField`] has an example.
#[diagnostic::on_unimplemented(
    message = "the message of `{Self}` with the tag `{Tag}` has no function",
    label = "cannot be sent",
    note = "say what is to run: `impl MessageOwner<{Tag}> for {Self}`; a message with another tag is sent as `(owner, Tag)`"
)]
/// Example: [`MessageField`].
pub trait MessageOwner<Tag = ()>: HasMessage<Tag> {
    /// Runs on the CPU that the message was sent to, in call context. A panic goes to
    /// [`Reporting::caught`](crate::Reporting::caught), and who takes the result is told.
    fn run(this: &Self, value: Self::Value, here: Here<'_>) -> Self::Answer;
}

/// By what a message is sent: `&'static Message`, or `&Arc<Message>` with the feature `alloc`; and the owner of a
/// [`MessageField`] as `&'static Owner`, or `&Arc<Owner>`; with several messages in it, as `(owner, Tag)`. Sealed.
pub trait Carries: Copy + sealed_message::Sealed {
    /// What it carries there.
    type Value;
    /// What it carries back.
    type Answer;
    /// The field's.
    #[doc(hidden)]
    type Tag;

    #[doc(hidden)]
    fn message(&self) -> &MessageField<Self::Value, Self::Answer, Self::Tag>;
}

pub(crate) mod sealed_message {
    use super::Work;

    /// # Safety
    ///
    /// The message stays alive and in place from a won claim until `work`'s function was called for it.
    #[allow(private_interfaces, unnameable_types, reason = "sealed")]
    pub unsafe trait Sealed {
        fn work(&self) -> Work;
        /// The owner's name, for reports.
        fn function_name(&self) -> &'static str;
    }

    /// How the queue holds an owner.
    ///
    /// # Safety
    ///
    /// The owner stays alive and in place from `hold` until `with` has called its function, and may be shared between CPUs.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be sent",
        label = "is no message, or may be gone or moved while it is on its way",
        note = "a message is sent as a `&'static Message<_, _>`, or as an `&Arc<Message<_, _>>`, and so is the owner of a                 `MessageField`; with several in it, as `(owner, Tag)`. Value and result must be `Send`, and owner and                 function are shared between CPUs"
    )]
    pub unsafe trait Holds: Copy {
        type Owner;

        fn owner(&self) -> &Self::Owner;
        fn hold(&self) -> *const ();

        /// Calls `f`, and lets go of the owner; also when that panics.
        ///
        /// # Safety
        ///
        /// `held` came from `hold`, and this is the one call for that.
        unsafe fn with(held: *const (), f: impl FnOnce(&Self::Owner));
    }
}

// SAFETY: `'static`, and `Sync`.
unsafe impl<O: HasCsds + Sync + 'static> Holds for &'static O {
    type Owner = O;

    fn owner(&self) -> &O {
        self
    }

    fn hold(&self) -> *const () {
        core::ptr::from_ref::<O>(self).cast()
    }

    unsafe fn with(held: *const (), f: impl FnOnce(&O)) {
        // SAFETY: it was made from a `&'static O`, above.
        f(unsafe { &*held.cast::<O>() });
    }
}

#[cfg(feature = "alloc")]
// SAFETY: `hold` takes a count, which `with` gives back at its end; wherever that is, since `O: Send + Sync`.
unsafe impl<O: HasCsds + Send + Sync> Holds for &alloc::sync::Arc<O> {
    type Owner = O;

    fn owner(&self) -> &O {
        self
    }

    fn hold(&self) -> *const () {
        alloc::sync::Arc::into_raw(alloc::sync::Arc::clone(*self)).cast()
    }

    unsafe fn with(held: *const (), f: impl FnOnce(&O)) {
        // SAFETY: by the caller's promise it is a count, which nobody else gives back.
        let owner = unsafe { alloc::sync::Arc::from_raw(held.cast::<O>()) };
        f(&owner);
    }
}

/// # Safety
///
/// `held` came from `H::hold` of an owner whose message of that tag was sent, and this is the one call for that.
unsafe fn run<H: Holds, Tag>(held: *const (), op: Op)
where
    H::Owner: MessageOwner<Tag>,
{
    let answer = |owner: &H::Owner| {
        // SAFETY: the caller's promise.
        unsafe { H::Owner::message(owner).run(op, |value| H::Owner::run(owner, value, Here::of(op))) }
    };
    // SAFETY: by I6.
    unsafe { H::with(held, answer) }
}

impl<H: Holds> Carries for H
where
    H::Owner: MessageOwner,
{
    type Value = <H::Owner as HasMessage>::Value;
    type Answer = <H::Owner as HasMessage>::Answer;
    type Tag = ();

    fn message(&self) -> &MessageField<Self::Value, Self::Answer> {
        H::Owner::message(self.owner())
    }
}

// SAFETY: the promise of `Holds`.
unsafe impl<H: Holds> sealed_message::Sealed for H
where
    H::Owner: MessageOwner,
{
    fn work(&self) -> Work {
        Work { func: run::<H, ()>, arg: self.hold() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<H::Owner>()
    }
}

impl<H: Holds, Tag: Copy + 'static> Carries for (H, Tag)
where
    H::Owner: MessageOwner<Tag>,
{
    type Value = <H::Owner as HasMessage<Tag>>::Value;
    type Answer = <H::Owner as HasMessage<Tag>>::Answer;
    type Tag = Tag;

    fn message(&self) -> &MessageField<Self::Value, Self::Answer, Tag> {
        H::Owner::message(self.0.owner())
    }
}

// SAFETY: the promise of `Holds`.
unsafe impl<H: Holds, Tag: Copy + 'static> sealed_message::Sealed for (H, Tag)
where
    H::Owner: MessageOwner<Tag>,
{
    fn work(&self) -> Work {
        Work { func: run::<H, Tag>, arg: self.0.hold() }
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<(H::Owner, Tag)>()
    }
}

/// A message that was loaded, as something to post. Nobody but [`Smp::send`](crate::Smp::send) has one.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<M>(pub(crate) M);

impl<M: Carries> Post for Loaded<M> {}

// SAFETY: 1. The promise of `sealed_message`. 2. `HasMessage` demands `Send` of value and result, `Holds` that the owner may be
// shared, and `run` turns `arg` back into what it was.
unsafe impl<M: Carries> sealed::Sealed for Loaded<M> {
    fn header(&self) -> &Header {
        self.0.message().header()
    }

    fn work(&self) -> Work {
        self.0.work()
    }

    fn function_name(&self) -> &'static str {
        self.0.function_name()
    }
}
