//! What wakes of compio's tasks cost. The same source is built on our executor and, in `theirs`, on compio's own.
//!
//! `bench`: reads the name of a measure from each line of its input, takes it a few times, and answers `NAME FIGURE`; so that `compare`
//! can take the two in turn. `bench MEASURE ROUNDS`: takes it that often, for whoever counts system calls.

use compio::runtime::{Runtime, spawn};
use compio_executor::{Executor, ExecutorConfig};
use nix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{BufRead, Write, stdin, stdout};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 4;
const TASKS: usize = 1_000;
/// Rounds of a flood, in each of which every task is woken.
const FLOOD: u32 = 100;
/// Wakes of one task by each thread.
const BUSY: u32 = 50_000;

/// A task that waits, and counts.
#[derive(Default)]
struct Task {
    waker: Mutex<Option<Waker>>,
    polls: AtomicU32,
}

impl Task {
    fn waker(&self) -> Waker {
        self.waker.lock().unwrap().clone().expect("it was polled")
    }
}

/// What a poll of a task tells: the time of the last one of a round.
struct Round {
    left: AtomicUsize,
    ended: Sender<Instant>,
}

/// A runtime with so many tasks on a thread of its own, each polled once; they end with the runtime, when `stop` is called.
struct Rig {
    tasks: Arc<Vec<Task>>,
    round: Arc<Round>,
    stop: Arc<Mutex<(bool, Option<Waker>)>>,
    thread: thread::JoinHandle<()>,
}

impl Rig {
    fn new(tasks: usize, ended: Sender<Instant>) -> Self {
        let tasks: Arc<Vec<_>> = Arc::new((0..tasks).map(|_| Task::default()).collect());
        let round = Arc::new(Round { left: AtomicUsize::new(tasks.len()), ended });
        let stop = Arc::default();
        let thread = {
            let (tasks, round, stop) = (tasks.clone(), round.clone(), Arc::clone(&stop));
            thread::spawn(move || Runtime::new().expect("a driver").block_on(Self::run(tasks, round, stop)))
        };
        Self { tasks, round, stop, thread }
    }

    async fn run(tasks: Arc<Vec<Task>>, round: Arc<Round>, stop: Arc<Mutex<(bool, Option<Waker>)>>) {
        for number in 0..tasks.len() {
            let (tasks, round) = (tasks.clone(), round.clone());
            spawn(poll_fn(move |cx| {
                let task = &tasks[number];
                // Relaxed, and only this thread writes it: the read-modify-write below publishes.
                let polls = task.polls.load(Ordering::Relaxed);
                if polls == 0 {
                    *task.waker.lock().unwrap() = Some(cx.waker().clone());
                }
                // Release: who waits for this poll sees what it did; pairs with `flood`.
                task.polls.store(polls + 1, Ordering::Release);
                // Relaxed: a count; the channel orders the rest.
                if round.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    let _ = round.ended.send(Instant::now());
                }
                Poll::<()>::Pending
            }))
            .detach();
        }
        poll_fn(|cx| {
            let mut stop = stop.lock().unwrap();
            stop.1 = Some(cx.waker().clone());
            if stop.0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Each thread's share of the tasks.
    fn shares(&self) -> Vec<Vec<(usize, Waker)>> {
        let wakers: Vec<_> = self.tasks.iter().map(Task::waker).enumerate().collect();
        wakers.chunks(self.tasks.len() / THREADS).map(<[_]>::to_vec).collect()
    }

    fn stop(self) {
        {
            let mut stop = self.stop.lock().unwrap();
            stop.0 = true;
            if let Some(waker) = stop.1.take() {
                waker.wake();
            }
        }
        self.thread.join().expect("the runtime ends");
    }
}

/// A thousand tasks, each woken once, by four threads that begin together, on a runtime that sleeps. From the first wake until the
/// last task has been polled; and what a wake takes its thread. Per thousand wakes, in ns.
fn burst(rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    let (ended, end) = channel();
    let rig = Rig::new(TASKS, ended);
    end.recv().expect("the tasks are polled once");
    let shares = rig.shares();
    for _ in 0..rounds {
        // Relaxed: the polls that count down are asked for by wakes that come after it, which publish it.
        rig.round.left.store(TASKS, Ordering::Relaxed);
        // So that the runtime sleeps; nothing depends on it but what is measured.
        thread::sleep(Duration::from_millis(2));
        let barrier = Barrier::new(THREADS);
        let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
            let threads: Vec<_> = shares
                .iter()
                .map(|share| {
                    scope.spawn(|| {
                        barrier.wait();
                        let begin = Instant::now();
                        share.iter().for_each(|(_, waker)| waker.wake_by_ref());
                        (begin, Instant::now())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it only wakes")).collect()
        });
        let last = end.recv().expect("all are polled");
        let first = times.iter().map(|(begin, _)| *begin).min().expect("four threads");
        report("burst", (last - first).as_nanos() as f64);
        let in_wakes: Duration = times.iter().map(|(begin, end)| *end - *begin).sum();
        report("burst_wakers", in_wakes.as_nanos() as f64);
    }
    rig.stop();
}

/// What a thread was given of a core, so that others on the machine do not count.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has it").into()
}

/// A doorbell that costs next to nothing.
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Relaxed: nobody looks.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The executor alone, without a driver: a thousand tasks, each woken once, by four threads; then polled. What the threads spent in
/// wakes, what the executor's thread spent in ticks, and both together. Per thousand wakes, in ns of the threads' own time.
fn executor(rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    let bell = Arc::new(Bell(AtomicU32::new(0)));
    let executor =
        Executor::with_config(ExecutorConfig { waker: Some(Waker::from(bell)), ..Default::default() });
    let tasks: Arc<Vec<_>> = Arc::new((0..TASKS).map(|_| Task::default()).collect());
    for number in 0..TASKS {
        let tasks = tasks.clone();
        let task = poll_fn(move |cx| {
            let task = &tasks[number];
            // Relaxed: this thread's own.
            if task.polls.fetch_add(1, Ordering::Relaxed) == 0 {
                *task.waker.lock().unwrap() = Some(cx.waker().clone());
            }
            Poll::<()>::Pending
        });
        executor.spawn(task).detach();
    }
    while executor.tick() {}
    let wakers: Vec<_> = tasks.iter().map(Task::waker).collect();
    for round in 1..=rounds {
        let barrier = Barrier::new(THREADS);
        let in_wakes: Duration = thread::scope(|scope| {
            let threads: Vec<_> = wakers
                .chunks(TASKS / THREADS)
                .map(|share| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        let begin = thread_time();
                        share.iter().for_each(Waker::wake_by_ref);
                        thread_time() - begin
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it only wakes")).sum()
        });
        let begin = thread_time();
        while executor.tick() {}
        let in_ticks = thread_time() - begin;
        // Relaxed: this thread's own.
        assert!(tasks.iter().all(|task| task.polls.load(Ordering::Relaxed) == round + 1));
        report("executor_wakes", in_wakes.as_nanos() as f64);
        report("executor_ticks", in_ticks.as_nanos() as f64);
        report("executor", (in_wakes + in_ticks).as_nanos() as f64);
    }
    executor.clear();
}

/// The same again and again without a pause: each thread wakes its next task as soon as that has been polled, so that every wake
/// schedules. Per thousand wakes, in ns.
fn flood(rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    let (ended, end) = channel();
    let rig = Rig::new(TASKS, ended);
    end.recv().expect("the tasks are polled once");
    let shares = rig.shares();
    for _ in 0..rounds {
        // Relaxed: as in `burst`.
        rig.round.left.store(TASKS * FLOOD as usize, Ordering::Relaxed);
        let begin = Instant::now();
        thread::scope(|scope| {
            for share in &shares {
                scope.spawn(|| {
                    // Relaxed: at rest.
                    let before: Vec<_> = share
                        .iter()
                        .map(|(task, _)| rig.tasks[*task].polls.load(Ordering::Relaxed))
                        .collect();
                    for round in 0..FLOOD {
                        for ((task, waker), before) in share.iter().zip(&before) {
                            // Acquire: pairs with the poll.
                            while rig.tasks[*task].polls.load(Ordering::Acquire) != before.wrapping_add(round)
                            {
                                thread::yield_now();
                            }
                            waker.wake_by_ref();
                        }
                    }
                });
            }
        });
        let last = end.recv().expect("all are polled");
        report("flood", (last - begin).as_nanos() as f64 / f64::from(FLOOD));
    }
    rig.stop();
}

/// Four threads wake one task as fast as they can; mostly it is scheduled already. Per thousand wakes, in ns.
fn busy(rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    let (ended, end) = channel();
    let rig = Rig::new(1, ended);
    end.recv().expect("the task is polled once");
    // It never comes to that. Relaxed: as in `burst`.
    rig.round.left.store(usize::MAX, Ordering::Relaxed);
    let waker = rig.tasks[0].waker();
    for _ in 0..rounds {
        let begin = Instant::now();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..BUSY).for_each(|_| waker.wake_by_ref()));
            }
        });
        let wakes = THREADS as f64 * f64::from(BUSY);
        report("busy", begin.elapsed().as_nanos() as f64 * 1e3 / wakes);
    }
    rig.stop();
}

