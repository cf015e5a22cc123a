//! Results, for a reader who trusts none of them unless all have come.
//!
//! ```text
//! smpcall kernel: 3 results
//! ok tlb_shootdown: 12 CPUs faulted
//! FAILED doorbells: CPU 2 was interrupted 3 times, and rung 2 times
//! skipped nmi: there is none on this machine
//! smpcall kernel: end, 1 passed, 1 failed, 1 skipped
//! ```

use crate::console::println;
use core::fmt;

/// What one of them came to.
pub(crate) enum Outcome<'a> {
    Passed(fmt::Arguments<'a>),
    Failed(fmt::Arguments<'a>),
    Skipped(&'a str),
}

/// The results of one run.
pub(crate) struct Report {
    announced: u32,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Report {
    pub(crate) fn announce(results: u32) -> Self {
        println!("smpcall kernel: {results} results");
        Self { announced: results, passed: 0, failed: 0, skipped: 0 }
    }

    pub(crate) fn result(&mut self, name: &str, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Passed(text) => {
                self.passed += 1;
                println!("ok {name}: {text}");
            }
            Outcome::Failed(text) => {
                self.failed += 1;
                println!("FAILED {name}: {text}");
            }
            Outcome::Skipped(why) => {
                self.skipped += 1;
                println!("skipped {name}: {why}");
            }
        }
    }

    /// Ends the run, and returns whether all that were announced came, and none failed.
    pub(crate) fn end(self) -> bool {
        let Self { announced, passed, failed, skipped } = self;
        println!("smpcall kernel: end, {passed} passed, {failed} failed, {skipped} skipped");
        failed == 0 && passed + skipped == announced
    }
}
