//! The kinds of calls. Each is one function and one row of [`KINDS`]: its flag, its count in the status line and in the
//! JSON file come from the row.

mod calls;
mod many;
mod posts;
mod race;
mod waits;

pub(super) use self::race::Aim;

use super::worker::Worker;

/// Whether a kind waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// It returns at once: a thread may do it just before it comes to rest, when others sleep already.
    AtOnce,
    /// It waits for its target.
    WithTarget,
}

/// A kind of calls.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The flag that sets its weight.
    pub(super) flag: &'static str,
    pub(super) help: &'static str,
    /// Its weight, if no flag sets any.
    pub(super) weight: u32,
    pub(super) ends: Ends,
    pub(super) perform: fn(&mut Worker),
}

macro_rules! kind {
    ($name:literal, $weight:literal, $ends:ident, $perform:path, $help:literal) => {
        Kind {
            name: $name,
            flag: concat!("weight-", $name),
            help: $help,
            weight: $weight,
            ends: Ends::$ends,
            perform: $perform,
        }
    };
}

/// All of them.
pub(super) static KINDS: &[Kind] = &[
    kind!("post", 20, AtOnce, posts::post, "posts of csds that nobody else posts, in order"),
    kind!("chain", 10, AtOnce, posts::chain, "chains of up to 16 such posts"),
    kind!("counted", 5, AtOnce, posts::counted, "posts of counted csds, freed by their run"),
    kind!("shared", 10, AtOnce, posts::shared, "posts of csds that everybody posts"),
    kind!("contested", 5, AtOnce, posts::contested, "posts and cancels of csds that everybody cancels"),
    kind!("cancel", 5, AtOnce, posts::cancel, "posts that are cancelled, and posted again"),
    kind!("lazy", 5, AtOnce, posts::lazy, "posts that ring nobody, and are expedited"),
    kind!("detached", 5, AtOnce, posts::detached, "calls without a csd that nobody waits for"),
    kind!("relay", 5, AtOnce, posts::relay, "csds that post themselves from inside"),
    kind!("interrupt", 3, AtOnce, posts::interrupt, "posts from a signal handler of another thread"),
    kind!("race", 4, WithTarget, race::race, "posts at the moment in which the csd is unlocked"),
    kind!("call", 10, WithTarget, calls::call, "waiting calls that borrow and give back a result"),
    kind!(
        "blocking",
        4,
        WithTarget,
        calls::blocking,
        "calls whose function runs in the target's thread, and may wait"
    ),
    kind!("self", 3, WithTarget, calls::own, "calls and posts to the CPU's own self"),
    kind!(
        "many",
        2,
        WithTarget,
        many::many,
        "multicasts that wait: all, others, a mask, a condition, the idle"
    ),
    kind!("nearest", 2, WithTarget, many::nearest, "waiting calls to the nearest CPU of a mask"),
    kind!("scatter", 3, AtOnce, many::scatter, "multicasts that do not wait, in order"),
    kind!("panic", 1, WithTarget, calls::panic, "waiting calls whose function panics"),
    kind!("wait", 5, WithTarget, waits::wait, "waits for the run of an asynchronous csd"),
    kind!("deadline", 3, WithTarget, waits::deadline, "such waits with a short deadline"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_some_do_not_wait() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        assert!(KINDS.iter().any(|kind| kind.ends == Ends::AtOnce && kind.weight > 0));
    }
}