/// A thousand tasks that yield a hundred times each, on the runtime's own thread. Per thousand wakes, in ns.
fn local(rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    let runtime = Runtime::new().expect("a driver");
    for _ in 0..rounds {
        let begin = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let mut left = FLOOD;
                    spawn(poll_fn(move |cx| {
                        if left == 0 {
                            return Poll::Ready(());
                        }
                        left -= 1;
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }))
                })
                .collect();
            for task in tasks {
                task.await.expect("it yields, and ends");
            }
        });
        report("local", begin.elapsed().as_nanos() as f64 / f64::from(FLOOD));
    }
}

/// Tasks that are spawned and end at once, a thousand at a time. Per thousand tasks, in ns.
fn spawns(rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    let runtime = Runtime::new().expect("a driver");
    for _ in 0..rounds {
        let ended = Rc::new(Cell::new(0));
        let begin = Instant::now();
        runtime.block_on(async {
            for _ in 0..10 {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let ended = ended.clone();
                        spawn(async move { ended.set(ended.get() + 1) })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("it ends");
                }
            }
        });
        assert_eq!(ended.get(), 10 * TASKS);
        report("spawn", begin.elapsed().as_nanos() as f64 / 10.0);
    }
}

fn take(measure: &str, rounds: u32, report: &mut dyn FnMut(&str, f64)) {
    match measure {
        "burst" => burst(rounds, report),
        "executor" => executor(rounds, report),
        "flood" => flood(rounds, report),
        "busy" => busy(rounds, report),
        "local" => local(rounds, report),
        "spawn" => spawns(rounds, report),
        other => panic!("no measure `{other}`: burst, executor, flood, busy, local, spawn"),
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let mut report = |name: &str, figure: f64| println!("{name} {figure:.0}");
    if let [measure, rounds] = &args[..] {
        return take(measure, rounds.parse().expect("how many rounds"), &mut report);
    }
    for line in stdin().lock().lines() {
        let measure = line.expect("text");
        let rounds = if matches!(&measure[..], "burst" | "executor") { 20 } else { 3 };
        take(&measure, rounds, &mut report);
        println!("end");
        stdout().flush().expect("somebody reads");
    }
}
