//! When a thread stops looking and goes to sleep.
//!
//! A waiting caller spins for a while, since a target that is awake answers in less time than a sleep and a wake-up take.
//! How long is learnt for each target, between [`SPIN_NS_MIN`] and [`SPIN_NS_MAX`]: it grows by a quarter whenever the spin was long enough;
//! it doubles when it was not, but the sleep after it was so short that a longest spin would have been; else it halves. (If it halved
//! after a short sleep, too, two CPUs that call each other would never come out of it, once each has slept: for each the answer takes a
//! wake-up then, and so is longer than the spin.) Who finds itself on the core on which its target last ran does not spin
//! at all: the target could not run meanwhile. Cores are not taken from what was once set: the target says where it woke, the
//! caller looks where it is before it spins, and after it has in vain.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// About what a wake-up costs: to spin for longer than that cannot pay off.
pub(crate) const SPIN_NS_MAX: u32 = 50_000;
const SPIN_NS_MIN: u32 = 2_000;
/// With a sleep of up to so long, its wake-up included, a wait was one that a longest spin would have seen to its end.
const SHORT_NS_MAX: u64 = SPIN_NS_MAX as u64 / 2 * 3;
/// The bit that says that the last wait ended in sleep.
const SLEPT: u32 = 1 << 31;

/// Whether it can pay off to spin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Spin,
    /// All threads together have no more than one core's time: what a spin takes, its target lacks.
    Sleep,
}

/// What was learnt about one target.
pub(crate) struct Spin(AtomicU32);

impl Spin {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(SPIN_NS_MAX / 2))
    }

    /// A wait goes past its first looks: returns for how long it may spin.
    pub(crate) fn begin(&self) -> u32 {
        // Relaxed: a statistic; a lost update costs a little time and nothing else.
        let learnt = self.0.load(Ordering::Relaxed);
        let limit_ns = learnt & !SLEPT;
        if learnt & SLEPT != 0 {
            // Relaxed: as above.
            self.0.store(limit_ns, Ordering::Relaxed);
            return limit_ns;
        }
        let longer_ns = (limit_ns + limit_ns / 4).min(SPIN_NS_MAX);
        // Relaxed: as above.
        self.0.store(longer_ns, Ordering::Relaxed);
        longer_ns
    }

    pub(crate) fn limit_ns(&self) -> u32 {
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed) & !SLEPT
    }

    /// The spin was in vain.
    pub(crate) fn in_vain(&self) {
        let shorter_ns = (self.limit_ns() / 2).max(SPIN_NS_MIN);
        // Relaxed: as above.
        self.0.store(shorter_ns | SLEPT, Ordering::Relaxed);
    }

    /// A wait whose spin was in vain has slept, and took so long in all until it was woken.
    pub(crate) fn woken_after(&self, waited_ns: u64) {
        if waited_ns <= SHORT_NS_MAX {
            // It had halved.
            let longer_ns = self.limit_ns().saturating_mul(4).min(SPIN_NS_MAX);
            // Relaxed: as above.
            self.0.store(longer_ns | SLEPT, Ordering::Relaxed);
        }
    }
}

/// A wait of this thread that goes to sleep after a spin in vain.
#[derive(Clone, Copy)]
struct Sleeps {
    target: u32,
    waited_ns: u64,
}

thread_local! {
    static SLEEPS: Cell<Option<Sleeps>> = const { Cell::new(None) };
}

/// The thread begins to wait: what an earlier wait was about to do is over.
pub(crate) fn begins_to_wait() {
    SLEEPS.set(None);
}

/// The thread goes to sleep in its wait for this target, having waited for so long.
pub(crate) fn goes_to_sleep(target: u32, waited_ns: u64) {
    SLEEPS.set(Some(Sleeps { target, waited_ns }));
}

/// Sleeps as `sleep` says. Returns, for a wait that had spun in vain, whom it is for, and how long it has taken in all.
pub(crate) fn sleeps(sleep: impl FnOnce()) -> Option<(u32, u64)> {
    let Some(wait) = SLEEPS.take() else {
        sleep();
        return None;
    };
    let began = Instant::now();
    sleep();
    let slept_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Some((wait.target, wait.waited_ns.saturating_add(slept_ns)))
}

