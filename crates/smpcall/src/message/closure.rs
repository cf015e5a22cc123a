//! A message with a function of its own: the owner of a field, and of nothing else.

use super::{HasMessage, MessageField, MessageOwner};
use crate::csd::field::{HasCsds, Here};
use crate::sync::const_unless_loom;
use core::fmt;
use core::ops::Deref;

/// A call object that carries a value to another CPU, and a result back.
///
/// [`Smp::send`](crate::Smp::send) moves the value in, and posts it; the function gets it there, and leaves its result;
/// [`try_take`](crate::MessageField::try_take), or [`Smp::receive`](crate::Smp::receive), moves that out, and the message can be sent again.
/// Nothing is allocated, and no lock is taken. Between two steps exactly one side has the content, and who comes too early is
/// told so.
///
/// It is sent as `&'static Message`, or counted (`&Arc<Message>`, feature `alloc`). One whose function is to have more than the
/// value is a [`MessageField`] of the struct that the function gets.
///
/// ```
/// use smpcall::{Here, Message, Platform, Smp, Storage, TakeError};
///
/// static LEN: Message<String, usize> = Message::new(|text: String, _: Here<'_>| text.len());
///
/// fn len<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Option<usize> {
///     smp.send(1, &LEN, "four".to_string()).ok()?;
///     // Something else, meanwhile.
///     smp.receive(&LEN).ok()
/// }
/// # assert_eq!(LEN.try_take(), Err(TakeError::Empty));
/// ```
pub struct Message<T, R, F = fn(T, Here<'_>) -> R> {
    field: MessageField<T, R>,
    function: F,
}

impl<T, R, F> Message<T, R, F> {
    const_unless_loom! {
        /// Makes an empty message, whose values `function` is given.
        pub fn new(function: F) -> Self {
            Self { field: MessageField::new(), function }
        }
    }
}

/// What a message can be asked without its function: [`MessageField::try_take`], [`cancel`](MessageField::cancel),
/// [`is_pending`](MessageField::is_pending).
impl<T, R, F> Deref for Message<T, R, F> {
    type Target = MessageField<T, R>;

    fn deref(&self) -> &MessageField<T, R> {
        &self.field
    }
}

impl<T, R, F> HasCsds for Message<T, R, F> {}

// SAFETY: it has one field, and nothing here unwinds.
unsafe impl<T, R, F> HasMessage for Message<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: 'static,
{
    type Value = T;
    type Answer = R;

    fn message(this: &Self) -> &MessageField<T, R> {
        &this.field
    }
}

impl<T, R, F> MessageOwner for Message<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(T, Here<'_>) -> R + 'static,
{
    fn run(this: &Self, value: T, here: Here<'_>) -> R {
        (this.function)(value, here)
    }
}

impl<T, R, F> fmt::Debug for Message<T, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("pending", &self.is_pending()).finish_non_exhaustive()
    }
}
