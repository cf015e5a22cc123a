//! A CPU as a task of whatever executor its thread runs.

use crate::attach::Attached;
use crate::doorbell::WakerCell;
use crate::machine::Machine;
use crate::spawn::{LocalSpawner, Registered};
use crate::trace::Trace;
use smpcall::{Budget, Flushed, NoSleep, Platform};
use std::pin::Pin;
use std::task::{Context, Poll};

impl<'m, T: Trace> Attached<'m, T, WakerCell> {
    /// Runs the CPU as a task: [`Pump`], with the default budget.
    ///
    /// ```
    /// use smpcall_host::{Machine, WakerCell};
    /// use std::pin::pin;
    /// use std::sync::Arc;
    /// use std::task::{Context, Poll, Wake, Waker};
    /// use std::thread::{self, Thread};
    ///
    /// /// The smallest executor: it runs one task.
    /// fn block_on<F: Future>(future: F) -> F::Output {
    ///     struct Unpark(Thread);
    ///     impl Wake for Unpark {
    ///         fn wake(self: Arc<Self>) { self.0.unpark() }
    ///     }
    ///     let (waker, mut future) = (Waker::from(Arc::new(Unpark(thread::current()))), pin!(future));
    ///     loop {
    ///         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
    ///             Poll::Ready(value) => return value,
    ///             Poll::Pending => thread::park(),
    ///         }
    ///     }
    /// }
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach_with(0, WakerCell::new())?;
    /// thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         assert_eq!(machine.call(0, || 5), Ok(5));
    ///         machine.shutdown().unwrap(); // the pump ends
    ///     });
    ///     block_on(here.pump());
    /// });
    /// # drop(here);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pump(&mut self) -> Pump<'_, 'm, T> {
        self.pump_with(Budget::DEFAULT)
    }

    /// As [`pump`](Self::pump), with so many calls at a time before the executor's other tasks have their turn.
    ///
    /// ```
    /// use smpcall_host::{Machine, WakerCell, smpcall::Budget};
    /// use std::{num::NonZeroU32, pin::pin, task::{Context, Waker}};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach_with(0, WakerCell::new())?;
    /// (0..3).try_for_each(|_| machine.post_detached(0, || ()))?;
    /// // Two at a time, and then the executor's other tasks.
    /// let budget = Budget::calls(NonZeroU32::new(2).expect("not 0"));
    /// let mut pump = pin!(here.pump_with(budget));
    /// assert!(pump.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pump_with(&mut self, budget: Budget) -> Pump<'_, 'm, T> {
        Pump { here: self, budget, spawner: None }
    }
}

impl<T: Trace> Machine<T> {
    /// Runs what was posted to the CPU that the calling thread is, as the handler of an interrupt would: for the hooks of a runtime whose
    /// thread is a CPU, beside its [pump](Pump). As tokio's `on_thread_unpark`, what a post woke the thread for runs before any task has its turn.
    ///
    /// Calls that may block are left to the pump. So is what is more than `budget`, and the sleep: no doorbell is acknowledged here.
    ///
    /// No task is polled meanwhile. A [spawner](Pump::spawning_by) is called there too, and so spawns by a handle of the executor's own: tokio's
    /// free `spawn_local` is for the inside of a task.
    ///
    /// Context: thread or interrupt; from call context it returns at once, as on a thread that is no CPU of this machine. Progress: at
    /// most `budget` functions; if there is nothing, a few loads.
    ///
    /// ```
    /// use smpcall_host::smpcall::Budget;
    /// use smpcall_host::{Machine, WakerCell};
    /// use std::sync::{Arc, Barrier};
    ///
    /// let machine = Arc::new(Machine::builder().attachable(1).build()?);
    /// let online = Barrier::new(2);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let hook = Arc::clone(&machine);
    ///         let runtime = tokio::runtime::Builder::new_current_thread()
    ///             .on_thread_unpark(move || drop(hook.flush_here(Budget::DEFAULT)))
    ///             .build()
    ///             .unwrap();
    ///         let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
    ///         online.wait();
    ///         runtime.block_on(here.pump());
    ///     });
    ///     online.wait();
    ///     assert_eq!(machine.call(0, || 5), Ok(5));
    ///     machine.shutdown().unwrap();
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_here(&self, budget: Budget) -> Flushed {
        self.pinned().flush(budget)
    }
}

