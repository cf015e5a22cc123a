//! Calls to many that are awaited: one slot for each CPU, sent at once.

use super::call::AsyncCall;
use super::error::AsyncCallError;
use super::pending::PendingCall;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::{Smp, To};
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// What one CPU answers, and its number.
type Answer<R, P> = (u32, Result<R, AsyncCallError<<P as Platform>::Panic>>);

/// One call of several.
struct Part<'m, P: Platform, S: Storage, F: 'static, R: 'static> {
    cpu: u32,
    call: PendingCall<'m, P, S, F, R>,
    /// It was not sent.
    refused: Option<AsyncCallError<P::Panic>>,
}

/// Calls to several CPUs, to be awaited: all answers at once, as a future, or one after the other, by [`next`](Self::next).
#[must_use = "a future does nothing unless it is polled"]
pub struct PendingMany<'m, P: Platform, S: Storage, F: 'static, R: 'static> {
    /// Those that have not answered, the lowest number last.
    parts: Vec<Part<'m, P, S, F, R>>,
    answers: Vec<Answer<R, P>>,
    is_sent: bool,
}

impl<P: Platform + 'static, S: Storage + 'static> Smp<P, S> {
    /// Runs `function` on all CPUs that `to` names, each with its number, at the same time, and gives back what they answer: as a
    /// future, all of it, in the order of the CPUs; or one by one, as it comes ([`PendingMany::next`]). Who is meant is decided here;
    /// nothing is sent before the first poll, which posts all. A CPU that is offline answers
    /// [`Offline`](AsyncCallError::Offline); the caller's own runs it at its next flush, like any other.
    ///
    /// Each call is one of [`Smp::call_async`], and so is what becomes of it if the future is dropped: one allocation for each CPU,
    /// and two more. (A multicast without allocation that waits is [`Smp::call_map`].)
    ///
    /// Context: where the allocator may be called, as for [`Smp::call_async`]. Progress: a poll waits for no CPU, and takes as many
    /// steps as there are answers still to come; awaited as a whole, one more than have come.
    ///
    /// # Errors
    ///
    /// Each answer's: [`AsyncCallError`].
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage, To};
    ///
    /// async fn sum<P: Platform + 'static, S: Storage + 'static>(smp: &Smp<P, S>) -> u32 {
    ///     let answers = smp.call_async_many(To::All, |cpu| cpu + 1).await;
    ///     answers.into_iter().filter_map(|(_, answer)| answer.ok()).sum()
    /// }
    /// ```
    pub fn call_async_many<F, R>(
        &self,
        to: To<'_>,
        function: F,
    ) -> PendingMany<'_, P, S, impl FnOnce() -> R + Send + use<P, S, F, R>, R>
    where
        F: FnOnce(u32) -> R + Clone + Send + 'static,
        R: Send + 'static,
    {
        let parts = self.meant(to).into_iter().map(|cpu| {
            let function = function.clone();
            let call = PendingCall::new(self, AsyncCall::new(), cpu, move || function(cpu));
            Part { cpu, call, refused: None }
        });
        let parts: Vec<_> = parts.collect();
        PendingMany { answers: Vec::with_capacity(parts.len()), parts, is_sent: false }
    }

    /// Whom `to` names, the highest number first.
    fn meant(&self, to: To<'_>) -> Vec<u32> {
        let own = self.cpu_here();
        let all = (0..self.cpus_len()).rev();
        match to {
            To::Others => all.filter(|cpu| Some(*cpu) != own).collect(),
            To::All => all.collect(),
            To::Mask(mask) => {
                let mut cpus: Vec<_> = mask.iter().collect();
                cpus.reverse();
                cpus
            }
            To::If(is_meant) => {
                // Asked in order, as a multicast does.
                let mut cpus: Vec<_> = (0..self.cpus_len()).filter(|cpu| is_meant(*cpu)).collect();
                cpus.reverse();
                cpus
            }
        }
    }
}

impl<P: Platform, S: Storage, F, R> PendingMany<'_, P, S, F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    /// Awaits the next answer, whoever gives it; `None` when all have.
    ///
    /// Context, progress: as for [`Smp::call_async_many`]. Nothing is lost if this future is dropped.
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage, To};
    ///
    /// /// The first CPU that is through.
    /// async fn first<P: Platform + 'static, S: Storage + 'static>(smp: &Smp<P, S>) -> Option<u32> {
    ///     let mut answers = smp.call_async_many(To::Others, |cpu| cpu);
    ///     let (cpu, _) = answers.next().await?;
    ///     Some(cpu) // the others' calls are taken away, unless they have begun
    /// }
    /// ```
    pub async fn next(&mut self) -> Option<Answer<R, P>> {
        core::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer<R, P>>> {
        self.send();
        if let Some(answer) = self.answers.pop() {
            // Left by a future of all of them that was given up.
            return Poll::Ready(Some(answer));
        }
        for at in (0..self.parts.len()).rev() {
            if let Poll::Ready(answer) = self.parts[at].poll(cx) {
                let cpu = self.parts.remove(at).cpu;
                return Poll::Ready(Some((cpu, answer)));
            }
        }
        if self.parts.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Posts all, at the first poll.
    fn send(&mut self) {
        if !core::mem::replace(&mut self.is_sent, true) {
            for part in self.parts.iter_mut().rev() {
                part.refused = part.call.post().err();
            }
        }
    }
}

impl<P: Platform, S: Storage, F, R> Part<'_, P, S, F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, AsyncCallError<P::Panic>>> {
        match self.refused.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.call).poll(cx),
        }
    }
}

impl<P: Platform, S: Storage, F, R> Future for PendingMany<'_, P, S, F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = Vec<Answer<R, P>>;

    /// One at a time, so that few of them wake.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.send();
        while let Some(part) = this.parts.last_mut() {
            let Poll::Ready(answer) = part.poll(cx) else { return Poll::Pending };
            this.answers.push((part.cpu, answer));
            this.parts.pop();
        }
        Poll::Ready(core::mem::take(&mut this.answers))
    }
}

/// Nothing in it is pinned: neither are its calls.
impl<P: Platform, S: Storage, F: 'static, R: 'static> Unpin for PendingMany<'_, P, S, F, R> {}

impl<P: Platform, S: Storage, F: 'static, R: 'static> fmt::Debug for PendingMany<'_, P, S, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingMany").field("unanswered", &self.parts.len()).finish_non_exhaustive()
    }
}
