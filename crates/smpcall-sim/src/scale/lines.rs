//! Cache lines: who has which, and what an access costs.
//!
//! A line is *exclusive* with one CPU, or *shared* by several. A CPU that has it needs `hit_ns`; one that does not fetches it
//! (`near_ns`, `far_ns`).
//!
//! | line is | a read by another | a write by another |
//! |---|---|---|
//! | exclusive, written | moves it, exclusive: whoever reads what another has written mostly writes next | moves it |
//! | exclusive, not written since | shares it | moves it |
//! | shared | shares it | takes it away from all others: `upgrade_ns`, `upgrade_far_ns` |
//!
//! A request needs a quarter of the journey to get to who has the line exclusive, who uses it until then; one that comes while
//! the line is still on its way there follows it, and takes as long from its arrival. So what is written right after the line
//! came, or twice in a row, costs no further journey (if it came to be shared, only what the upgrade would have taken more), and a compare-and-swap that fails can be tried again at once. Who lets more
//! time pass on a line at which another looks all the time finds it shared, and pays the upgrade. That is MESI with a
//! directory and the usual treatment of data that migrates, without capacity: nothing is ever evicted.

use super::cost::{Cost, Ps, ps};
use smpcall_sim_atomics::Kind;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Lines are told apart by their address, and never walked through: what is found does not depend on where they are.
#[derive(Default)]
struct LineHasher(u64);

