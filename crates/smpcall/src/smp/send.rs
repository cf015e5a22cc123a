//! Messages: a value there, and one back. What keeps the content sound is in [`crate::message`].

use super::Smp;
use crate::error::PostError;
use crate::message::{Carries, Loaded, NotSent, ReceiveError, SendError};
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::posted::Posted;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Moves `value` into `message`, and posts that to `cpu`: its function will be given the value there, once, in call
    /// context. Returns at once.
    ///
    /// Context: any; interrupts off, call context and NMI included. Progress: lock-free, allocates nothing (P9).
    ///
    /// # Errors
    ///
    /// [`SendError`] hands the value back, and says why.
    ///
    /// ```
    /// use smpcall::{Here, Message, NotSent, Platform, Smp, Storage};
    ///
    /// static LEN: Message<String, usize> = Message::new(|text: String, _: Here<'_>| text.len());
    ///
    /// fn send<P: Platform, S: Storage>(smp: &Smp<P, S>, text: String) -> Result<(), String> {
    ///     match smp.send(1, &LEN, text) {
    ///         Err(refused) if refused.why == NotSent::Unread => Err(refused.value), // take the last answer first
    ///         other => other.map_err(|refused| refused.to_string()),
    ///     }
    /// }
    /// ```
    pub fn send<M: Carries>(&self, cpu: u32, message: M, value: M::Value) -> Result<(), SendError<M::Value>> {
        message.message().load(value)?;
        let why = match self.post(cpu, Loaded(message)) {
            Ok(Posted::Queued) => return Ok(()),
            Err(PostError::Offline { .. }) => NotSent::Offline,
            Err(PostError::NoSuchCpu) => NotSent::NoSuchCpu,
            Ok(Posted::Busy { .. }) | Err(PostError::Cancelled { .. }) => {
                unreachable!("the csd of an empty message is free (I23)")
            }
        };
        // SAFETY: we have loaded it, and the post was refused.
        Err(SendError { value: unsafe { message.message().unload() }, why })
    }

    /// Waits until the run of `message` has ended, and takes its result.
    ///
    /// Waits as [`Smp::wait`] does.
    ///
    /// Context: thread, interrupts on; from any context if there is nothing to wait for. Progress: waits for the target.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`]; of a run that was cancelled it hands the value back.
    ///
    /// ```
    /// use smpcall::{Here, Message, Platform, ReceiveError, Smp, Storage, TakeError};
    ///
    /// static LEN: Message<String, usize> = Message::new(|text: String, _: Here<'_>| text.len());
    ///
    /// fn len<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<usize, ReceiveError<String>> {
    ///     match smp.receive(&LEN) {
    ///         Err(ReceiveError::Take(TakeError::Empty)) => Ok(0), // nothing was sent: no wait
    ///         other => other,
    ///     }
    /// }
    /// ```
    pub fn receive<M: Carries>(&self, message: M) -> Result<M::Answer, ReceiveError<M::Value>> {
        self.receive_before(message, None)
    }

    /// As [`Smp::receive`], until `deadline_ns` on the port's clock at the latest. Giving up leaves nothing dangling: the answer
    /// can be taken later.
    ///
    /// # Errors
    ///
    /// As for [`Smp::receive`].
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use smpcall::{Message, Platform, ReceiveError, Smp, Storage, WaitError};
    ///
    /// static LEN: Message<String, usize> = Message::new(|text: String, _| text.len());
    ///
    /// fn len_within_a_millisecond<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Option<usize> {
    ///     match smp.receive_until(&LEN, smp.platform().now_ns() + 1_000_000) {
    ///         Ok(len) => Some(len),
    ///         Err(ReceiveError::Wait(WaitError::TimedOut(_))) => None, // it may be taken later
    ///         Err(other) => panic!("{other}"),
    ///     }
    /// }
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// # smp.send(0, &LEN, "four".to_string()).unwrap();
    /// # assert_eq!(len_within_a_millisecond(&smp), Some(4));
    /// ```
    pub fn receive_until<M: Carries>(
        &self,
        message: M,
        deadline_ns: u64,
    ) -> Result<M::Answer, ReceiveError<M::Value>> {
        self.receive_before(message, Some(deadline_ns))
    }

    fn receive_before<M: Carries>(
        &self,
        message: M,
        deadline_ns: Option<u64>,
    ) -> Result<M::Answer, ReceiveError<M::Value>> {
        let (function, message) = (message.function_name(), message.message());
        self.await_until(message.header(), function, deadline_ns, || !message.is_sent())
            .map_err(ReceiveError::Wait)?;
        message.try_take().map_err(ReceiveError::Take)
    }
}
