//! The kinds of calls. Each is one function and one row of [`KINDS`]: its flag on a command line, its name and its count in
//! a report come from the row.

mod calls;
mod many;
mod posts;
mod race;
mod waits;

pub(super) use self::posts::{Letter, read_letter};
pub(super) use self::race::Aim;

use super::Rig;
use super::worker::Worker;

/// Whether a kind waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It returns at once: a thread may do it just before it comes to rest, when others sleep already.
    AtOnce,
    /// It waits for its target.
    WithTarget,
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was made, and accepted.
    Done,
    /// The target was offline, there was no room, or the last of this kind is under way.
    Refused,
    /// This machine, or this thread, does not make it.
    NotHere,
}

/// A kind of calls.
#[derive(Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The flag that sets its weight.
    pub flag: &'static str,
    /// What it is, in the plural.
    pub help: &'static str,
    /// Its weight, if nobody sets any.
    pub weight: u32,
    /// Whether it waits.
    pub ends: Ends,
}

macro_rules! kinds {
    ($($name:literal $weight:literal $ends:ident $perform:path, $help:literal;)+) => {
        /// All of them.
        pub static KINDS: &[Kind] = &[$(Kind {
            name: $name,
            flag: concat!("weight-", $name),
            help: $help,
            weight: $weight,
            ends: Ends::$ends,
        }),+];

        /// How many there are.
        pub const KINDS_LEN: usize = [$($name),+].len();

        impl<R: Rig> Worker<R> {
            pub(super) const PERFORM: [fn(&mut Self) -> Came; KINDS_LEN] = [$($perform),+];
        }
    };
}

kinds! {
    "post" 20 AtOnce posts::post, "posts of csds that nobody else posts, in order";
    "chain" 10 AtOnce posts::chain, "chains of up to 16 such posts";
    "counted" 5 AtOnce posts::counted, "posts of counted csds, freed by their run";
    "shared" 10 AtOnce posts::shared, "posts of csds that everybody posts";
    "contested" 5 AtOnce posts::contested, "posts and cancels of csds that everybody cancels";
    "cancel" 5 AtOnce posts::cancel, "posts that are cancelled, and posted again";
    "lazy" 5 AtOnce posts::lazy, "posts that ring nobody, and are expedited";
    "detached" 5 AtOnce posts::detached, "calls without a csd that nobody waits for";
    "relay" 5 AtOnce posts::relay, "csds that post themselves from inside";
    "message" 5 AtOnce posts::message, "values sent there, and results taken back";
    "interrupt" 3 AtOnce posts::interrupt, "posts from an interrupt's handler, on another CPU where that can be";
    "nmi" 3 AtOnce posts::nmi, "posts from what cannot be masked, on the caller's own CPU";
    "race" 4 WithTarget race::race, "posts at the moment in which the csd is unlocked";
    "call" 10 WithTarget calls::call, "waiting calls that borrow and give back a result";
    "blocking" 4 WithTarget calls::blocking, "calls whose function runs in the target's thread, and may wait";
    "self" 3 WithTarget calls::own, "calls and posts to the CPU's own self";
    "many" 2 WithTarget many::many, "multicasts that wait: all, others, a mask, a condition, the idle";
    "map" 2 WithTarget many::map, "multicasts that bring back a result from each CPU, if those are 64 at most";
    "nearest" 2 WithTarget many::nearest, "waiting calls to the nearest CPU of a mask";
    "scatter" 3 AtOnce many::scatter, "multicasts that do not wait, in order";
    "panic" 1 WithTarget calls::panic, "waiting calls whose function panics";
    "wait" 5 WithTarget waits::wait, "waits for the run of an asynchronous csd";
    "deadline" 3 WithTarget waits::deadline, "such waits with a short deadline";
}

/// The number of a kind that `may` be, as often as its weight says; `drawn` picks a number less than what it is given.
pub(super) fn draw(
    weights: &[u32; KINDS_LEN],
    may: impl Fn(&Kind) -> bool,
    drawn: impl FnOnce(u32) -> u32,
) -> Option<usize> {
    let open = || (0..KINDS_LEN).filter(|kind| may(&KINDS[*kind]));
    let total: u32 = open().map(|kind| weights[kind]).sum();
    let mut left = if total > 0 { drawn(total) } else { return None };
    open().find(|kind| {
        let found = left < weights[*kind];
        left = left.saturating_sub(weights[*kind]);
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_some_do_not_wait() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS_LEN);
        assert!(KINDS.iter().any(|kind| kind.ends == Ends::AtOnce && kind.weight > 0));
    }

    #[test]
    fn each_kind_is_drawn_as_often_as_its_weight_says() {
        let mut weights = [0; KINDS_LEN];
        (weights[3], weights[KINDS_LEN - 1]) = (1, 2);
        let drawn = [0, 1, 2].map(|number| {
            draw(
                &weights,
                |_| true,
                |end| {
                    assert_eq!(end, 3);
                    number
                },
            )
        });
        assert_eq!(drawn, [Some(3), Some(KINDS_LEN - 1), Some(KINDS_LEN - 1)]);
        assert_eq!(draw(&weights, |kind| kind.name == "post", |_| 0), None, "what has no weight");
    }
}
