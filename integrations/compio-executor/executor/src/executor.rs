//! The executor.

use crate::console::SpawnMeta;
use crate::join::JoinHandle;
use crate::port::Home;
use crate::ready::Ready;
use crate::task::Task;
use std::marker::PhantomData;
use std::task::Waker;

/// How an [`Executor`] is made.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// For how many tasks there is room at first. It grows with the tasks that live, when they are spawned.
    pub local_queue_size: usize,

    /// How many tasks a tick polls at most.
    pub max_interval: u32,

    /// Is woken when a task becomes ready while the executor rests, once for each rest; from any thread. Whoever waits then
    /// calls [`Executor::tick`].
    pub waker: Option<Waker>,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self { local_queue_size: 64, max_interval: 61, waker: None }
    }
}

/// Polls tasks on one thread, which wakers of any thread make ready.
///
/// ```
/// let executor = compio_executor::Executor::new();
/// let task = executor.spawn(async { 6 * 7 });
/// assert!(!executor.tick() && task.is_finished());
/// executor.clear();
/// ```
#[derive(Debug)]
pub struct Executor {
    home: Home,
    polls_max: usize,
    /// Its thread's.
    _thread: PhantomData<*const ()>,
}

impl Executor {
    /// An executor of the caller's thread.
    pub fn new() -> Self {
        Self::with_config(ExecutorConfig::default())
    }

    /// The same, made otherwise than by default.
    pub fn with_config(config: ExecutorConfig) -> Self {
        let ExecutorConfig { local_queue_size, max_interval, waker } = config;
        Self {
            home: Home::new(waker, local_queue_size),
            polls_max: usize::try_from(max_interval).unwrap_or(usize::MAX),
            _thread: PhantomData,
        }
    }

    /// Starts a task: the next tick polls it. Its handle cancels it when dropped.
    pub fn spawn<F: Future + 'static>(&self, fut: F) -> JoinHandle<F::Output> {
        let task = Task::spawn(fut, &self.home, self.ready());
        JoinHandle::new(task)
    }

    /// The same, for a caller who says on whose behalf. That is for tokio's console alone.
    pub fn spawn_at<F: Future + 'static>(&self, fut: F, meta: SpawnMeta) -> JoinHandle<F::Output> {
        let SpawnMeta = meta;
        self.spawn(fut)
    }

    /// Takes the wake-ups of other threads, and polls each task that is ready, [`max_interval`](ExecutorConfig::max_interval) of
    /// them at most. A task that becomes ready meanwhile waits for the next tick.
    ///
    /// Returns whether tasks are ready now; then the caller ticks again before it sleeps. The executor's waker is woken for that too,
    /// by which a driver leaves out its sleep; by other threads it is not, until a tick has returned `false`.
    pub fn tick(&self) -> bool {
        let ready = self.ready();
        ready.set_resting(false);
        self.home.collect();
        for _ in 0..ready.len().min(self.polls_max) {
            // Fewer, if a task ticks the executor in turn.
            let Some(task) = ready.pop() else { break };
            task.run();
        }
        let rests = ready.is_empty() && self.home.rest();
        ready.set_resting(rests);
        if !rests {
            // A driver that is asked to wait for no time sets a timer, and may give up its core; one that was notified does neither.
            self.home.ring();
        }
        !rests
    }

    /// Drops all tasks: their handles say that they were cancelled. Tasks that live when the executor is dropped without are
    /// leaked. A task that is being polled, further up the stack, is dropped when its poll returns.
    ///
    /// A panic in the drop of a task aborts the process.
    pub fn clear(&self) {
        self.ready().clear();
    }

    fn ready(&self) -> &Ready {
        self.home.ready().expect("an executor stays on its thread")
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.home.close();
        self.ready().close();
    }
}
