//! Results, for a reader who trusts none of them unless all have come: `cargo xtask` reads them as it reads those of `kernel/`.

use core::fmt::Arguments;

/// The results of one run.
pub(crate) struct Report {
    announced: u32,
    passed: u32,
    failed: u32,
}

impl Report {
    /// Says how many will come.
    pub(crate) fn announce(results: u32) -> Self {
        println!("smpcall kernel: {results} results");
        Self { announced: results, passed: 0, failed: 0 }
    }

    /// One that is well.
    pub(crate) fn well(&mut self, name: &str, text: Arguments<'_>) {
        self.passed += 1;
        println!("ok {name}: {text}");
    }

    /// One that is well only if `holds`.
    pub(crate) fn check(&mut self, name: &str, holds: bool, text: Arguments<'_>) {
        if holds {
            return self.well(name, text);
        }
        self.failed += 1;
        println!("FAILED {name}: {text}");
    }

    /// Ends the run, and returns whether all that were announced came, and none failed.
    pub(crate) fn end(self) -> bool {
        let Self { announced, passed, failed } = self;
        println!("smpcall kernel: end, {passed} passed, {failed} failed, 0 skipped");
        failed == 0 && passed == announced
    }
}
