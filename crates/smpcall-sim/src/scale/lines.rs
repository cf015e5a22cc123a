//! Cache lines: who has which, and what an access costs.
//!
//! A line is *exclusive* with the CPU that wrote it last, or *shared* by those who have read it since. A CPU that has it needs
//! `hit_ns`; one that does not fetches it, one that writes takes it away from all others, and whoever comes while a line is
//! on its way waits for it to arrive. One that has got a line to write keeps it for a moment (`hold_ns`), whoever waits: so a
//! compare-and-swap that fails can be tried again at once. That is MESI with a directory, without capacity: nothing is ever
//! evicted.

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
    /// Who wrote it last: the one it comes from.
    owner: u32,
    exclusive: bool,
    sharers: Sharers,
    /// When it has arrived where it is going, and when it can go on from there.
    arrives: Ps,
    free_at: Ps,
    /// Who spins on it, and in which of its spins.
    watchers: Vec<(u32, u64)>,
}

/// Somebody who looked at a line in a spin: CPU, and which of its spins.
pub(super) type Watcher = (u32, u64);

/// All lines that were touched.
pub(super) struct Lines {
    lines: HashMap<usize, Line, BuildHasherDefault<LineHasher>>,
    cpus_len: usize,
    /// For each CPU the line that it got last to write, and until when it keeps it.
    held: Vec<(usize, Ps)>,
    /// How often a line moved.
    pub(super) transfers: u64,
}

/// What an access came to.
pub(super) struct Accessed {
    /// When it is done.
    pub(super) at: Ps,
    /// It was not a hit, or it wrote.
    pub(super) changed: bool,
    /// Who spun on the line and lost it.
    pub(super) wake: Vec<Watcher>,
}

impl Lines {
    pub(super) fn new(cpus_len: usize) -> Self {
        Self { lines: HashMap::default(), cpus_len, held: vec![(0, 0); cpus_len], transfers: 0 }
    }

    /// Prices an access by `me` at time `now`.
    pub(super) fn access(&mut self, cost: &Cost, me: u32, now: Ps, line: usize, kind: Kind) -> Accessed {
        let writes = matches!(kind, Kind::Store | Kind::Rmw | Kind::Write);
        let work = ps(if kind == Kind::Rmw { cost.rmw_ns } else { cost.hit_ns });
        let number = line;
        if self.held[me as usize].0 == number && now < self.held[me as usize].1 {
            // Others may have asked for it; they wait until then.
            return Accessed { at: now + work, changed: writes, wake: Vec::new() };
        }
        let Some(line) = self.lines.get_mut(&line) else {
            // Nobody had it: it is as if it always had been ours.
            let new = Line {
                owner: me,
                exclusive: true,
                sharers: Sharers::Few(vec![me]),
                arrives: 0,
                free_at: 0,
                watchers: Vec::new(),
            };
            self.lines.insert(number, new);
            return Accessed { at: now + work, changed: true, wake: Vec::new() };
        };
        let have = line.sharers.contains(me);
        if have && (!writes || line.exclusive || !line.sharers.others_than(me)) {
            line.exclusive |= writes;
            // What was asked for early may still be on its way.
            let here = if line.owner == me { now.max(line.arrives) } else { now };
            return Accessed { at: here + work, changed: writes, wake: Vec::new() };
        }
        self.transfers += 1;
        let start = now.max(line.free_at);
        if writes {
            let far = line.sharers.any_far_from(me, cost);
            let arrives = start + ps(if far { cost.far_ns } else { cost.near_ns });
            (line.owner, line.exclusive, line.free_at) = (me, true, arrives + ps(cost.hold_ns));
            line.arrives = arrives;
            self.held[me as usize] = (number, line.free_at);
            line.sharers.only(me);
            let wake = std::mem::take(&mut line.watchers);
            return Accessed { at: arrives + work, changed: true, wake };
        }
        let arrives = start + cost.transfer(line.owner, me);
        line.free_at = if line.exclusive { arrives } else { start + ps(cost.shared_ns) };
        line.exclusive = false;
        line.sharers.insert(me, self.cpus_len);
        Accessed { at: arrives + work, changed: true, wake: Vec::new() }
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
            near_ns: 10.0,
            far_ns: 100.0,
            hit_ns: 1.0,
            rmw_ns: 3.0,
            hold_ns: 0.0,
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
        assert_eq!(at(1, 5_000, Kind::Load), 5_000 + 10_000 + 1_000);
        assert_eq!(at(1, 20_000, Kind::Load), 21_000);
        // Both have it: a write takes it away from the other.
        assert_eq!(at(0, 30_000, Kind::Store), 30_000 + 10_000 + 1_000);
        assert_eq!(at(2, 50_000, Kind::Load), 50_000 + 100_000 + 1_000);
        assert_eq!(lines.transfers, 3);
    }

    #[test]
    fn who_comes_while_it_is_on_its_way_waits() {
        let mut lines = Lines::new(4);
        lines.access(&cost(), 0, 0, 7, Kind::Store);
        assert_eq!(lines.access(&cost(), 1, 0, 7, Kind::Rmw).at, 13_000);
        assert_eq!(lines.access(&cost(), 2, 0, 7, Kind::Rmw).at, 10_000 + 103_000);
    }

    #[test]
    fn a_write_wakes_those_who_spin_and_only_those() {
        let mut lines = Lines::new(4);
        lines.access(&cost(), 0, 0, 7, Kind::Store);
        lines.access(&cost(), 1, 0, 7, Kind::Load);
        assert!(lines.watch(7, (1, 4)));
        assert!(!lines.watch(7, (2, 1)), "it has not got it");
        assert_eq!(lines.access(&cost(), 0, 0, 7, Kind::Store).wake, [(1, 4)]);
        assert!(lines.access(&cost(), 0, 0, 7, Kind::Store).wake.is_empty());
        assert!(!lines.watch(7, (1, 5)), "it has lost it");
    }

    #[test]
    fn who_has_just_got_a_line_can_try_again_before_it_goes_on() {
        let cost = Cost { hold_ns: 20.0, ..cost() };
        let mut lines = Lines::new(4);
        lines.access(&cost, 0, 0, 7, Kind::Store);
        assert_eq!(lines.access(&cost, 1, 0, 7, Kind::Rmw).at, 13_000);
        // The next one has asked for it already, and comes when the first has had its moment.
        assert_eq!(lines.access(&cost, 2, 5_000, 7, Kind::Rmw).at, 10_000 + 20_000 + 103_000);
        assert_eq!(lines.access(&cost, 1, 13_000, 7, Kind::Rmw).at, 16_000);
        assert_eq!(lines.access(&cost, 1, 30_000, 7, Kind::Rmw).at, 130_000 + 20_000 + 103_000);
    }

    #[test]
    fn many_can_share_a_line() {
        let mut lines = Lines::new(100);
        for cpu in 0..100 {
            lines.access(&cost(), cpu, 0, 7, Kind::Load);
        }
        assert!((0..100).all(|cpu| !lines.access(&cost(), cpu, 0, 7, Kind::Load).changed));
        assert!(lines.access(&cost(), 50, 0, 7, Kind::Rmw).changed);
        assert!(lines.access(&cost(), 51, 0, 7, Kind::Load).changed);
    }
}
