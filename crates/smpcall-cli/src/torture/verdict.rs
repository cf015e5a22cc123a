//! Everything is at rest: do all accounts agree?

use super::csds::{Contested, Kept, Own, Relay, Shared};
use super::ground::Ground;
use super::tally::Check;
use super::world::World;
use std::collections::BTreeSet;

/// A csd's account, at rest.
struct Account {
    what: &'static str,
    /// The CPU that it was last posted to, if that is known.
    target: Option<u32>,
    /// How many runs there must have been: at least, and at most.
    due: (u64, u64),
    ended: u64,
    /// What was to be seen, and what was.
    owed: u64,
    seen: u64,
    is_pending: bool,
}

impl Account {
    fn of_own(own: &Own) -> Self {
        let body = own.body;
        Self {
            what: body.what,
            target: Some(body.target.read() as u32),
            due: (body.due.get(), body.due.get()),
            ended: body.ended.get(),
            owed: body.owed.read(),
            seen: body.seen.read(),
            is_pending: own.csd.is_pending(),
        }
    }

    fn of_shared(shared: &Shared) -> Self {
        let body = shared.body;
        Self {
            what: "shared",
            target: Some(body.target),
            due: (body.accepted.get(), body.accepted.get()),
            ended: body.ended.get(),
            owed: body.owed.read(),
            seen: body.seen.read(),
            is_pending: shared.csd.is_pending(),
        }
    }

    fn of_contested(contested: &Contested) -> Self {
        let body = contested.body;
        let accepted = body.accepted.get();
        Self {
            what: "contested",
            target: None,
            // A cancelled run may have been given back by a post that was told Busy.
            due: (accepted.saturating_sub(body.removed.get()), accepted),
            ended: body.ended.get(),
            owed: body.owed.read(),
            seen: body.seen.read(),
            is_pending: contested.csd.is_pending(),
        }
    }

    fn of_relay(relay: &Relay) -> Self {
        let body = relay.body;
        Self {
            what: "relay",
            target: Some(body.target.read() as u32),
            due: (body.due.get(), body.due.get()),
            ended: body.ended.get(),
            owed: 0,
            seen: 0,
            is_pending: relay.csd.is_pending(),
        }
    }

    fn of_kept(kept: &Kept) -> Self {
        Self {
            what: kept.what,
            target: None,
            due: (kept.due.get(), kept.due.get()),
            ended: kept.ended.get(),
            owed: 0,
            seen: 0,
            is_pending: false,
        }
    }

    fn of_counted(ground: &Ground) -> Self {
        let counted = &ground.counted;
        Self {
            what: "counted",
            target: None,
            due: (counted.due.get(), counted.due.get()),
            ended: counted.ended.get(),
            owed: 0,
            seen: 0,
            is_pending: false,
        }
    }

    /// Whether a run is still to come.
    fn is_owing(&self) -> bool {
        self.ended < self.due.0 || self.is_pending
    }
}

fn accounts(world: &World) -> impl Iterator<Item = Account> {
    let owns = world.owns().map(Account::of_own);
    let shared = world.shared.iter().map(Account::of_shared);
    let contested = world.contested.iter().map(Account::of_contested);
    let relays = world.kits.iter().map(|kit| Account::of_relay(kit.relay));
    let kept = world.kits.iter().flat_map(|kit| [kit.scatter, kit.detached]).map(Account::of_kept);
    owns.chain(shared).chain(contested).chain(relays).chain(kept).chain([Account::of_counted(world.ground)])
}

/// CPUs that still have runs to do. `None` stands for some CPU, of which only that is known.
pub(super) type Owing = BTreeSet<Option<u32>>;

/// Who still has runs to do. What this says is exact at rest.
pub(super) fn owing(world: &World) -> Owing {
    accounts(world).filter(Account::is_owing).map(|account| account.target).collect()
}

/// Compares all accounts, and counts the checks in `row`; whether nothing was lost.
pub(super) fn compare(world: &World, row: usize) -> bool {
    let (ground, tally) = (world.ground, &world.ground.tally);
    let mut sound = true;
    for account in accounts(world) {
        let Account { what, target, due, ended, owed, seen, is_pending } = account;
        let online = |cpu: u32| ground.cpu(cpu).online.is_set();
        // What a CPU leaves behind that is offline now, it lost when it went.
        let check = match target {
            Some(target) if account.is_owing() && !online(target) => Check::Hotplug,
            _ => Check::ExactlyOnce,
        };
        let once = (due.0..=due.1).contains(&ended) && !is_pending;
        sound &= tally.expect(row, check, once, || {
            let still = if is_pending { ", and it is still pending" } else { "" };
            format!(
                "a csd ({what}), last for CPU {target:?}, ran {ended} times where {} to {} were due{still}",
                due.0, due.1
            )
        });
        tally.expect(row, Check::Seen, seen >= owed || !once, || {
            format!(
                "the last run of a csd ({what}) for CPU {target:?} saw {seen} where {owed} had been written"
            )
        });
    }
    let (made, freed) = (ground.counted.made.get(), ground.counted.freed.get());
    tally.expect(row, Check::Memory, made == freed || !sound, || {
        format!("{made} counted csds were made, and {freed} freed")
    });
    sound
}
