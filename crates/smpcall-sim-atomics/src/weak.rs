//! The weak memory: for each location the values that it had, and for each virtual CPU what it knows of them.
//!
//! It is a view machine without promises. *Modification order* is the order of execution. Each value remembers who has seen it, at
//! which of his times; a virtual CPU *knows* a value if it has seen it, or knows of somebody who has: by its vector clock, which releases
//! carry and acquires take over. A load may read the newest value that its CPU knows, or any newer one.
//!
//! # Invariants
//!
//! - **W1** The newest value of a location is the one in memory. (If it is not, somebody wrote there outside of the simulation, or the
//!   memory was given back and is something else now: the location begins anew.)
//! - **W2** A CPU's own time moves on whenever it releases anything. So what it does after a release is not in what was released.
//! - **W3** What is not accessed is not known: a location begins with one value, which everybody may read.

mod cells;
mod location;

pub use cells::Race;
pub(crate) use cells::touch;

use crate::Ordering;
use cells::Cells;
use location::Location;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// How many values of a location are kept.
pub const HISTORY: usize = 8;

/// What one knows of each virtual CPU: up to which of its times.
type Clock = Vec<u32>;

thread_local! {
    static WEAK: RefCell<Weak> = RefCell::new(Weak::default());
}

/// Where the addresses of a run come from differs from run to run, so nothing goes by their order.
#[derive(Default)]
pub(super) struct ByAddress(u64);

