//! compio's executor, by its documented interface, on tasks that embed a csd.
//!
//! The executor is a CPU of a machine of one. A task is an `Arc` that embeds a [`CsdField`](smpcall::CsdField), and a wake from
//! another thread posts it to that CPU: a compare-and-swap at the csd's state and one at the queue's head, no lock, no
//! allocation, and no bound. `Busy` means "scheduled already", and that the poll to come sees what the waker wrote (P2). The
//! first post to an executor that rests rings its doorbell, which is the waker that its user gave it (P7).
//!
//! A wake from the executor's own thread goes past all that, to the queue of tasks that are ready.
//!
//! | module | holds |
//! |---|---|
//! | `port` | all that touches smpcall: the port, posts, flushes |
//! | `ready` | what is the thread's own: tasks that are ready, tasks that live |
//! | `task` | a future, its csd and its outcome, in one allocation |
//! | `outcome` | what the task's handle waits for |
//! | `join` | the handle |
//! | `console` | what the interface has for tokio's console |

pub mod console;
mod executor;
mod join;
mod outcome;
mod port;
mod ready;
mod task;

pub use console::SpawnMeta;
pub use executor::{Executor, ExecutorConfig};
pub use join::{JoinError, JoinHandle, ResumeUnwind};
