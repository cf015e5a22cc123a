//! The future of an awaited call.

use super::call::{AsyncCall, Loaded};
use super::error::AsyncCallError;
use super::slot::{Content, Job};
use crate::error::PostError;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::posted::Posted;
use crate::smp::Smp;
use core::borrow::BorrowMut;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

enum Stage<F> {
    Unsent(F),
    Sent,
    Done,
}

/// A call to be awaited: the future of [`Smp::call_async_by`], which borrows its [`AsyncCall`], and of
/// `Smp::call_async` (feature `alloc`), which owns it.
#[must_use = "a future does nothing unless it is polled"]
pub struct PendingCall<
    'm,
    P: Platform,
    S: Storage,
    F: 'static,
    R: 'static,
    C = AsyncCall<F, R, <P as Platform>::Panic>,
> where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>,
{
    smp: &'m Smp<P, S>,
    call: C,
    cpu: u32,
    deadline_ns: Option<u64>,
    stage: Stage<F>,
    result: PhantomData<fn() -> R>,
}

/// What the future gives back.
type Outcome<R, P> = Result<R, AsyncCallError<<P as Platform>::Panic>>;

impl<'m, P: Platform, S: Storage, F: 'static, R: 'static, C> PendingCall<'m, P, S, F, R, C>
where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>,
{
    pub(super) fn new(smp: &'m Smp<P, S>, call: C, cpu: u32, function: F) -> Self {
        Self { smp, call, cpu, deadline_ns: None, stage: Stage::Unsent(function), result: PhantomData }
    }

    /// Gives the call a deadline: if the port's clock ([`Platform::now_ns`]) shows so much when its target comes to it, or when it is
    /// polled, and its function has not begun, it does not run ([`AsyncCallError::TimedOut`]). A deadline that has passed already
    /// sends nothing. One that has begun is awaited.
    ///
    /// It sets no timer: a target that never comes to it is found out by whoever polls then, such as an executor's own time-out.
    ///
    #[cfg_attr(feature = "alloc", doc = "```")]
    #[cfg_attr(not(feature = "alloc"), doc = "```ignore")]
    /// use smpcall::{AsyncCallError, Platform, Smp, Storage};
    ///
    /// async fn soon<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u32, AsyncCallError<P::Panic>> {
    ///     let deadline_ns = smp.platform().now_ns() + 1_000_000;
    ///     smp.call_async(1, || 42).before(deadline_ns).await
    /// }
    /// ```
    pub fn before(mut self, deadline_ns: u64) -> Self {
        self.deadline_ns = Some(deadline_ns);
        self
    }

    fn is_late(&self) -> bool {
        self.deadline_ns.is_some_and(|deadline_ns| self.smp.platform().now_ns() >= deadline_ns)
    }
}

impl<P: Platform, S: Storage, F: 'static, R: 'static, C> PendingCall<'_, P, S, F, R, C>
where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>,
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    /// The first poll, and the next ones as long as the last call is in the slot.
    fn send(&mut self, cx: &Context<'_>) -> Poll<Result<(), AsyncCallError<P::Panic>>> {
        if self.is_late() {
            self.stage = Stage::Done;
            return Poll::Ready(Err(AsyncCallError::TimedOut));
        }
        let call: &AsyncCall<F, R, P::Panic> = self.call.borrow();
        let slot = call.slot();
        // Of a call whose future was forgotten.
        slot.abandon();
        if !slot.awaited.await_end(cx.waker()) {
            return Poll::Pending;
        }
        let answers_soon = self.smp.looks_by_itself(self.cpu);
        let sent = self.post();
        if sent.is_ok() && answers_soon {
            // The result is most likely there when the executor comes round, and no other CPU has to wake it.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(sent)
    }

    /// Posts it: the slot is the caller's.
    pub(super) fn post(&mut self) -> Result<(), AsyncCallError<P::Panic>> {
        let call: &AsyncCall<F, R, P::Panic> = self.call.borrow();
        let slot = call.slot();
        slot.abandon();
        let Stage::Unsent(function) = core::mem::replace(&mut self.stage, Stage::Sent) else {
            unreachable!("it is sent once");
        };
        let home = self.smp.cpu_here();
        let smp = core::ptr::from_ref(self.smp).cast();
        let job = Job { function, deadline_ns: self.deadline_ns, home, smp };
        // SAFETY: no run is under way (I30). There is nothing in it.
        drop(unsafe { slot.replace(Content::Call(job)) });
        slot.awaited.send();
        let error = match self.smp.post(self.cpu, Loaded::<P, S, F, R>(call.held(), PhantomData)) {
            Ok(Posted::Queued) => return Ok(()),
            Err(PostError::Offline { .. }) => AsyncCallError::Offline,
            Err(PostError::NoSuchCpu) => AsyncCallError::NoSuchCpu,
            Ok(Posted::Busy { .. }) | Err(PostError::Cancelled { .. }) => {
                unreachable!("the csd of a slot that is the caller's is free (I30)")
            }
        };
        slot.awaited.refused();
        self.stage = Stage::Done;
        slot.abandon();
        Err(error)
    }

    fn receive(&mut self, cx: &Context<'_>) -> Poll<Outcome<R, P>> {
        let call: &AsyncCall<F, R, P::Panic> = self.call.borrow();
        let slot = call.slot();
        if slot.awaited.await_end(cx.waker()) {
            self.stage = Stage::Done;
            return Poll::Ready(slot.outcome());
        }
        if self.is_late() && slot.withdraw() {
            self.stage = Stage::Done;
            slot.abandon();
            return Poll::Ready(Err(AsyncCallError::TimedOut));
        }
        Poll::Pending
    }
}

impl<P: Platform, S: Storage, F: 'static, R: 'static, C> Future for PendingCall<'_, P, S, F, R, C>
where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>,
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = Outcome<R, P>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<R, P>> {
        let this = self.get_mut();
        if let Stage::Unsent(_) = this.stage {
            match this.send(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        assert!(matches!(this.stage, Stage::Sent), "an awaited call is polled after it was ready");
        this.receive(cx)
    }
}

/// Nothing in it is pinned: the function is moved into the slot.
impl<P: Platform, S: Storage, F: 'static, R: 'static, C> Unpin for PendingCall<'_, P, S, F, R, C> where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>
{
}

impl<P: Platform, S: Storage, F: 'static, R: 'static, C> Drop for PendingCall<'_, P, S, F, R, C>
where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>,
{
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Done) {
            let call: &AsyncCall<F, R, P::Panic> = self.call.borrow();
            call.slot().abandon();
        }
    }
}

impl<P: Platform, S: Storage, F: 'static, R: 'static, C> fmt::Debug for PendingCall<'_, P, S, F, R, C>
where
    C: BorrowMut<AsyncCall<F, R, P::Panic>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Unsent(_) => "unsent",
            Stage::Sent => "sent",
            Stage::Done => "done",
        };
        f.debug_struct("PendingCall").field("cpu", &self.cpu).field("stage", &stage).finish_non_exhaustive()
    }
}
