//! By what a message is sent.

use super::Message;
use crate::csd::field::Here;
use crate::csd::{Header, Op, Post, Work, sealed};

/// By what a [`Message`] is sent: `&'static Message`, or `&Arc<Message>` with the feature `alloc`. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent",
    label = "is no message, or may be gone or moved while it is on its way",
    note = "a message is sent as a `&'static Message<_, _>`, or as an `&Arc<Message<_, _>>`; value and result must be `Send`, \
            and the function is shared between CPUs"
)]
pub trait Carries: Copy + sealed_message::Sealed {
    /// What it carries there.
    type Value;
    /// What it carries back.
    type Answer;
    /// Its function.
    #[doc(hidden)]
    type Function;

    #[doc(hidden)]
    fn message(&self) -> &Message<Self::Value, Self::Answer, Self::Function>;
}

mod sealed_message {
    use super::Work;

    /// # Safety
    ///
    /// The message stays alive and in place from a won claim until `work`'s function was called for it.
    #[allow(private_interfaces, unnameable_types, reason = "sealed")]
    pub unsafe trait Sealed {
        fn work(&self) -> Work;
    }
}

impl<T, R, F> Carries for &'static Message<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(T, Here<'_>) -> R + Sync + 'static,
{
    type Value = T;
    type Answer = R;
    type Function = F;

    fn message(&self) -> &Message<T, R, F> {
        self
    }
}

// SAFETY: `'static`.
unsafe impl<T, R, F> sealed_message::Sealed for &'static Message<T, R, F>
where
    F: Fn(T, Here<'_>) -> R,
{
    fn work(&self) -> Work {
        Work { func: run_static::<T, R, F>, arg: core::ptr::from_ref::<Message<T, R, F>>(self).cast() }
    }
}

/// # Safety
///
/// `arg` is a `&'static Message` that was sent, and this is the one call for that.
unsafe fn run_static<T, R, F: Fn(T, Here<'_>) -> R>(arg: *const (), op: Op) {
    // SAFETY: by I6.
    unsafe { (*arg.cast::<Message<T, R, F>>()).run(op) }
}

#[cfg(feature = "alloc")]
mod shared {
    use super::{Carries, Here, Message, Op, Work, sealed_message};
    use alloc::sync::Arc;

    impl<T, R, F> Carries for &Arc<Message<T, R, F>>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: Fn(T, Here<'_>) -> R + Send + Sync + 'static,
    {
        type Value = T;
        type Answer = R;
        type Function = F;

        fn message(&self) -> &Message<T, R, F> {
            self
        }
    }

    // SAFETY: `work` takes a count, which `run_arc` gives back at its end.
    unsafe impl<T, R, F> sealed_message::Sealed for &Arc<Message<T, R, F>>
    where
        F: Fn(T, Here<'_>) -> R,
    {
        fn work(&self) -> Work {
            Work { func: run_arc::<T, R, F>, arg: Arc::into_raw(Arc::clone(*self)).cast() }
        }
    }

    /// # Safety
    ///
    /// `arg` came from `Arc::into_raw` of a message that was sent, and this is the one call for that.
    unsafe fn run_arc<T, R, F: Fn(T, Here<'_>) -> R>(arg: *const (), op: Op) {
        // SAFETY: by I6. Dropping it at the end, also when the function panics, gives the count back.
        let message = unsafe { Arc::from_raw(arg.cast::<Message<T, R, F>>()) };
        // SAFETY: the caller's promise.
        unsafe { message.run(op) };
    }
}

/// A message that was loaded, as something to post. Nobody but [`Smp::send`](crate::Smp::send) has one.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<M>(pub(crate) M);

impl<M: Carries> Post for Loaded<M> {}

// SAFETY: 1. The promise of `sealed_message`. 2. `T: Send`, `R: Send`, `F: Sync`, as each `Carries` demands, and the
// functions above turn `arg` back into what it was.
unsafe impl<M: Carries> sealed::Sealed for Loaded<M> {
    fn header(&self) -> &Header {
        self.0.message().header()
    }

    fn work(&self) -> Work {
        sealed_message::Sealed::work(&self.0)
    }

    fn function_name(&self) -> &'static str {
        core::any::type_name::<M::Function>()
    }
}
