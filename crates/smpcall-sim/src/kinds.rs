//! The kinds of ops. A new kind of call is one row of [`KINDS`]: its name, how often it is drawn, where it may be done, how
//! its arguments are drawn, and what is done.
//!
//! The engine of soaks (the conformance crate's `soak`) has a table of its own, and why: its kinds draw as they go, and are
//! judged by accounts at rest. Here an op is data, drawn before the run, so that a failing one can be shrunk, printed and
//! repeated, and the checkers judge it by the record of the run. So what both share is which calls there are: a kind of a
//! soak that no row here stands for fails a test.

pub(crate) mod awaited;
mod blocking;
pub(crate) mod calls;
mod detached;
pub(crate) mod many;
mod meet;
pub(crate) mod own;
pub(crate) mod posts;
pub(crate) mod user;

use crate::ground::Ground;
use crate::scenario::{Draw, Op};

/// Where an op may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// In interrupts and NMIs too.
    Anywhere,
    /// By any thread.
    Threads,
    /// By the thread of a CPU.
    Cpus,
    /// Only where it is put on purpose.
    Nowhere,
}

/// A kind of op.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How often, of some hundred.
    pub(crate) weight: usize,
    pub(crate) places: Places,
    pub(crate) draw: fn(&mut Draw, usize) -> Op,
    pub(crate) perform: fn(&'static Ground, &Op),
}

macro_rules! kind {
    ($name:literal, $weight:literal, $places:ident, $draw:path, $perform:path) => {
        Kind { name: $name, weight: $weight, places: Places::$places, draw: $draw, perform: $perform }
    };
}

/// All of them.
pub(crate) static KINDS: &[Kind] = &[
    kind!("post", 24, Anywhere, posts::draw_shared, posts::post),
    kind!("own", 14, Threads, posts::draw_own, posts::post),
    kind!("volley", 8, Threads, posts::draw_volley, posts::volley),
    kind!("chain", 8, Threads, posts::draw_chain, posts::chain),
    kind!("counted", 8, Anywhere, posts::draw_counted, posts::counted),
    kind!("relay", 3, Threads, posts::draw_relay, posts::post),
    kind!("burst", 6, Threads, posts::draw_shared, posts::burst),
    kind!("lazy", 7, Anywhere, posts::draw_shared, posts::post_lazily),
    kind!("lull", 4, Threads, posts::draw_volley, posts::lull),
    kind!("detached", 8, Anywhere, detached::draw, detached::post),
    kind!("cancel", 5, Anywhere, posts::draw_cancel, posts::cancel),
    kind!("call", 14, Threads, calls::draw_call, calls::call),
    kind!("blocking", 8, Threads, blocking::draw, blocking::call),
    kind!("nearest", 2, Threads, many::draw_mask, calls::nearest),
    kind!("wait", 6, Threads, calls::draw_wait, calls::wait),
    kind!("many", 5, Threads, many::draw_mask, many::call),
    kind!("idle", 2, Threads, many::draw_mask, many::call_idle),
    kind!("scatter", 5, Anywhere, many::draw_mask, many::post),
    kind!("misuse", 1, Anywhere, calls::draw_misuse, calls::misuse),
    kind!("poll", 4, Cpus, own::draw_steps, own::poll),
    kind!("rest", 4, Cpus, own::draw_steps, own::rest),
    kind!("busy", 3, Threads, own::draw_steps, own::busy),
    kind!("wake", 1, Anywhere, own::draw_nothing, own::wake_idle),
    kind!("hotplug", 0, Cpus, own::draw_steps, own::hotplug),
    kind!("stuck", 0, Nowhere, own::draw_nothing, own::stuck),
    kind!("await", 0, Nowhere, awaited::draw_one, awaited::once),
    kind!("await by", 0, Nowhere, awaited::draw_some, awaited::by_own),
    kind!("await by slot", 0, Nowhere, awaited::draw_some, awaited::by_slot),
    kind!("await many", 0, Nowhere, awaited::draw_mask, awaited::many),
    kind!("defer", 0, Nowhere, posts::draw_shared, user::post),
    kind!("defer own", 0, Nowhere, posts::draw_volley, user::volley),
    kind!("user", 0, Nowhere, own::draw_steps, user::program),
    kind!("meet", 0, Nowhere, meet::draw, meet::rendezvous),
    kind!("many meanwhile", 0, Nowhere, many::draw_work, many::call_meanwhile),
];

/// Those that are drawn only where they are asked for.
pub(crate) const AWAITED: [&str; 4] = ["await", "await by", "await by slot", "await many"];

/// And those that have to do with user space; the program itself is for CPUs only.
pub(crate) const USERS: [&str; 3] = ["defer", "defer own", "user"];

/// Whether it is one of those.
pub(crate) fn is_awaited(kind: usize) -> bool {
    AWAITED.contains(&KINDS[kind].name)
}

/// The row of that name.
pub(crate) fn number_of(name: &str) -> usize {
    KINDS.iter().position(|kind| kind.name == name).expect("a row of the table")
}

/// The name of a row.
///
/// # Panics
///
/// If there are fewer rows.
pub fn kind_name(kind: usize) -> &'static str {
    KINDS[kind].name
}

/// The row of that name, if there is one.
pub fn kind_of(name: &str) -> Option<usize> {
    KINDS.iter().position(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_some_fit_everywhere() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        for places in [Places::Anywhere, Places::Threads, Places::Cpus] {
            assert!(KINDS.iter().any(|kind| kind.places == places && kind.weight > 0));
        }
    }

    /// By its name, by a row that draws it among others, or (messages, results of multicasts) by the suite that runs in the
    /// simulator.
    #[test]
    fn every_kind_of_a_soak_is_simulated() {
        const BY_ANOTHER_NAME: &[(&str, &str)] = &[
            ("shared", "post"),
            ("contested", "cancel"),
            ("interrupt", "post"),
            ("nmi", "post"),
            ("race", "burst"),
            ("self", "own"),
            ("panic", "call"),
            ("deadline", "wait"),
        ];
        let by_the_suite = |name: &str| ["message", "map"].contains(&name);
        for kind in smpcall_conformance_sim::soak::KINDS.iter().filter(|kind| !by_the_suite(kind.name)) {
            let row =
                BY_ANOTHER_NAME.iter().find(|(name, _)| *name == kind.name).map_or(kind.name, |(_, row)| row);
            assert!(KINDS[number_of(row)].weight > 0, "{}", kind.name);
        }
    }
}
