//! Draws from a seed. Nothing else in the simulator is random.

use std::cell::Cell;

/// A stream of draws (splitmix64): the same seed, the same draws, on every machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rng(Cell<u64>);

impl Rng {
    /// The stream `number` of a seed.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let rng = Self(Cell::new(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03)));
        rng.next();
        rng
    }

    /// Goes on with the draws of another stream.
    pub(crate) fn take_over(&self, other: &Self) {
        self.0.set(other.0.get());
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `end`, which is not 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from `from` to `to`, both included.
    pub(crate) fn between(&self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    /// Yes, at this rate (0 to 1).
    pub(crate) fn chance(&self, rate: f64) -> bool {
        rate > 0.0 && ((self.next() >> 11) as f64) < rate * (1_u64 << 53) as f64
    }

    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_draws_and_its_streams_differ() {
        let draws =
            |number| (0..8).map(|_| ()).scan(Rng::new(7, number), |rng, ()| Some(rng.next())).collect();
        let (a, b, c): (Vec<u64>, Vec<u64>, Vec<u64>) = (draws(1), draws(1), draws(2));
        assert!(a == b && a != c);
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let rng = Rng::new(1, 0);
        let drawn: Vec<usize> = (0..200).map(|_| rng.between(2, 4)).collect();
        assert!(drawn.iter().all(|n| (2..=4).contains(n)) && (2..=4).all(|n| drawn.contains(&n)));
        assert!((0..100).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
        let half = (0..10_000).filter(|_| rng.chance(0.5)).count();
        assert!((4_500..5_500).contains(&half), "{half}");
    }
}
