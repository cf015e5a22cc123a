//! An executor whose tasks embed a csd: `cargo run -p smpcall-host --example executor`.
//!
//! A task belongs to a CPU, whose flush polls it, in call context: a future that waits for a call there is refused, as any function
//! would be. [`task`] has the task; this file spawns, joins, blocks, and has a channel to show it with.
//! `integrations/compio-executor` is one for futures that are not `Send`, polled outside of call context.

#[path = "executor/task.rs"]
mod task;

use smpcall_host::Machine;
use smpcall_host::smpcall::PostError;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use task::{Home, Task};

/// A CPU of the host's machine.
struct Cpu {
    machine: Arc<Machine>,
    cpu: u32,
}

impl Home for Cpu {
    fn post(&self, task: &Arc<Task<Self>>) {
        // Offline: the executor has ended, and its tasks with it.
        let _ = self.machine.post(self.cpu, task);
    }
}

/// CPUs that poll tasks.
struct Executor(Arc<Machine>);

impl Executor {
    /// As many as asked for, each a thread.
    fn new(cpus: usize) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self(Arc::new(Machine::builder().owned(cpus).build()?)))
    }

    /// Starts a task on a CPU.
    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        cpu: u32,
        future: F,
    ) -> Result<impl Future<Output = T> + use<T, F>, PostError> {
        let value = Channel::new();
        let answer = value.clone();
        let future = async move { answer.send(future.await) };
        let task = Task::new(Cpu { machine: self.0.clone(), cpu }, future);
        self.0.post(cpu, &task)?;
        Ok(async move { value.receive().await })
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.0.shutdown().expect("nobody ends an executor from one of its tasks");
    }
}

/// Values for one receiver.
struct Channel<T>(Mutex<(VecDeque<T>, Option<Waker>)>);

impl<T> Channel<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((VecDeque::new(), None))))
    }

    fn send(&self, value: T) {
        let waker = {
            let mut inside = self.0.lock().expect("nobody panics in here");
            inside.0.push_back(value);
            inside.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn receive(&self) -> T {
        poll_fn(|cx| {
            let mut inside = self.0.lock().expect("nobody panics in here");
            if let Some(value) = inside.0.pop_front() {
                return Poll::Ready(value);
            }
            inside.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on a thread that is no CPU.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const ROUNDS: u32 = 10_000;
    let executor = Executor::new(2)?;
    let (there, back) = (Channel::new(), Channel::new());
    let (ask, answer) = (there.clone(), back.clone());
    let asks = executor.spawn(0, async move {
        let mut sum = 0;
        for number in 0..ROUNDS {
            ask.send(number);
            sum += u64::from(back.receive().await);
        }
        sum
    })?;
    let answers = executor.spawn(1, async move {
        for _ in 0..ROUNDS {
            answer.send(there.receive().await * 2);
        }
    })?;
    block_on(answers);
    println!("{ROUNDS} questions to another CPU and their answers: {}", block_on(asks));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    #[test]
    fn tasks_of_two_cpus_talk() {
        main().unwrap();
    }

    /// P2: the last poll has seen what every waker wrote. P5: it wakes itself as well.
    #[test]
    fn no_wake_is_lost() {
        const WAKES: u32 = 2_000;
        let executor = Executor::new(1).unwrap();
        let (written, slot) = (Arc::new(AtomicU32::new(0)), Channel::new());
        let (seen, give) = (written.clone(), slot.clone());
        let mut turns = 0;
        let task = poll_fn(move |cx| {
            turns += 1;
            match turns {
                1 => give.send(cx.waker().clone()),
                ..100 => cx.waker().wake_by_ref(),
                _ => {}
            }
            if seen.load(SeqCst) == 4 * WAKES { Poll::Ready(turns) } else { Poll::Pending }
        });
        let ends = executor.spawn(0, task).unwrap();
        let waker = block_on(slot.receive());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..WAKES {
                        written.fetch_add(1, SeqCst);
                        waker.wake_by_ref();
                    }
                });
            }
        });
        assert!(block_on(ends) <= 1 + 4 * WAKES + 100);
    }

    /// P1, P8, P11: a task is not polled after its end, nor after the executor's; its last pointer is a waker's.
    #[test]
    fn wakers_outlive_their_tasks_and_the_executor() {
        let executor = Executor::new(1).unwrap();
        let (polls, slot) = (Arc::new(AtomicU32::new(0)), Channel::new());
        let [ended, waits] = [true, false].map(|ends| {
            let (polls, slot) = (polls.clone(), slot.clone());
            let task = poll_fn(move |cx| {
                polls.fetch_add(1, SeqCst);
                slot.send(cx.waker().clone());
                if ends { Poll::Ready(()) } else { Poll::Pending }
            });
            executor.spawn(0, task).unwrap()
        });
        let wakers = [block_on(slot.receive()), block_on(slot.receive())];
        block_on(ended);
        wakers[0].wake_by_ref();
        drop((executor, waits));
        wakers.iter().for_each(Waker::wake_by_ref);
        assert_eq!(polls.load(SeqCst), 2);
        drop(wakers);
        assert_eq!(Arc::strong_count(&polls), 1, "their futures are gone");
        assert!(Executor::new(1).unwrap().spawn(7, async {}).is_err_and(|why| why == PostError::NoSuchCpu));
    }
}
