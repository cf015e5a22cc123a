//! Which cores the process and its threads may use, and how a thread is kept on one, or let go.
//!
//! A thread's mask says little of the process: a program that keeps its main thread on a core has not given up the others,
//! and threads inherit the mask of who starts them. What the process may use is what it was started with (`taskset`, or who
//! started it, may have meant something by that), and what any of its threads may use now; of that, what its cgroup's cpuset
//! leaves, and what is online ([`Allowance`]).

use crate::allowance::Allowance;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mask that the process was started with, one bit for each core; all 0 if it is not known.
static AT_START: [AtomicU64; CpuSet::count() / 64] = [const { AtomicU64::new(0) }; CpuSet::count() / 64];

/// What the system takes for the calling thread.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Called by the loader, before `main` can keep its thread on a core.
// SAFETY: the section is for addresses of functions that the loader calls once, in the C calling convention; this one needs
// nothing that is not there before `main`: a system call and a static.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static REMEMBERS_THE_START: extern "C" fn() = {
    extern "C" fn remember() {
        for core in allowed_cores_iter() {
            // Relaxed: no other thread has been started.
            AT_START[core / 64].fetch_or(1 << (core % 64), Ordering::Relaxed);
        }
    }
    remember
};

/// Returns the cores that the process was started with.
pub(crate) fn cores_at_start() -> impl Iterator<Item = usize> {
    // Relaxed: written before `main`.
    (0..CpuSet::count()).filter(|core| AT_START[core / 64].load(Ordering::Relaxed) >> (core % 64) & 1 == 1)
}

fn allowed_cores_iter() -> impl Iterator<Item = usize> {
    // An error: a kernel with more cores than the set has room for. Then nothing is known.
    let set = sched_getaffinity(THIS_THREAD).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::count()).filter(move |&core| set.is_set(core) == Ok(true))
}

/// Returns the numbers of the cores that the calling thread may use, lowest first. For those that its process may use:
/// [`process_cores`].
///
/// Example: [`process_cores`].
pub fn allowed_cores() -> Vec<usize> {
    allowed_cores_iter().collect()
}

/// Returns the numbers of the cores that the process may use, lowest first, whatever the calling thread is kept on: those that
/// it was started with or that any of its threads may use now, as far as its cgroup's cpuset has them and they are online.
/// Empty if the system says nothing of it.
///
/// It reads a file for each thread of the process.
///
/// ```
/// use smpcall_host::{allowed_cores, pin_this_thread, process_cores};
///
/// let cores = process_cores();
/// pin_this_thread(cores[0])?;
/// assert_eq!((allowed_cores(), process_cores()), (vec![cores[0]], cores));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn process_cores() -> Vec<usize> {
    Allowance::of_this_process().cores
}

/// Keeps the calling thread on one core. Threads that it starts later inherit that: see [`unpin_this_thread`].
///
/// # Errors
///
/// The kernel's, if the process may not use that core.
///
/// Example: [`process_cores`].
pub fn pin_this_thread(core: usize) -> std::io::Result<()> {
    keep_on(&[core])
}

/// Lets the calling thread run on all [cores that the process may use](process_cores).
///
/// A thread inherits the mask of the thread that starts it. So what is started from a function on a pinned CPU, from
/// [`on_start`](crate::Builder::on_start), or after [`attach_pinned`](crate::Machine::attach_pinned) or [`pin_this_thread`] is
/// kept on that one core, and a pool that asks how many cores there are (rayon's and tokio's by default) gets one thread. Start
/// such threads before, or let this be the first thing that each of them does.
///
/// ```
/// use smpcall_host::{Machine, process_cores, unpin_this_thread};
/// use std::thread::{available_parallelism, spawn};
///
/// let machine = Machine::builder().owned(1).build()?;
/// let pool = machine.call(0, || spawn(|| unpin_this_thread().and_then(|()| available_parallelism())))?;
/// let threads = pool.join().expect("it only asks")?.get();
/// assert!(threads <= process_cores().len(), "a quota may allow fewer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The kernel's; also if nothing is known of the cores.
pub fn unpin_this_thread() -> std::io::Result<()> {
    keep_on(&process_cores())
}

/// Keeps the calling thread on these cores.
pub(crate) fn keep_on(cores: &[usize]) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    Ok(sched_setaffinity(THIS_THREAD, &set)?)
}

/// Runs `f` in a thread that is kept on one core, and tells it which.
#[cfg(test)]
pub(crate) fn on_one_core(f: impl FnOnce(usize) + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let core = allowed_cores()[0];
            pin_this_thread(core).expect("it may use that core");
            f(core);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_remembered_and_a_thread_that_was_pinned_is_let_go() {
        let all = process_cores();
        assert!(cores_at_start().count() > 0, "the loader has called");
        assert!(allowed_cores().iter().all(|core| all.contains(core)));
        on_one_core(|core| {
            assert_eq!((allowed_cores(), process_cores()), (vec![core], all.clone()));
            std::thread::spawn(move || assert_eq!(allowed_cores(), [core], "inherited")).join().unwrap();
            unpin_this_thread().unwrap();
            assert_eq!(allowed_cores(), all);
        });
    }

    #[test]
    fn cores_that_no_set_has_room_for_are_refused() {
        for core in [CpuSet::count(), usize::MAX] {
            assert_eq!(pin_this_thread(core).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        }
        assert!(keep_on(&[]).is_err());
    }
}
