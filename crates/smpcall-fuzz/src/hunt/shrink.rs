//! Makes a failing program smaller: leaves out threads, handlers and steps, as long as it fails in the same way now and then.

use super::process::Runner;
use super::verdict::{Failure, Outcome};
use crate::child::Less;
use std::time::{Duration, Instant};

/// How often a smaller program is tried: threads are interleaved anew each time.
const TRIES: u32 = 6;
/// While it shrinks, a program hangs that takes longer than that: it is only looked for what still fails.
const HASTY: Duration = Duration::from_secs(3);

/// What came of it.
pub(super) struct Small {
    pub(super) less: Less,
    pub(super) failure: Failure,
    /// In words.
    pub(super) how: &'static str,
}

/// Shrinks, for so long at most.
pub(super) fn shrink(runner: &Runner, seed: u64, less: &Less, failure: &Failure, limit: Duration) -> Small {
    let search =
        Search { runner: runner.hasty(HASTY), seed, class: &failure.class, until: Instant::now() + limit };
    let mut small =
        Small { less: less.clone(), failure: failure.clone(), how: "whole: it did not fail again" };
    // Once more as it is: what does not fail again cannot be made smaller.
    let Some(again) = search.fails(less, TRIES * 4) else { return small };
    small.failure = again;
    small.how = "as small as it was made";
    let mut chunk = less.of(seed).parts().len() / 4;
    while search.has_time() {
        let smaller = if chunk > 1 { search.round(&mut small, chunk) } else { search.round(&mut small, 1) };
        if chunk > 1 {
            chunk /= 2;
        } else if !smaller {
            break;
        }
    }
    small
}

struct Search<'a> {
    runner: Runner,
    seed: u64,
    class: &'a str,
    until: Instant,
}

impl Search<'_> {
    fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    /// The failure, if it fails in the same way in one of so many tries.
    fn fails(&self, less: &Less, tries: u32) -> Option<Failure> {
        for _ in 0..tries {
            if !self.has_time() {
                return None;
            }
            if let (_, Outcome::Failed(failure)) = self.runner.run(self.seed, 1, less)
                && failure.class == self.class
            {
                return Some(failure);
            }
        }
        None
    }

    /// Tries to leave out each so many parts that follow one another. Says whether any could be left out.
    fn round(&self, small: &mut Small, chunk: usize) -> bool {
        let mut smaller = false;
        let mut at = 0;
        loop {
            // What is left out takes along what is in it: the list is another each time.
            let parts = small.less.of(self.seed).parts();
            let Some(ids) = parts.get(at..).filter(|rest| !rest.is_empty()) else { return smaller };
            if !self.has_time() {
                return smaller;
            }
            let mut less = small.less.clone();
            less.cut = less.cut.and_all(&ids[..chunk.min(ids.len())]);
            match self.fails(&less, TRIES) {
                Some(failure) => {
                    small.less = less;
                    small.failure = failure;
                    smaller = true;
                }
                None => at += chunk,
            }
        }
    }
}
