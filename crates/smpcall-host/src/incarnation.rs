//! Which stay of a thread as a CPU this is. A CPU's number alone does not say whose it is: a thread may leave it, and another become it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// That of a thread that is no CPU.
pub(crate) const NONE: u64 = 0;

/// How often a thread of this process became a CPU.
static ALL: AtomicU64 = AtomicU64::new(NONE);

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(NONE) };
}

/// The thread becomes a CPU.
pub(crate) fn begin() {
    // Relaxed: that each number is given out once is all that is asked for; 64 bits do not wrap.
    OWN.set(ALL.fetch_add(1, Ordering::Relaxed) + 1);
}

/// It is none any more.
pub(crate) fn end() {
    OWN.set(NONE);
}

/// The stay that this thread is in, as this one CPU: from [`begin`] to [`end`], and never again of any thread.
pub(crate) fn own() -> u64 {
    OWN.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_stays_are_the_same() {
        let stay = || {
            assert_eq!(own(), NONE);
            begin();
            let stay = own();
            end();
            assert_eq!(own(), NONE);
            stay
        };
        let theirs = std::thread::scope(|scope| scope.spawn(stay).join().expect("it only looks"));
        let mut all = [theirs, stay(), stay(), NONE];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