impl Hasher for ByAddress {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("addresses only");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

type Map<T> = HashMap<usize, T, BuildHasherDefault<ByAddress>>;

#[derive(Default)]
struct Weak {
    current: usize,
    /// What each virtual CPU knows.
    known: Vec<Clock>,
    /// What each would know if it had acquired what it has read: for an acquire fence.
    read: Vec<Clock>,
    /// What each knew at its last release fence.
    fenced: Vec<Clock>,
    /// What is behind the last of the sequentially consistent accesses and fences.
    total: Clock,
    /// Where the history of each address is.
    places: Map<usize>,
    locations: Vec<Location>,
    /// The places of those that are not in use.
    spare: Vec<usize>,
    cells: Cells,
}

fn join(into: &mut [u32], from: &[u32]) {
    into.iter_mut().zip(from).for_each(|(into, from)| *into = (*into).max(*from));
}

pub(crate) const fn acquires(order: Ordering) -> bool {
    matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

const fn releases(order: Ordering) -> bool {
    matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}

impl Weak {
    fn here(&self) -> &Clock {
        &self.known[self.current]
    }

    /// W2.
    fn tick(&mut self) {
        let me = self.current;
        self.known[me][me] += 1;
    }

    /// The place of the history of a location whose newest value is that one.
    fn place(&mut self, at: usize, newest: usize) -> usize {
        let cpus = self.known.len();
        let Self { places, locations, spare, .. } = self;
        let mut is_new = false;
        let place = *places.entry(at).or_insert_with(|| {
            is_new = true;
            spare.pop().unwrap_or_else(|| {
                locations.push(Location::default());
                locations.len() - 1
            })
        });
        let location = &mut locations[place];
        if is_new || location.newest().value != newest {
            location.begin(newest, cpus);
        }
        place
    }

    /// The first half of a sequentially consistent access.
    fn before(&mut self, order: Ordering) {
        if order == Ordering::SeqCst {
            join(&mut self.known[self.current], &self.total);
        }
    }

    /// And the second.
    fn after(&mut self, order: Ordering) {
        if order == Ordering::SeqCst {
            join(&mut self.total, &self.known[self.current]);
            self.tick();
        }
    }

    /// Reads the `back`th newest value.
    fn read(&mut self, place: usize, back: usize, order: Ordering) -> usize {
        let me = self.current;
        let message = self.locations[place].back(back);
        message.see(me, self.known[me][me]);
        if message.is_released {
            let into = if acquires(order) { &mut self.known[me] } else { &mut self.read[me] };
            join(into, &message.carries);
        }
        message.value
    }

    /// Writes a value; of a read-modify-write, what the value before carries goes on with it.
    fn write(&mut self, place: usize, value: usize, order: Ordering, now: u64, continues: bool) {
        let me = self.current;
        let message = self.locations[place].push(value, self.known.len(), now, continues);
        message.see(me, self.known[me][me]);
        if releases(order) {
            message.carry(&self.known[me]);
            self.tick();
        } else if self.fenced[me][me] != 0 {
            message.carry(&self.fenced[me]);
        }
    }
}

/// Forgets everything, and makes room for so many virtual CPUs.
pub(crate) fn reset(virtual_cpus: usize) {
    WEAK.with_borrow_mut(|weak| {
        weak.current = 0;
        for clocks in [&mut weak.known, &mut weak.read, &mut weak.fenced] {
            clocks.resize_with(virtual_cpus, Clock::new);
            for clock in clocks.iter_mut() {
                clock.clear();
                clock.resize(virtual_cpus, 0);
            }
        }
        (0..virtual_cpus).for_each(|cpu| weak.known[cpu][cpu] = 1);
        weak.total.clear();
        weak.total.resize(virtual_cpus, 0);
        let Weak { places, locations, spare, cells, .. } = weak;
        places.clear();
        spare.clear();
        spare.extend(0..locations.len());
        cells.clear();
    });
}

pub(crate) fn set_current(virtual_cpu: usize) {
    WEAK.with_borrow_mut(|weak| weak.current = virtual_cpu);
}

/// What a load reads. `choose` is asked which, if there are several: 0 is the newest.
pub(crate) fn load(
    at: usize,
    newest: usize,
    order: Ordering,
    oldest: u64,
    choose: impl FnOnce(usize) -> usize,
) -> usize {
    WEAK.with_borrow_mut(|weak| {
        weak.before(order);
        let me = weak.current;
        let place = weak.place(at, newest);
        let values = weak.locations[place].readable(me, &weak.known[me], oldest);
        let back = if values > 1 { choose(values) } else { 0 };
        let value = weak.read(place, back, order);
        weak.after(order);
        value
    })
}

/// The oldest value that a load could read, if none were ever too old.
pub(crate) fn oldest(at: usize, newest: usize) -> usize {
    WEAK.with_borrow_mut(|weak| {
        let me = weak.current;
        let place = weak.place(at, newest);
        let location = &mut weak.locations[place];
        let back = location.readable(me, &weak.known[me], 0) - 1;
        location.back(back).value
    })
}

pub(crate) fn store(at: usize, before: usize, value: usize, order: Ordering, now: u64) {
    WEAK.with_borrow_mut(|weak| {
        let place = weak.place(at, before);
        weak.write(place, value, order, now, false);
        weak.after(order);
    });
}

/// A read-modify-write: it reads the newest value.
pub(crate) fn rmw(at: usize, before: usize, value: usize, order: Ordering, now: u64) {
    WEAK.with_borrow_mut(|weak| {
        weak.before(order);
        let place = weak.place(at, before);
        weak.read(place, 0, order);
        weak.write(place, value, order, now, true);
        weak.after(order);
    });
}

/// A full fence, or a half of one.
pub(crate) fn fence(order: Ordering) {
    WEAK.with_borrow_mut(|weak| {
        let me = weak.current;
        if acquires(order) {
            let Weak { known, read, .. } = weak;
            join(&mut known[me], &read[me]);
        }
        weak.before(order);
        if releases(order) {
            let now = weak.here().clone();
            weak.fenced[me] = now;
            weak.tick();
        }
        weak.after(order);
    });
}

/// Puts what the current virtual CPU knows into `channel`: a read-modify-write that releases, of a word that nothing else writes.
pub(crate) fn send(channel: &mut Clock) {
    WEAK.with_borrow_mut(|weak| {
        if channel.len() != weak.known.len() {
            channel.clear();
            channel.resize(weak.known.len(), 0);
        }
        join(channel, weak.here());
        weak.tick();
    });
}

/// Takes over what is in `channel`: one that acquires.
pub(crate) fn receive(channel: &Clock) {
    WEAK.with_borrow_mut(|weak| join(&mut weak.known[weak.current], channel));
}

/// The current virtual CPU takes over all that this one knows.
pub(crate) fn take_over(from: usize) {
    WEAK.with_borrow_mut(|weak| {
        let last = weak.known[from].clone();
        join(&mut weak.known[weak.current], &last);
        weak.known[from][from] += 1;
    });
}

/// An atomic is no more; what is there next is something else.
pub(crate) fn forget(at: usize) {
    WEAK.with_borrow_mut(|weak| {
        if let Some(place) = weak.places.remove(&at) {
            weak.spare.push(place);
        }
    });
}

/// A cell is no more.
pub(crate) fn forget_cell(at: usize) {
    WEAK.with_borrow_mut(|weak| weak.cells.forget(at));
}
