//! A future that runs on the thread of a CPU, as a task of the executor there, and is awaited from anywhere.
//!
//! What is posted is a function that does one thing: it hands a [`LocalTask`] to the executor's spawner. All the rest, the caller's
//! closure included, happens when the executor polls that: in the task's context, not in call context.
//!
//! # Invariants
//!
//! - **I37** `make` belongs to the one who took the run, or to the post that was refused, or to who cancelled it; from the run on to
//!   the [`LocalTask`]. `future` is the `LocalTask`'s alone: it is made, polled and dropped on its thread, which a `LocalTask` does not
//!   leave, and is not moved in between. It is gone before the outcome is told, and before the `LocalTask` gives its count back.
//! - **I38** `outcome` is written once: by the refused post, or who cancelled the run, or the `LocalTask`; then `is_done` is set.
//!   From then on it is the handle's.

mod task;

use crate::machine::Machine;
use crate::trace::Trace;
use smpcall::PostError;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use task::{Joins, Runs, Task};

/// Puts tasks on the executor of its own thread: what [`Pump::spawning_by`](crate::Pump::spawning_by) registers.
///
/// A closure will do. `|task| drop(tokio::task::spawn_local(task))` in a `LocalSet`; for smol, a closure that spawns on its
/// `LocalExecutor` and detaches. It is called in call context, and so must not wait; one that drops the task, or panics, has whoever awaits it told
/// ([`SpawnError::Dropped`]).
///
/// ```
/// use smpcall_host::{LocalSpawner, LocalTask, Machine, WakerCell};
/// use std::rc::{Rc, Weak};
///
/// /// Weak: the executor's end drops its tasks, the spawner among what they hold.
/// struct Tasks(Weak<smol::LocalExecutor<'static>>);
/// impl LocalSpawner for Tasks {
///     fn spawn_local(&self, task: LocalTask) {
///         if let Some(tasks) = self.0.upgrade() { tasks.spawn(task).detach() }
///     }
/// }
///
/// let machine = Machine::builder().attachable(1).build()?;
/// let mut here = machine.attach_with(0, WakerCell::new())?;
/// let tasks = Rc::new(smol::LocalExecutor::new());
/// let pump = here.pump().spawning_by(Tasks(Rc::downgrade(&tasks)));
/// let spawned = machine.spawn_on(0, || async { 5 });
/// let first = smol::future::or(async { pump.await; None }, async { spawned.await.ok() });
/// assert_eq!(smol::block_on(tasks.run(first)), Some(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait LocalSpawner {
    /// Has `task` polled on this thread, from now on, until it is ready.
    fn spawn_local(&self, task: LocalTask);
}

impl<F: Fn(LocalTask)> LocalSpawner for F {
    fn spawn_local(&self, task: LocalTask) {
        self(task);
    }
}

thread_local! {
    static SPAWNER: RefCell<Option<Rc<dyn LocalSpawner>>> = const { RefCell::new(None) };
}

/// That this thread has a spawner, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered(PhantomData<*const ()>);

impl Registered {
    pub(crate) fn new(spawner: impl LocalSpawner + 'static) -> Self {
        let _last = SPAWNER.replace(Some(Rc::new(spawner)));
        Self(PhantomData)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Dropped when nothing is borrowed: it is code of the user's. A thread that is ending has dropped it already.
        let _last = SPAWNER.try_with(RefCell::take);
    }
}

/// Why a future that was to run on another CPU has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The CPU takes nothing; nothing was queued (P8). Spawn it on another CPU.
    Offline,
    /// The machine has no CPU of that number.
    NoSuchCpu,
    /// No pump on that CPU has a spawner ([`Pump::spawning_by`](crate::Pump::spawning_by)): it is one of the machine's own, or its pump was dropped.
    NoSpawner,
    /// The closure or its future has panicked: here is what it threw (P11).
    Panicked(Box<dyn Any + Send>),
    /// Its executor has dropped it, as one does that ends.
    Dropped,
    /// It was [aborted](Spawned::abort).
    Aborted,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "the CPU is offline",
            Self::NoSuchCpu => "no such CPU",
            Self::NoSpawner => "no executor of the CPU takes tasks",
            Self::Panicked(_) => "the task has panicked",
            Self::Dropped => "the executor has dropped the task",
            Self::Aborted => "the task was aborted",
        })
    }
}

impl std::error::Error for SpawnError {}

