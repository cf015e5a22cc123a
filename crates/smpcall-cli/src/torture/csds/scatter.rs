//! What a thread multicasts without waiting: the machine keeps the function, so there is no csd, only its accounts.

use super::super::ground::{Ground, Order};
use super::super::tally::{Check, Event};
use super::super::words::{Count, Plain, Signal};
use smpcall_host::smpcall::{ManyError, To};

/// The accounts of one sender's multicasts.
pub(in super::super) struct Scatter {
    ground: &'static Ground,
    row: usize,
    order: Order,
    /// The sender's data: the number of its last multicast.
    written: Plain,
    /// How many runs there must have been, over all CPUs.
    pub(in super::super) due: Count,
    pub(in super::super) ended: Signal,
}

impl Scatter {
    pub(in super::super) fn new(ground: &'static Ground, row: usize, home: u32) -> &'static Self {
        Box::leak(Box::new(Self {
            ground,
            row,
            order: Order::new(ground, home),
            written: Plain::default(),
            due: Count::default(),
            ended: Signal::default(),
        }))
    }

    fn run(&self, number: u64) {
        let inside = self.ground.begin(None);
        if let Some(here) = inside.here {
            self.order.ran(self.ground, here, number);
            let written = self.written.read();
            self.ground.tally.expect(here as usize, Check::Seen, written >= number, || {
                format!("multicast {number} of a sender saw {written} on CPU {here}")
            });
        }
        self.ground.dawdle(number);
        self.ended.add(1);
    }

    /// Multicasts to the CPUs that the sender calls and that `chosen` says; returns whether it was accepted.
    pub(in super::super) fn post(&'static self, chosen: impl Fn(u32) -> bool) -> bool {
        let number = self.written.read() + 1;
        self.written.write(number);
        let mut to = |cpu| self.order.knows(self.ground, cpu) && chosen(cpu);
        match self.ground.machine.post_many(To::If(&mut to), move || self.run(number)) {
            Ok(reached) => {
                self.due.add(reached.ran.into());
                self.ground.tally.event(self.row, Event::Post, reached.ran.into());
                self.ground.tally.event(self.row, Event::Offline, reached.offline.into());
                true
            }
            Err(error) => {
                self.ground.tally.event(self.row, Event::Busy, 1);
                self.ground.tally.expect(self.row, Check::Answer, error == ManyError::Busy, || {
                    format!("a multicast that does not wait was told: {error}")
                });
                false
            }
        }
    }
}
