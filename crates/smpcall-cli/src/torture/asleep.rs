//! Whether a thread sleeps: what the kernel says of it.
//!
//! "It has not answered for a second" says nothing on a machine that is loaded: the thread may be off its core. "It is
//! asleep, and so is everybody who could still ring it" says that the doorbell is lost.

use anyhow::{Context, Result};
use std::fs;

/// A look at one thread. Two looks that are equal, and say that it sleeps, mean that it slept from the one to the other:
/// the number of its sleeps would be higher otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) is_asleep: bool,
    sleeps: u64,
}

/// The number by which the kernel knows the calling thread.
pub(super) fn this_thread() -> u64 {
    nix::unistd::gettid().as_raw().unsigned_abs().into()
}

/// Looks at a thread of this process.
pub(super) fn look(thread: u64) -> Result<Look> {
    let path = format!("/proc/self/task/{thread}/status");
    let status = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {path}: it is how a lost doorbell is told from a slow thread")
    })?;
    parse(&status).with_context(|| format!("cannot make sense of {path}"))
}

fn parse(status: &str) -> Option<Look> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let is_asleep = field("State:")?.starts_with('S');
    let sleeps = field("voluntary_ctxt_switches:")?.parse().ok()?;
    Some(Look { is_asleep, sleeps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn the_kernels_words_are_understood() {
        let status =
            "Name:\tx\nState:\tS (sleeping)\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t7\n";
        assert_eq!(parse(status), Some(Look { is_asleep: true, sleeps: 7 }));
        assert_eq!(
            parse("State:\tR (running)\nvoluntary_ctxt_switches:\t0\n").map(|look| look.is_asleep),
            Some(false)
        );
        assert_eq!(parse("State:\tS\n"), None);
    }

    #[test]
    fn a_thread_that_waits_sleeps_and_one_that_was_woken_has_slept_once_more() {
        let (wake, woken) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let sleeper = thread::spawn(move || {
            tell.send(this_thread()).unwrap();
            while woken.recv().is_ok() {}
        });
        let number = told.recv().unwrap();
        let asleep = || loop {
            let seen = look(number).unwrap();
            if seen.is_asleep && look(number).unwrap() == seen {
                return seen;
            }
            thread::sleep(Duration::from_millis(1));
        };
        let first = asleep();
        wake.send(()).unwrap();
        // It may not have run yet, and then is said to be awake: the kernel knows.
        assert_ne!(asleep(), first);
        assert!(!look(this_thread()).unwrap().is_asleep);
        drop(wake);
        sleeper.join().unwrap();
    }
}