/// The future of an attached CPU that serves it: whenever it is woken it flushes with a budget, yields to the other tasks if that ran
/// anything, and else sleeps until a post wakes its task. It ends when the machine was [shut down](Machine::shutdown), having run
/// what was there; never before.
///
/// It works on any executor that polls it on the thread that attached, for it is not `Send`: tokio's `LocalSet`, smol's `LocalExecutor`,
/// or a `block_on`. Between two polls the other tasks of the thread may call and wait: waits serve the CPU, too.
///
/// **Dropped**, by a `select!` or an executor that ends, it leaves the CPU asleep with nobody to wake: nothing that was posted is lost,
/// and it runs when somebody polls, pumps again, or detaches; until then rings fail ([`RingError`](smpcall::RingError)), so that reports
/// of those who wait name the CPU, and that it cannot be rung. A task that *owns* its CPU, `async move { here.pump().await }`,
/// takes it offline when it is dropped, which runs all that was accepted; later posts are told `Offline`. **Leaked**, it is asleep, too, but
/// rings go to the task that was.
///
/// # Panics
///
/// If it is polled from inside a function, or with soft interrupts off.
#[must_use = "a future does nothing unless it is polled"]
#[derive(Debug)]
pub struct Pump<'a, 'm, T: Trace = ()> {
    here: &'a mut Attached<'m, T, WakerCell>,
    budget: Budget,
    spawner: Option<Registered>,
}

impl<T: Trace> Pump<'_, '_, T> {
    /// Says by what futures that others [spawn](crate::Machine::spawn_on) on this CPU become tasks of this thread's executor, as long as
    /// this pump is there.
    ///
    /// ```
    /// use smpcall_host::{Attached, WakerCell};
    /// use tokio::task::spawn_local;
    ///
    /// /// In a `LocalSet`.
    /// async fn serve(here: &mut Attached<'_, (), WakerCell>) {
    ///     here.pump().spawning_by(|task| drop(spawn_local(task))).await;
    /// }
    /// ```
    pub fn spawning_by(mut self, spawner: impl LocalSpawner + 'static) -> Self {
        self.spawner = None; // The last one goes first.
        self.spawner = Some(Registered::new(spawner));
        self
    }
}

impl<T: Trace> Future for Pump<'_, '_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let budget = self.budget;
        let here = &mut *self.here;
        let machine = here.machine;
        assert!(machine.platform().can_wait(), "a pump is for thread context");
        // Before the flush, which runs all that came before the end.
        let is_over = machine.is_shut_down();
        // Awake: until the end of this, and longer if it is to be polled again at once, posts need not wake the task.
        here.latch().come_back();
        machine.platform().show_core(here.cpu());
        let flushed = here.own.flush(budget);
        // Before it may count as asleep, so that every ring finds a waker.
        here.bell.register(context.waker());
        match flushed {
            Flushed::All(_) if is_over => return Poll::Ready(()),
            // It looks once more before it sleeps: who was answered is about to ask again, and where the executor has other tasks
            // that costs less than to be woken.
            Flushed::More(_) | Flushed::All(1..) => {}
            Flushed::All(0) | Flushed::Nested | Flushed::NotACpu => match here.begin_sleep() {
                Ok(guard) => {
                    // The task's next poll is what comes back from this sleep.
                    let _ = guard.commit();
                    return Poll::Pending;
                }
                Err(NoSleep::InCall) => panic!("a pump is for thread context"),
                Err(_) => {}
            },
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Trace> Drop for Pump<'_, '_, T> {
    fn drop(&mut self) {
        // Nobody is there to be woken: rings are to say so.
        self.here.may_be_outside();
        drop(self.here.bell.clear());
    }
}