/// The shortest pause between two looks of a thread that expects an answer within a cache line's round trip.
///
/// A pause hint takes 25 ns on some x86-64 machines, a third of such a round trip, and an empty loop runs ahead with loads
/// that the coming write throws away. A load fence is the middle: the next look begins when the last has ended. A CPU of the
/// host's that polls makes one between two looks, a waiting caller four, and before the first as many as it has learnt (`first_look`).
///
/// Context: any. Progress: wait-free.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let answered = AtomicBool::new(false);
/// std::thread::scope(|scope| {
///     scope.spawn(|| answered.store(true, Ordering::Release));
///     while !answered.load(Ordering::Acquire) { smpcall_host::short_pause(); }
/// });
/// ```
#[inline(always)]
pub fn short_pause() {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: SSE2, which every x86-64 CPU has; it touches no memory.
        unsafe { std::arch::x86_64::_mm_lfence() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::spin_loop();
}

/// So many short pauses.
#[inline(always)]
pub(crate) fn short_pauses(count: u16) {
    (0..count).for_each(|_| short_pause());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_are_answered_in_time_lengthen_the_spin_up_to_its_bound() {
        let spin = Spin::new();
        let mut before_ns = spin.limit_ns();
        assert!((SPIN_NS_MIN..=SPIN_NS_MAX).contains(&before_ns));
        for _ in 0..20 {
            let limit_ns = spin.begin();
            assert_eq!(limit_ns, (before_ns + before_ns / 4).min(SPIN_NS_MAX));
            assert_eq!(spin.limit_ns(), limit_ns);
            before_ns = limit_ns;
        }
        assert_eq!(before_ns, SPIN_NS_MAX);
    }

    #[test]
    fn spins_in_vain_halve_it_down_to_its_bound() {
        let spin = Spin::new();
        for _ in 0..20 {
            let before_ns = spin.limit_ns();
            spin.in_vain();
            assert_eq!(spin.limit_ns(), (before_ns / 2).max(SPIN_NS_MIN));
        }
        assert_eq!(spin.limit_ns(), SPIN_NS_MIN);
    }

    #[test]
    fn a_sleep_so_short_that_a_longest_spin_would_have_done_doubles_it() {
        let spin = Spin::new();
        (0..20).for_each(|_| spin.in_vain());
        // From its least value on, which does not halve.
        for limit_ns in [4 * SPIN_NS_MIN, 8 * SPIN_NS_MIN, 16 * SPIN_NS_MIN, SPIN_NS_MAX, SPIN_NS_MAX] {
            spin.in_vain();
            spin.woken_after(SHORT_NS_MAX);
            assert_eq!(spin.limit_ns(), limit_ns);
        }
        spin.in_vain();
        spin.woken_after(SHORT_NS_MAX + 1);
        assert_eq!(spin.limit_ns(), SPIN_NS_MAX / 2, "after a longer one it halves");
    }

    #[test]
    fn a_wait_that_sleeps_is_timed_once() {
        goes_to_sleep(3, 7);
        let nap = std::time::Duration::from_millis(1);
        let (target, waited_ns) = sleeps(|| std::thread::sleep(nap)).expect("it had spun");
        assert!(target == 3 && waited_ns >= 1_000_007, "{waited_ns}");
        assert_eq!(sleeps(|| ()), None, "one that had not spun");
        goes_to_sleep(3, 7);
        begins_to_wait();
        assert_eq!(sleeps(|| ()), None, "nor has the next, though this one did not sleep after all");
    }

    #[test]
    fn the_wait_after_one_in_vain_neither_lengthens_nor_shortens() {
        let spin = Spin::new();
        spin.in_vain();
        let limit_ns = spin.limit_ns();
        assert_eq!(spin.begin(), limit_ns, "what the last one came to is known only now");
        assert_eq!(spin.begin(), limit_ns + limit_ns / 4, "and it came to an answer in time");
    }
}
