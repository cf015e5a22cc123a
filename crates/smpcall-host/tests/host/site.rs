//! What the tests share: machines, a CPU that is held, a bound on every test.

use smpcall_host::smpcall::Csd;
use smpcall_host::{Builder, Cores, Idle, Machine, allowed_cores};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Far more than any test takes, also under a sanitizer on a loaded machine: whoever waits that long waits for ever.
const BOUND: Duration = Duration::from_secs(300);

/// How often a test goes round: `full`, or a part of it where `SMPCALL_TEST_SHRINK` says by how much. ThreadSanitizer
/// makes every access slow, and `cargo xtask sanitize` sets it there.
pub(crate) fn rounds(full: u32) -> u32 {
    static SHRINK: OnceLock<u32> = OnceLock::new();
    let shrink = SHRINK.get_or_init(|| match std::env::var("SMPCALL_TEST_SHRINK") {
        Ok(text) => text.parse().expect("SMPCALL_TEST_SHRINK is a number"),
        Err(_) => 1,
    });
    (full / (*shrink).max(1)).max(1)
}

/// Ends the process, and says which test it was, if it is not dropped in time.
pub(crate) struct Bounded {
    end: Option<mpsc::Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

pub(crate) fn bounded() -> Bounded {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let (end, ended) = mpsc::channel();
    let watch = move || {
        if ended.recv_timeout(BOUND) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name} has not ended after {BOUND:?}");
            std::process::abort();
        }
    };
    Bounded { end: Some(end), watch: Some(thread::spawn(watch)) }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.end = None;
        if let Some(watch) = self.watch.take() {
            watch.join().expect("it only waits");
        }
    }
}

/// A machine that functions can hold on to, shut down when the test is over.
pub(crate) struct Site(Arc<Machine>);

impl Site {
    pub(crate) fn new(builder: Builder) -> Self {
        Self(Arc::new(builder.build().expect("this machine can be had")))
    }

    pub(crate) fn owned(cpus: usize, idle: Idle) -> Self {
        Self::new(Machine::builder().owned(cpus).idle(idle))
    }

    pub(crate) fn handle(&self) -> Arc<Machine> {
        Arc::clone(&self.0)
    }
}

impl Deref for Site {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.0
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.0.shutdown().expect("a test's thread is no CPU that the machine owns");
    }
}

pub(crate) const IDLES: [Idle; 3] = [Idle::Sleep, Idle::PollThenSleep(Duration::from_micros(20)), Idle::Poll];

/// Machines of two and four CPUs, and of more than there are cores, with each way to be idle that makes sense there.
pub(crate) fn sites() -> impl Iterator<Item = Site> {
    let cores = allowed_cores().len().max(1);
    let pinned = [2, 4].into_iter().flat_map(move |cpus| {
        // Threads that poll for ever need a core each, or none gets far.
        let idles = IDLES.into_iter().filter(move |idle| *idle != Idle::Poll || cpus <= cores);
        idles.map(move |idle| Machine::builder().owned(cpus).idle(idle))
    });
    let crowded = Machine::builder().owned(cores + 3);
    let adrift = Machine::builder().owned(cores + 3).cores(Cores::Unpinned);
    pinned.chain([crowded, adrift]).map(Site::new)
}

pub(crate) fn counted<F: Fn() + Send + Sync + 'static>(function: F) -> Arc<Csd<F>> {
    Arc::new(Csd::new(function))
}

/// A csd of whatever closure.
pub(crate) type Boxed = Csd<Box<dyn Fn() + Send + Sync>>;

/// A csd whose function can reach it.
pub(crate) fn cyclic<F>(function: impl FnOnce(Weak<Boxed>) -> F) -> Arc<Boxed>
where
    F: Fn() + Send + Sync + 'static,
{
    Arc::new_cyclic(|itself| Boxed::new(Box::new(function(Weak::clone(itself)))))
}

/// Waits until something has come about that somebody else brings about.
pub(crate) fn eventually(mut done: impl FnMut() -> bool) {
    for round in 0_u32.. {
        if done() {
            return;
        }
        if round < 100 { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
    }
}

/// Runs `f` in this thread while `other` runs in another; both have ended when it returns.
pub(crate) fn beside<R>(other: impl FnOnce() + Send, f: impl FnOnce() -> R) -> R {
    thread::scope(|scope| {
        scope.spawn(other);
        f()
    })
}

/// Something that happens once, and that others wait for.
#[derive(Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn wait(&self) {
        eventually(|| self.is_set());
    }
}

/// Counts, and shows to whoever reads it what was written before.
#[derive(Default)]
pub(crate) struct Count(AtomicU32);

impl Count {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Adds one, and returns what it was before.
    pub(crate) fn up(&self) -> u32 {
        self.0.fetch_add(1, Ordering::AcqRel)
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

/// A CPU in a function that does not return before this is dropped.
pub(crate) struct Held(Arc<Flag>);

pub(crate) fn hold(machine: &Machine, cpu: u32) -> Held {
    let (inside, let_go) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
    let holds = {
        let (inside, let_go) = (Arc::clone(&inside), Arc::clone(&let_go));
        counted(move || {
            inside.set();
            let_go.wait();
        })
    };
    let held = Held(let_go);
    machine.post(cpu, &holds).expect("the CPU is online");
    inside.wait();
    held
}

impl Held {
    /// What lets go of the CPU, for others.
    pub(crate) fn key(&self) -> Arc<Flag> {
        Arc::clone(&self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Something that a machine holds on to until its last thread is gone.
pub(crate) struct Witness(Weak<()>);

impl Witness {
    pub(crate) fn new(builder: Builder) -> (Builder, Self) {
        let held = Arc::new(());
        let witness = Self(Arc::downgrade(&held));
        (builder.on_call_stall(move |_| _ = &held), witness)
    }

    /// Whether nothing of the machine is left.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}