impl Hasher for LineHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("lines are numbers");
    }

    fn write_usize(&mut self, line: usize) {
        self.0 = (line as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Which CPUs have a line to read: few, or a bit for each.
enum Sharers {
    Few(Vec<u32>),
    Many(Box<[u64]>),
}

const FEW: usize = 8;

impl Sharers {
    fn contains(&self, cpu: u32) -> bool {
        match self {
            Self::Few(cpus) => cpus.contains(&cpu),
            Self::Many(bits) => bits[cpu as usize / 64] >> (cpu % 64) & 1 != 0,
        }
    }

    fn insert(&mut self, cpu: u32, cpus_len: usize) {
        match self {
            Self::Few(cpus) if cpus.len() < FEW => cpus.push(cpu),
            Self::Few(cpus) => {
                let mut bits = vec![0; cpus_len.div_ceil(64)].into_boxed_slice();
                for cpu in cpus.iter().copied().chain([cpu]) {
                    bits[cpu as usize / 64] |= 1 << (cpu % 64);
                }
                *self = Self::Many(bits);
            }
            Self::Many(bits) => bits[cpu as usize / 64] |= 1 << (cpu % 64),
        }
    }

    fn only(&mut self, cpu: u32) {
        match self {
            Self::Few(cpus) => {
                cpus.clear();
                cpus.push(cpu);
            }
            Self::Many(_) => *self = Self::Few(vec![cpu]),
        }
    }

    fn any_far_from(&self, cpu: u32, cost: &Cost) -> bool {
        let far = |other: u32| other / cost.cluster != cpu / cost.cluster;
        match self {
            Self::Few(cpus) => cpus.iter().any(|other| far(*other)),
            Self::Many(bits) => (0..bits.len() as u32 * 64).any(|other| self.contains(other) && far(other)),
        }
    }

    fn others_than(&self, cpu: u32) -> bool {
        match self {
            Self::Few(cpus) => cpus.iter().any(|other| *other != cpu),
            Self::Many(_) => true,
        }
    }
}

struct Line {
    /// The one it comes from: who wrote it last, or to whom it has moved since.
    owner: u32,
    exclusive: bool,
    /// Its owner has written it since it came.
    written: bool,
    sharers: Sharers,
    /// Who asked for it last, and when it arrives there.
    latest: u32,
    arrives: Ps,
    /// When its home can serve the next who shares it.
    free_at: Ps,
    /// Who spins on it, and in which of its spins.
    watchers: Vec<Watcher>,
}

/// A line that somebody else has asked for, and that its owner has until the request gets there.
#[derive(Clone, Copy, Default)]
struct Kept {
    line: usize,
    from: Ps,
    until: Ps,
}

impl Line {
    /// Nobody had it: it is as if it always had been this CPU's.
    fn of(cpu: u32) -> Self {
        Self {
            owner: cpu,
            exclusive: true,
            written: true,
            sharers: Sharers::Few(vec![cpu]),
            latest: cpu,
            arrives: 0,
            free_at: 0,
            watchers: Vec::new(),
        }
    }

    /// It goes to `cpu`, exclusive. Returns who loses it.
    fn moves_to(&mut self, cpu: u32, written: bool) -> Vec<Watcher> {
        (self.owner, self.latest, self.exclusive, self.written) = (cpu, cpu, true, written);
        self.sharers.only(cpu);
        std::mem::take(&mut self.watchers)
    }

    /// `cpu` writes it, and need not ask. Returns who loses it.
    fn written_at_hand(&mut self, cpu: u32) -> Vec<Watcher> {
        match (self.latest == cpu, self.exclusive) {
            (true, _) => self.moves_to(cpu, true),
            // It is promised to another already, and comes there with what is written now.
            (false, true) => Vec::new(),
            // Another has asked to read it, and gets it after this: so it moves.
            (false, false) => self.moves_to(self.latest, false),
        }
    }
}

/// Somebody who looked at a line in a spin: CPU, and which of its spins.
pub(super) type Watcher = (u32, u64);

/// All lines that were touched.
pub(super) struct Lines {
    lines: HashMap<usize, Line, BuildHasherDefault<LineHasher>>,
    cpus_len: usize,
    /// By each CPU, the last one.
    kept: Vec<Kept>,
    /// How often a line moved.
    pub(super) transfers: u64,
}

/// What an access came to.
pub(super) struct Accessed {
    /// When it is done.
    pub(super) at: Ps,
    /// It was not a hit, or it wrote.
    pub(super) changed: bool,
    /// Who spun on the line and lost it, and when.
    pub(super) wake: Vec<Watcher>,
    pub(super) lost_at: Ps,
}

impl Lines {
    pub(super) fn new(cpus_len: usize) -> Self {
        Self { lines: HashMap::default(), cpus_len, kept: vec![Kept::default(); cpus_len], transfers: 0 }
    }

    /// Prices an access by `me` at time `now`.
    pub(super) fn access(&mut self, cost: &Cost, me: u32, now: Ps, number: usize, kind: Kind) -> Accessed {
        let writes = matches!(kind, Kind::Store | Kind::Rmw | Kind::Write);
        let work = ps(if kind == Kind::Rmw { cost.rmw_ns } else { cost.hit_ns });
        let line = self.lines.entry(number).or_insert_with(|| Line::of(me));
        let Kept { line: kept, from, until } = self.kept[me as usize];
        let kept = kept == number && now < until;
        let have = line.sharers.contains(me);
        let alone = have && (line.exclusive || !line.sharers.others_than(me));
        if kept || alone || (have && !writes) {
            // What was asked for early may still be on its way.
            let from = if line.latest == me {
                line.arrives
            } else if kept {
                from
            } else {
                now
            };
            let here = now.max(from);
            let wake = if writes { line.written_at_hand(me) } else { Vec::new() };
            return Accessed { at: here + work, changed: writes, wake, lost_at: here };
        }
        if !line.exclusive {
            let start = now.max(line.free_at);
            let (journey, wake) = if writes {
                let far = line.sharers.any_far_from(me, cost);
                let upgrade = ps(if far { cost.upgrade_far_ns } else { cost.upgrade_ns });
                // Read just before: then it was asked for to be written.
                let fetch = cost.transfer(line.owner, me);
                let just_came = have && line.latest == me && now < line.arrives + fetch / 4;
                let saved = if just_came { fetch } else { 0 };
                self.transfers += u64::from(!just_came);
                (upgrade.saturating_sub(saved), line.moves_to(me, true))
            } else {
                self.transfers += 1;
                line.free_at = start + ps(cost.shared_ns);
                let journey = cost.transfer(line.owner, me);
                line.sharers.insert(me, self.cpus_len);
                line.latest = me;
                (journey, Vec::new())
            };
            line.arrives = start + journey;
            return Accessed { at: line.arrives + work, changed: true, wake, lost_at: start };
        }
        self.transfers += 1;
        let journey = cost.transfer(line.owner, me);
        let leaves = now.max(line.arrives) + journey / 4;
        self.kept[line.owner as usize] = Kept { line: number, from: line.arrives, until: leaves };
        line.arrives = leaves + (journey - journey / 4);
        let wake = if writes || line.written {
            line.moves_to(me, writes)
        } else {
            (line.exclusive, line.latest, line.free_at) = (false, me, leaves + ps(cost.shared_ns));
            line.sharers.insert(me, self.cpus_len);
            Vec::new()
        };
        Accessed { at: line.arrives + work, changed: true, wake, lost_at: leaves }
    }

    /// Remembers that a CPU spins on a line; `false` if it has lost it already.
    pub(super) fn watch(&mut self, line: usize, watcher: Watcher) -> bool {
        match self.lines.get_mut(&line) {
            Some(line) if line.sharers.contains(watcher.0) => {
                // Of earlier spins: woken otherwise since.
                line.watchers.retain(|old| old.0 != watcher.0);
                line.watchers.push(watcher);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Cost {
        Cost {
            near_ns: 12.0,
            far_ns: 100.0,
            upgrade_ns: 40.0,
            upgrade_far_ns: 200.0,
            hit_ns: 1.0,
            rmw_ns: 3.0,
            shared_ns: 5.0,
            cluster: 2,
            ..Cost::default()
        }
    }

    #[test]
    fn a_line_travels_once_and_is_then_at_hand() {
        let mut lines = Lines::new(4);
        let mut at = |me, now, kind| lines.access(&cost(), me, now, 7, kind).at;
        assert_eq!(at(0, 0, Kind::Rmw), 3_000);
        // What was written moves to who reads it, and is his to write.
        assert_eq!(at(1, 5_000, Kind::Load), 5_000 + 12_000 + 1_000);
        assert_eq!(at(1, 20_000, Kind::Store), 21_000);
        assert_eq!(at(2, 50_000, Kind::Load), 50_000 + 100_000 + 1_000);
        assert_eq!(lines.transfers, 2);
    }

    #[test]
    fn what_two_have_looked_at_is_dear_to_write() {
        let mut lines = Lines::new(4);
        let mut at = |me, now, kind| lines.access(&cost(), me, now, 7, kind).at;
        at(0, 0, Kind::Store);
        at(1, 1_000, Kind::Load);
        // Not written since it moved: now both have it.
        assert_eq!(at(0, 20_000, Kind::Load), 33_000);
        assert_eq!(at(1, 40_000, Kind::Load), 41_000);
        assert_eq!(at(1, 50_000, Kind::Store), 50_000 + 40_000 + 1_000);
        assert_eq!(at(1, 100_000, Kind::Rmw), 103_000);
        // And of those who are far.
        at(3, 200_000, Kind::Load);
        at(0, 400_000, Kind::Load);
        assert_eq!(at(0, 600_000, Kind::Store), 600_000 + 200_000 + 1_000);
    }

    #[test]
    fn who_comes_while_it_is_on_its_way_follows_it() {
        let mut lines = Lines::new(4);
        lines.access(&cost(), 0, 0, 7, Kind::Store);
        assert_eq!(lines.access(&cost(), 1, 0, 7, Kind::Rmw).at, 15_000);
        assert_eq!(lines.access(&cost(), 2, 0, 7, Kind::Rmw).at, 12_000 + 103_000);
    }

    #[test]
    fn what_was_asked_for_early_is_there_when_it_has_arrived() {
        let mut lines = Lines::new(4);
        lines.access(&cost(), 0, 0, 7, Kind::Store);
        lines.access(&cost(), 1, 1_000, 7, Kind::Write);
        assert_eq!(lines.access(&cost(), 1, 2_000, 7, Kind::Rmw).at, 13_000 + 3_000, "not before");
        assert_eq!(lines.access(&cost(), 1, 60_000, 7, Kind::Rmw).at, 63_000, "nobody has asked since");
    }

    #[test]
    fn a_write_wakes_those_who_spin_and_only_those() {
        let mut lines = Lines::new(4);
        lines.access(&cost(), 0, 0, 7, Kind::Store);
        lines.access(&cost(), 1, 0, 7, Kind::Load);
        assert!(lines.watch(7, (1, 4)));
        assert!(!lines.watch(7, (2, 1)), "it has not got it");
        let written = lines.access(&cost(), 0, 50_000, 7, Kind::Store);
        assert_eq!((written.wake, written.lost_at), (vec![(1, 4)], 53_000));
        assert!(lines.access(&cost(), 0, 90_000, 7, Kind::Store).wake.is_empty());
        assert!(!lines.watch(7, (1, 5)), "it has lost it");
    }

    #[test]
    fn who_has_just_got_a_line_can_try_again_before_it_goes_on() {
        let mut lines = Lines::new(4);
        lines.access(&cost(), 2, 0, 7, Kind::Store);
        assert_eq!(lines.access(&cost(), 1, 0, 7, Kind::Rmw).at, 103_000);
        // The next one has asked for it already, and its request gets there a quarter of the journey after the line.
        assert_eq!(lines.access(&cost(), 3, 5_000, 7, Kind::Rmw).at, 100_000 + 103_000);
        assert_eq!(lines.access(&cost(), 1, 103_000, 7, Kind::Rmw).at, 106_000);
        assert_eq!(lines.access(&cost(), 1, 130_000, 7, Kind::Rmw).at, 200_000 + 103_000);
    }

    #[test]
    fn who_reads_and_writes_at_once_pays_one_journey_and_who_lets_others_look_between_two() {
        let trip = |pause| {
            let mut lines = Lines::new(4);
            lines.access(&cost(), 0, 0, 7, Kind::Store);
            let seen = lines.access(&cost(), 1, 1_000, 7, Kind::Load).at;
            // The first looks again at once.
            assert_eq!(lines.access(&cost(), 0, seen, 7, Kind::Load).at, seen + 13_000);
            lines.access(&cost(), 1, seen + pause, 7, Kind::Store).at - pause
        };
        assert_eq!(trip(2_000), 15_000);
        assert_eq!(trip(30_000), 15_000 + 40_000);
    }

    #[test]
    fn many_can_share_a_line() {
        let mut lines = Lines::new(100);
        for cpu in 0..100 {
            lines.access(&cost(), cpu, 0, 7, Kind::Load);
        }
        assert!((1..100).all(|cpu| !lines.access(&cost(), cpu, 900_000, 7, Kind::Load).changed));
        assert!(lines.access(&cost(), 50, 1_000_000, 7, Kind::Rmw).changed);
        assert!(lines.access(&cost(), 51, 2_000_000, 7, Kind::Load).changed);
    }
}
