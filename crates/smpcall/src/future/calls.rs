//! How an awaited call is made: by a slot of the user's, or with one of its own.

use super::call::AsyncCall;
use super::pending::PendingCall;
use crate::percpu::Storage;
use crate::platform::Platform;
use crate::smp::Smp;

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on `cpu`, in call context, and gives back its result as a future. No thread is blocked; the executor's is
    /// woken when the result is there. Nothing happens before the first poll, which posts the call.
    ///
    /// May be awaited by any executor, on a CPU of the machine or on none; one that is a CPU goes on flushing its queue by itself,
    /// and a call to its own CPU runs then. **A future that is dropped** takes the call away if its function has not begun; else
    /// that runs, and its result is dropped by its owner ([`AsyncCall`]). Neither waits. A future that is forgotten is safe, too.
    ///
    /// If the last call's target has not let go of the slot yet, since its future was dropped, the first poll awaits that.
    ///
    /// The waker is cloned and dropped by whoever polls, and called by the target, *in call context*: it must not wait there. One
    /// that panics is caught like a function ([`Reporting::caught`](crate::Reporting::caught)), and nothing is lost by it but the wake-up.
    ///
    /// Context: any in which the waker may be cloned. Progress: a poll is lock-free, allocates nothing, and waits for no CPU.
    ///
    /// # Errors
    ///
    /// The future's: [`AsyncCallError`](crate::AsyncCallError). A panic of the function is one of them, and not resumed.
    ///
    /// # Panics
    ///
    /// A future that is polled after it was ready.
    ///
    #[cfg_attr(feature = "alloc", doc = "```")]
    #[cfg_attr(not(feature = "alloc"), doc = "```ignore")]
    /// use smpcall::{AsyncCall, AsyncCallError, Platform, Smp, Storage};
    ///
    /// /// One allocation for all calls.
    /// async fn sum<P: Platform, S: Storage>(
    ///     smp: &Smp<P, S>,
    ///     cpus: u32,
    /// ) -> Result<usize, AsyncCallError<P::Panic>> {
    ///     let (mut call, mut sum) = (AsyncCall::new(), 0);
    ///     for cpu in 0..cpus {
    ///         let text = format!("CPU {cpu}");
    ///         sum += smp.call_async_by(&mut call, cpu, move || text.len()).await?;
    ///     }
    ///     Ok(sum)
    /// }
    /// ```
    pub fn call_async_by<'m, F, R>(
        &'m self,
        call: &'m mut AsyncCall<F, R, P::Panic>,
        cpu: u32,
        function: F,
    ) -> PendingCall<'m, P, S, F, R, &'m mut AsyncCall<F, R, P::Panic>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        PendingCall::new(self, call, cpu, function)
    }

    /// Runs `function` on `cpu`, in call context, and gives back its result as a future: [`Smp::call_async_by`] with a slot of
    /// its own, which is one allocation.
    ///
    /// Context: where the allocator may be called, here, where the future is dropped, and, if it is dropped while its function runs, in
    /// call context on the caller's CPU. Progress: that of the allocator; a poll as for [`Smp::call_async_by`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::call_async_by`], the future's.
    ///
    /// What must not compile: a function that borrows, since its future may be forgotten, or one that cannot be sent.
    ///
    /// ```compile_fail,E0597
    /// # use smpcall::{Platform, Smp, Storage};
    /// fn borrows<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    ///     let local = 1;
    ///     let lent = &local; // `local` does not live long enough
    ///     let _ = smp.call_async(1, move || *lent);
    /// }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use smpcall::{Platform, Smp, Storage};
    /// fn stays<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    ///     let local = std::rc::Rc::new(1);
    ///     let _ = smp.call_async(1, move || *local); // `Rc<i32>` cannot be sent between threads safely
    /// }
    /// ```
    ///
    /// ```
    /// use smpcall::{AsyncCallError, Platform, Smp, Storage};
    ///
    /// async fn len<P: Platform, S: Storage>(
    ///     smp: &Smp<P, S>,
    ///     text: String,
    /// ) -> Result<usize, AsyncCallError<P::Panic>> {
    ///     match smp.call_async(1, move || text.len()).await {
    ///         Err(AsyncCallError::Offline) => smp.call_async(0, || 0).await, // another CPU will do
    ///         other => other,
    ///     }
    /// }
    /// ```
    #[cfg(feature = "alloc")]
    pub fn call_async<F, R>(&self, cpu: u32, function: F) -> PendingCall<'_, P, S, F, R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        PendingCall::new(self, AsyncCall::new(), cpu, function)
    }
}