impl<T: Trace> Machine<T> {
    /// Has `make` called on the thread of `cpu`, and runs the future that it gives back there, as a task of that thread's executor. The
    /// future stays on that thread, so it need not be `Send`; its result comes back by the handle.
    ///
    /// It begins at once: the task is posted before this returns, whether its handle is awaited or not. `make` and the future run in the
    /// executor's context, not in call context: they may spawn, wait, and block as tasks may. The CPU's
    /// [pump](crate::Pump::spawning_by) says which executor that is.
    ///
    /// To spawn is one allocation, beside what the executor there makes of a task.
    ///
    /// Context: where the allocator may be called. Progress: that of the allocator, and of a post.
    ///
    /// ```
    /// use smpcall_host::{Machine, SpawnError, WakerCell};
    /// use std::rc::{Rc, Weak};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let online = std::sync::Barrier::new(2);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
    ///         let tasks = Rc::new(smol::LocalExecutor::new());
    ///         // Weak: the executor's end drops its tasks, the spawner among what they hold.
    ///         let spawner = Rc::downgrade(&tasks);
    ///         let pump = here.pump().spawning_by(move |task| {
    ///             if let Some(tasks) = Weak::upgrade(&spawner) { tasks.spawn(task).detach() }
    ///         });
    ///         online.wait();
    ///         smol::block_on(tasks.run(pump));
    ///     });
    ///     online.wait();
    ///     let length = machine.spawn_on(0, || async {
    ///         let text = Rc::new("five!"); // need not be `Send`
    ///         smol::future::yield_now().await;
    ///         text.len()
    ///     });
    ///     assert!(matches!(smol::block_on(length), Ok(5)));
    ///     assert!(matches!(smol::block_on(machine.spawn_on(1, || async {})), Err(SpawnError::NoSuchCpu)));
    ///     machine.shutdown().unwrap();
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// What must not compile: a closure that takes something along that cannot be sent, or borrows, and a result that cannot come back.
    ///
    /// ```compile_fail,E0277
    /// # use smpcall_host::Machine;
    /// fn takes_along(machine: &Machine, local: std::rc::Rc<u32>) {
    ///     let _ = machine.spawn_on(0, move || async move { *local }); // `Rc<u32>` cannot be sent between threads safely
    /// }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use smpcall_host::Machine;
    /// fn comes_back(machine: &Machine) {
    ///     let _ = machine.spawn_on(0, || async { std::rc::Rc::new(1) }); // `Rc<i32>` cannot be sent between threads safely
    /// }
    /// ```
    ///
    /// ```compile_fail,E0597
    /// # use smpcall_host::Machine;
    /// fn borrows(machine: &Machine) {
    ///     let local = 1;
    ///     let lent = &local; // `local` does not live long enough
    ///     let _ = machine.spawn_on(0, move || async move { *lent });
    /// }
    /// ```
    pub fn spawn_on<M, F>(&self, cpu: u32, make: M) -> Spawned<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let task = Arc::new(Task::new(make));
        if let Err(error) = self.post(cpu, &task) {
            let error = match error {
                PostError::NoSuchCpu => SpawnError::NoSuchCpu,
                _ => SpawnError::Offline,
            };
            // SAFETY: the post was refused, so nobody else has it (I37, I38).
            unsafe { task.refuse(error) };
        }
        Spawned { task }
    }
}

/// A future on another CPU, to be awaited: the handle of [`Machine::spawn_on`].
///
/// **Dropped**, it lets the task go on by itself, and the result is dropped with the task or with this, whichever goes last; as tokio's
/// handles do (and smol's do when they are detached). To end the task, [`abort`](Self::abort) it.
///
/// ```
/// use smpcall_host::{Machine, WakerCell};
/// use std::{pin::pin, task::{Context, Poll, Waker}};
///
/// let machine = Machine::builder().attachable(1).build()?;
/// let mut here = machine.attach_with(0, WakerCell::new())?;
/// let mut spawned = machine.spawn_on(0, || async { 5 });
/// assert!(!spawned.is_finished());
/// spawned.abort(); // it has not begun: its closure is dropped
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(matches!(pin!(&mut spawned).poll(&mut cx), Poll::Ready(Err(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Spawned<T> {
    task: Arc<dyn Joins<T>>,
}

impl<T> Spawned<T> {
    /// Ends the task: if its closure has not been handed to the executor, it is dropped here and now; else its executor drops the future, at its next
    /// turn. A task that has ended, or does before that turn, has its result all the same.
    ///
    /// Context: any in which what the closure holds may be dropped. Progress: lock-free.
    ///
    /// Example: [`Spawned`].
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Returns whether there is an outcome.
    ///
    /// Example: [`Spawned`].
    pub fn is_finished(&self) -> bool {
        self.task.joint().is_done()
    }
}

impl<T> Future for Spawned<T> {
    type Output = Result<T, SpawnError>;

    /// # Panics
    ///
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let joint = self.task.joint();
        // First the waker, then the look: who is done in between wakes it.
        joint.joiner.register(context.waker());
        if !joint.is_done() {
            return Poll::Pending;
        }
        // SAFETY: this is the handle, and there is one.
        Poll::Ready(unsafe { joint.take() }.expect("a handle is polled after it was ready"))
    }
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// A task for the executor of the thread that it was posted to: a future that a [`LocalSpawner`] is given, and that stays on its thread.
///
/// If it is dropped before it is ready, whoever awaits the result is told [`SpawnError::Dropped`].
#[must_use = "a future does nothing unless it is polled"]
pub struct LocalTask {
    task: Arc<dyn Runs>,
    own_thread: PhantomData<*const ()>,
}

impl LocalTask {
    fn new(task: Arc<dyn Runs>) -> Self {
        Self { task, own_thread: PhantomData }
    }
}

impl Future for LocalTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: by I37 this is the thread of its future, and the one way to it.
        unsafe { self.task.poll(context) }
    }
}

impl Drop for LocalTask {
    fn drop(&mut self) {
        // SAFETY: as above; it is not polled any more.
        unsafe { self.task.end(SpawnError::Dropped) };
    }
}

impl fmt::Debug for LocalTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTask").finish_non_exhaustive()
    }
}
