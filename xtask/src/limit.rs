//! A limit for each step: one that hangs fails by its name, and what it started ends with it.

use crate::sh::Cmd;
use std::collections::HashMap;
use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Longer than any step takes on a slow machine, and short enough for the verdict to come within CI's own limit.
pub(crate) const STEP: Duration = Duration::from_secs(25 * 60);

/// Runs `body`. When `limit` has passed all that this process has started is killed, so that `body` sees it fail.
pub(crate) fn limited<R>(limit: Duration, body: impl FnOnce() -> R) -> (R, Killed) {
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let mut killed = Killed::Nothing;
            let mut left = limit;
            // What was killed may be followed by more of the same step's: that has a second each.
            while end.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                killed = Killed::AtTheLimit;
                left = Duration::from_secs(1);
                kill_descendants();
            }
            killed
        });
        let result = body();
        drop(ended);
        (result, watch.join().expect("the watch only sends signals"))
    })
}

/// What became of a step's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    Nothing,
    AtTheLimit,
}

/// Kills every process that this one has started, and theirs.
fn kill_descendants() {
    let pids: Vec<String> = descendants(std::process::id(), &parents()).iter().map(u32::to_string).collect();
    if !pids.is_empty() {
        // Some may have ended since they were listed: that is no fault.
        let _ = Cmd::new("kill", "-KILL").args(&pids.join(" ")).capture();
    }
}

/// Each process' parent.
fn parents() -> HashMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // `pid (name) state parent …`: a name may hold anything, so what counts comes after the last bracket.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

fn descendants(of: u32, parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|&(_, &its)| its == parent).map(|(&pid, _)| pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn descendants_are_found_through_their_parents() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 3), (9, 8), (5, 2)]);
        let mut found = descendants(2, &parents);
        found.sort_unstable();
        assert_eq!(found, [3, 4, 5]);
        assert!(descendants(9, &parents).is_empty());
        assert_eq!(super::parents()[&std::process::id()], std::os::unix::process::parent_id());
    }

    #[test]
    fn what_ends_in_time_is_left_alone() {
        let (result, killed) = limited(Duration::from_secs(3600), || Cmd::new("true", "").run());
        assert!(result.is_ok());
        assert_eq!(killed, Killed::Nothing);
    }

    /// The test below, in a process of its own: other tests' children are not its descendants.
    #[test]
    #[ignore = "it is run by the test below"]
    fn a_step_that_hangs() {
        let hangs = || Command::new("sh").args(["-c", "sleep 3600; sleep 3600"]).status();
        let (result, killed) = limited(Duration::from_millis(100), hangs);
        assert!(!result.expect("sh started").success());
        assert_eq!(killed, Killed::AtTheLimit);
        assert!(descendants(std::process::id(), &super::parents()).is_empty(), "it left nothing behind");
    }

    #[test]
    fn what_hangs_is_killed_with_its_children() {
        let itself = std::env::current_exe().expect("this test's program");
        let run = Command::new(itself)
            .args(["--ignored", "--exact", "limit::tests::a_step_that_hangs"])
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
    }
}
