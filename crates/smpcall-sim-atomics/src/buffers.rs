//! The store buffers: for each virtual CPU what it has stored and memory does not show yet, oldest first.
//!
//! All of one OS thread, like the simulation itself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// How many stores a virtual CPU can have in flight; the next one drains the oldest.
pub const CAPACITY: usize = 8;

/// One store in flight.
struct Entry {
    at: *const (),
    value: usize,
    write: fn(*const (), usize),
}

#[derive(Default)]
struct Buffers {
    of: RefCell<Vec<VecDeque<Entry>>>,
    current: Cell<usize>,
    /// Entries of all.
    entries: Cell<usize>,
}

thread_local! {
    static BUFFERS: Buffers = const {
        Buffers { of: RefCell::new(Vec::new()), current: Cell::new(0), entries: Cell::new(0) }
    };
}

/// Empties all buffers, what is in flight is lost, and makes room for so many virtual CPUs.
pub(crate) fn reset(virtual_cpus: usize) {
    BUFFERS.with(|buffers| {
        let mut of = buffers.of.borrow_mut();
        of.iter_mut().for_each(VecDeque::clear);
        of.resize_with(virtual_cpus, VecDeque::new);
        buffers.entries.set(0);
        buffers.current.set(0);
    });
}

/// Says which virtual CPU runs from now on.
#[inline]
pub(crate) fn set_current(virtual_cpu: usize) {
    BUFFERS.with(|buffers| buffers.current.set(virtual_cpu));
}

/// Returns whether nothing at all is in flight.
#[inline]
pub fn is_empty() -> bool {
    BUFFERS.with(|buffers| buffers.entries.get() == 0)
}

/// Returns how many stores of a virtual CPU are in flight.
pub fn len(virtual_cpu: usize) -> usize {
    BUFFERS.with(|buffers| buffers.of.borrow().get(virtual_cpu).map_or(0, VecDeque::len))
}

/// Brings the oldest store of a virtual CPU to memory, if there is one.
pub fn drain_one(virtual_cpu: usize) {
    BUFFERS.with(|buffers| {
        let entry = buffers.of.borrow_mut().get_mut(virtual_cpu).and_then(VecDeque::pop_front);
        if let Some(entry) = entry {
            buffers.entries.set(buffers.entries.get() - 1);
            (entry.write)(entry.at, entry.value);
        }
    });
}

/// Brings all stores of a virtual CPU to memory.
pub fn drain_all(virtual_cpu: usize) {
    while len(virtual_cpu) > 0 {
        drain_one(virtual_cpu);
    }
}

#[inline]
pub(crate) fn drain_current() {
    BUFFERS.with(|buffers| {
        if buffers.entries.get() != 0 {
            drain_all(buffers.current.get());
        }
    });
}

/// What the current virtual CPU has stored there last, if that is still in flight.
#[inline]
pub(crate) fn seen(at: *const ()) -> Option<usize> {
    BUFFERS.with(|buffers| {
        if buffers.entries.get() == 0 {
            return None;
        }
        let of = buffers.of.borrow();
        let own = of.get(buffers.current.get())?;
        own.iter().rev().find(|entry| entry.at == at).map(|entry| entry.value)
    })
}

/// Puts a store into the current virtual CPU's buffer.
pub(crate) fn put(at: *const (), value: usize, write: fn(*const (), usize)) {
    BUFFERS.with(|buffers| {
        let current = buffers.current.get();
        if len(current) >= CAPACITY {
            drain_one(current);
        }
        let mut of = buffers.of.borrow_mut();
        let Some(own) = of.get_mut(current) else {
            // No such virtual CPU: nothing that could be late.
            write(at, value);
            return;
        };
        own.push_back(Entry { at, value, write });
        buffers.entries.set(buffers.entries.get() + 1);
    });
}
