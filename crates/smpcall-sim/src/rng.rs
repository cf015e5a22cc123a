//! Draws from a seed. Nothing else in the simulator is random.

use std::cell::RefCell;

/// A stream of draws: the same seed, the same draws, on every machine of 64 bits, and with every patch of the generator's crate.
#[derive(Debug)]
pub(crate) struct Rng(RefCell<fastrand::Rng>);

impl Default for Rng {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Rng {
    /// The stream `number` of a seed.
    pub(crate) const fn new(seed: u64, number: u64) -> Self {
        Self(RefCell::new(fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03))))
    }

    /// Begins another stream.
    pub(crate) fn begin(&self, seed: u64, number: u64) {
        self.0.swap(&Self::new(seed, number).0);
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.borrow_mut().u64(..)
    }

    /// A number less than `end`, which is not 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.0.borrow_mut().usize(..end)
    }

    /// A number from `from` to `to`, both included.
    pub(crate) fn between(&self, from: usize, to: usize) -> usize {
        self.0.borrow_mut().usize(from..=to)
    }

    /// Yes, at this rate (0 to 1).
    pub(crate) fn chance(&self, rate: f64) -> bool {
        rate > 0.0 && self.0.borrow_mut().f64() < rate
    }

    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not what they are, but that they stay: the seeds in reports and in the documents are worth nothing otherwise.
    #[test]
    fn a_seed_repeats_its_draws_and_its_streams_differ() {
        let [one, other] = [1, 2].map(|number| Rng::new(7, number));
        assert_eq!([one.next(), other.next()], [16_361_493_479_585_759_412, 4_690_815_762_125_023_034]);
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let rng = Rng::new(1, 0);
        let drawn: Vec<usize> = (0..200).map(|_| rng.between(2, 4)).collect();
        assert!(drawn.iter().all(|n| (2..=4).contains(n)) && (2..=4).all(|n| drawn.contains(&n)));
        assert!((0..100).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }
}
