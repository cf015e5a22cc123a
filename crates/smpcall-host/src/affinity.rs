//! Which cores the process may use, and how a thread is kept on one.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::OnceLock;

/// Returns the numbers of the cores that the calling thread may use, lowest first.
pub fn allowed_cores() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect(),
        // A kernel with more cores than the set has room for: then nothing is known, and nothing is pinned.
        Err(_) => Vec::new(),
    }
}

/// Returns how many cores the process could use before this crate kept any of its threads on one; 0 if that is not known.
/// A thread that is kept on a core says nothing about the others.
pub(crate) fn process_cores_len() -> usize {
    static LEN: OnceLock<usize> = OnceLock::new();
    *LEN.get_or_init(|| allowed_cores().len())
}

/// Keeps the calling thread on one core.
///
/// # Errors
///
/// The kernel's, if the process may not use that core.
pub fn pin_this_thread(core: usize) -> std::io::Result<()> {
    process_cores_len();
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}
