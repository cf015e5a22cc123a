//! Which cores the measurements run on, and how to wait there.
//!
//! Two threads that share a core must not spin for each other: whoever waits yields. With a core each they spin, and
//! yield now and then, since other processes may want the core too.

use smpcall_host::{Attached, Cores, Machine, Trace, allowed_cores, pin_this_thread};
use std::time::{Duration, Instant};

/// After how long a wait is given up, and the call counted as lost.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// How long a target is left alone so that it is asleep when the next call comes.
const SETTLE: Duration = Duration::from_micros(30);
/// The same where it needs our core to fall asleep.
const SETTLE_SHARED: Duration = Duration::from_micros(100);

/// A cache line, or two, of its own: some CPUs fetch them in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Line<T>(pub T);

/// Whether the two threads can run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A core each.
    Apart,
    /// One core for both.
    Shared,
}

/// The cores that the process may use; the first two are those between which everything is timed.
#[derive(Clone, Debug)]
pub struct Place {
    /// Empty if the system does not say: then nothing is pinned.
    pub cores: Vec<usize>,
}

impl Place {
    /// As the system says.
    pub fn find() -> Self {
        Self { cores: allowed_cores() }
    }

    /// How its first two threads are to wait for each other.
    pub fn pace(&self) -> Pace {
        if self.cores.len() == 1 { Pace::Shared } else { Pace::Apart }
    }

    /// The core of the thread that calls.
    pub fn caller(&self) -> Option<usize> {
        self.cores.first().copied()
    }

    /// The core of the CPU that is called.
    pub fn target(&self) -> Option<usize> {
        self.cores.get(1).or(self.cores.first()).copied()
    }

    /// The machine's own threads: the target's core first, the caller's last, and round again.
    pub fn owned(&self) -> Cores {
        let mut cores = self.cores.clone();
        match cores.len() {
            0 => Cores::Unpinned,
            _ => {
                cores.rotate_left(1);
                Cores::These(cores)
            }
        }
    }

    /// Makes the calling thread a CPU, on the given core if it is known.
    ///
    /// # Errors
    ///
    /// As [`Machine::attach`].
    pub fn attach<T: Trace>(
        machine: &Machine<T>,
        cpu: u32,
        core: Option<usize>,
    ) -> anyhow::Result<Attached<'_, T>> {
        Ok(match core {
            Some(core) => machine.attach_pinned(cpu, core)?,
            None => machine.attach(cpu)?,
        })
    }
}

/// Keeps the calling thread on a core, if it is known.
///
/// # Errors
///
/// The kernel refused.
pub fn pin(core: Option<usize>) -> anyhow::Result<()> {
    core.map_or(Ok(()), |core| Ok(pin_this_thread(core)?))
}

impl Pace {
    /// Waits until `done`; `false` if that took longer than anything that works would take.
    #[inline]
    pub fn wait_until(self, mut done: impl FnMut() -> bool) -> bool {
        let spins = match self {
            Self::Apart => 1 << 12,
            Self::Shared => 0,
        };
        for _ in 0..spins {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        Self::wait_long(spins, done)
    }

    #[cold]
    fn wait_long(spins: u32, mut done: impl FnMut() -> bool) -> bool {
        let since = Instant::now();
        while !done() {
            std::thread::yield_now();
            for _ in 0..spins / 64 {
                std::hint::spin_loop();
            }
            if since.elapsed() > GIVE_UP_AFTER {
                return done();
            }
        }
        true
    }

    /// Lets the target fall asleep.
    pub fn settle(self) {
        match self {
            Self::Shared => std::thread::sleep(SETTLE_SHARED),
            Self::Apart => {
                let since = Instant::now();
                while since.elapsed() < SETTLE {
                    std::hint::spin_loop();
                }
            }
        }
    }

    /// So many where both threads run at once, one where each call costs a change of threads.
    pub fn batch(self, calls: u32) -> u32 {
        match self {
            Self::Apart => calls,
            Self::Shared => 1,
        }
    }
}

/// Waits in a function, on a target that knows nothing of its cores: spins for a moment, then yields.
pub fn linger_until(done: impl FnMut() -> bool) -> bool {
    Pace::Apart.wait_until(done)
}
