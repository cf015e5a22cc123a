//! How a caller that spins lets a moment pass, learnt by each thread.
//!
//! Where several CPUs of a machine have one core, the target that is waited for may be one that does not run, and so may be whom it
//! waits for itself. Then a spin takes the time away from those whom it waits for, and a sleep costs two changes of threads and a wake-up
//! by system call. To give the core away for a turn costs less than either, if it is one of those CPUs that takes it, and gives it back soon. Where
//! nobody takes it, it is a longer pause and no more; where another program takes it for a time slice, which may be milliseconds,
//! it is far worse than a sleep, out of which a wake-up brings the thread back. So only a thread that shares its core with a CPU gives it away; it
//! measures for how long it was away, and does it again at once, soon, or not for long.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// For how long the thread is away at least, if others had a turn: two changes of threads take longer.
const TURN_MIN: Duration = Duration::from_micros(1);

/// For how long at most, if all of them wait for each other. A time slice is longer.
const TURN_MAX: Duration = Duration::from_micros(500);

/// When nobody took the core: a turn that comes to nothing costs some hundred nanoseconds.
const NOBODY: Duration = Duration::from_micros(50);

/// How long the thread goes by what it knows of the cores that the CPUs are on.
const KNOWN: Duration = Duration::from_millis(1);

/// After a turn that was too long the thread keeps its core for so many times as long, so that little is lost by such turns.
const TOO_LONG: u32 = 64;

thread_local! {
    static TURNS: Turns = const { Turns::new() };
}

/// Lets a moment pass; `shares` says whether there are CPUs that the core might be given to.
pub(crate) fn pause(shares: impl Fn() -> bool) {
    TURNS.with(|turns| turns.pause(shares));
}

/// Whether the thread gives its core away at its next pause: others took it last time, or it is time to try again.
pub(crate) fn are_due() -> bool {
    TURNS.with(|turns| turns.are_due(Instant::now()))
}

struct Turns {
    /// When it asks again whether it shares its core.
    asks_at: Cell<Option<Instant>>,
    /// Until when the thread keeps its core.
    keeps_until: Cell<Option<Instant>>,
}

impl Turns {
    const fn new() -> Self {
        Self { asks_at: Cell::new(None), keeps_until: Cell::new(None) }
    }

    fn pause(&self, shares: impl Fn() -> bool) {
        let now = Instant::now();
        if self.keeps(now, shares) {
            for _ in 0..8 {
                std::hint::spin_loop();
            }
            return;
        }
        thread::yield_now();
        self.is_back(now, Instant::now());
    }

    fn keeps(&self, now: Instant, shares: impl Fn() -> bool) -> bool {
        let is_to_come = |at: &Cell<Option<Instant>>| at.get().is_some_and(|at| now < at);
        if !is_to_come(&self.keeps_until) && !is_to_come(&self.asks_at) {
            let known_until = now.checked_add(KNOWN);
            self.asks_at.set(known_until);
            if !shares() {
                self.keeps_until.set(known_until);
            }
        }
        is_to_come(&self.keeps_until)
    }

    fn are_due(&self, now: Instant) -> bool {
        self.keeps_until.get().is_some_and(|until| until <= now)
    }

    /// A turn of others is over.
    fn is_back(&self, began: Instant, now: Instant) {
        let away = now.saturating_duration_since(began);
        let keeps = match away {
            _ if away < TURN_MIN => NOBODY,
            _ if away <= TURN_MAX => Duration::ZERO,
            _ => away.saturating_mul(TOO_LONG),
        };
        self.keeps_until.set(now.checked_add(keeps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many pauses how many are turns, and what part of the time is spent in them, where each takes that long, and any other
    /// pause a fifth of a microsecond.
    fn turns(learnt: &Turns, now: &mut Instant, pauses: u32, away: Duration) -> (u32, f64) {
        let (began, mut turns) = (*now, 0);
        for _ in 0..pauses {
            if learnt.keeps(*now, || true) {
                *now += Duration::from_nanos(200);
                continue;
            }
            turns += 1;
            learnt.is_back(*now, *now + away);
            *now += away;
        }
        (turns, (away * turns).as_secs_f64() / (*now - began).as_secs_f64())
    }

    #[test]
    fn while_others_have_short_turns_each_pause_is_one() {
        let (learnt, mut now) = (Turns::new(), Instant::now());
        for away in [TURN_MIN, Duration::from_micros(40), TURN_MAX] {
            assert_eq!(turns(&learnt, &mut now, 1_000, away).0, 1_000, "{away:?}");
        }
    }

    #[test]
    fn they_are_due_after_a_short_one_and_not_at_once_after_any_other() {
        let (learnt, now) = (Turns::new(), Instant::now());
        assert!(!learnt.are_due(now), "nothing is known");
        for (away, due) in [(TURN_MIN / 2, false), (TURN_MIN, true), (TURN_MAX, true), (TURN_MAX * 2, false)]
        {
            learnt.is_back(now, now + away);
            assert_eq!(learnt.are_due(now + away), due, "{away:?}");
        }
        assert!(learnt.are_due(now + TURN_MAX * 2 * (TOO_LONG + 1)), "later it is tried again");
    }

    #[test]
    fn little_time_goes_to_nobody_and_to_those_who_take_a_slice_but_they_are_found_again() {
        for away in [Duration::from_nanos(400), Duration::from_micros(501), Duration::from_millis(5)] {
            let (learnt, mut now) = (Turns::new(), Instant::now());
            let (turns, part) = turns(&learnt, &mut now, 10_000_000, away);
            assert!(turns >= 6 && part < 1.0 / 50.0, "{away:?}: {turns} turns are {part} of the time");
        }
    }

    #[test]
    fn it_follows_threads_that_come_and_go() {
        let (learnt, mut now) = (Turns::new(), Instant::now());
        turns(&learnt, &mut now, 10_000, Duration::from_nanos(300));
        let others = Duration::from_micros(10);
        assert!(turns(&learnt, &mut now, 10_000, others).0 > 9_500, "they have come");
        assert!(turns(&learnt, &mut now, 10_000, Duration::from_nanos(300)).0 < 50, "and gone");
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_takes_no_core_away_for_good() {
        let (learnt, now) = (Turns::new(), Instant::now());
        learnt.is_back(now + Duration::from_secs(1), now);
        assert!(learnt.keeps(now, || true) && !learnt.keeps(now + NOBODY, || true));
    }

    #[test]
    fn who_shares_its_core_with_no_cpu_keeps_it_and_asks_now_and_then() {
        let (learnt, now, asked) = (Turns::new(), Instant::now(), Cell::new(0));
        let shares = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        for us in 0..3_000 {
            assert!(learnt.keeps(now + Duration::from_micros(us), shares));
        }
        assert_eq!(asked.get(), 3);
        assert!(!learnt.keeps(now + Duration::from_micros(3_000), shares), "one has come");
        assert!(!learnt.keeps(now + Duration::from_micros(3_999), shares), "and is known");
        assert_eq!(asked.get(), 4);
    }
}
