//! What was checked: for each promise and each way to break it, how often it held and how often not.

use std::collections::BTreeMap;

/// How often one thing was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

/// All checks of a run, by promise.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<(&'static str, &'static str), Tally>);

impl Checks {
    /// Counts one check of `promise`; `what` says what should be so.
    pub(super) fn that(&mut self, promise: &'static str, what: &'static str, holds: bool) {
        self.all(promise, what, u64::from(holds), 1);
    }

    /// Counts `of` checks, `held` of which passed.
    pub(super) fn all(&mut self, promise: &'static str, what: &'static str, held: u64, of: u64) {
        let tally = self.0.entry((promise, what)).or_default();
        tally.passed += held.min(of);
        tally.failed += of.saturating_sub(held);
    }

    /// Counts one check of whether two numbers are the same.
    pub(super) fn same(&mut self, promise: &'static str, what: &'static str, left: u64, right: u64) {
        self.that(promise, what, left == right);
    }

    pub(super) fn total(&self) -> Tally {
        self.0.values().fold(Tally::default(), |sum, tally| Tally {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
        })
    }

    /// Each that failed: promise, what should be so, how often it was and was not.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&'static str, &'static str, Tally)> {
        let failed = self.0.iter().filter(|(_, tally)| tally.failed > 0);
        failed.map(|((promise, what), tally)| (*promise, *what, *tally))
    }

    /// The promises of which something was checked, in their order.
    pub(super) fn promises(&self) -> Vec<&'static str> {
        let mut promises: Vec<_> = self.0.keys().map(|(promise, _)| *promise).collect();
        promises.dedup();
        promises.sort_by_key(|promise| promise[1..].parse::<u32>().unwrap_or(u32::MAX));
        promises
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_counted_and_named() {
        let mut checks = Checks::default();
        checks.that("P10", "both finish", true);
        checks.all("P2", "seen", 7, 10);
        checks.same("P2", "runs", 3, 3);
        assert_eq!(checks.total(), Tally { passed: 9, failed: 3 });
        assert_eq!(checks.failures().collect::<Vec<_>>(), [("P2", "seen", Tally { passed: 7, failed: 3 })]);
        assert_eq!(checks.promises(), ["P2", "P10"]);
    }
}
