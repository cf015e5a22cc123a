//! What a thread calls without a csd and without waiting, one CPU or many: the function is kept for it, so there are only accounts.

use super::super::ground::{Ground, Order};
use super::super::tally::{Check, Event};
use super::super::words::{Count, Plain, Signal};
use smpcall_host::smpcall::{DetachedError, ManyError, To};

/// The accounts of one sender's detached calls, or of its multicasts.
pub(in super::super) struct Kept {
    ground: &'static Ground,
    pub(in super::super) what: &'static str,
    row: usize,
    order: Order,
    /// The sender's data: the number of its last call.
    written: Plain,
    /// How many runs there must have been, over all CPUs.
    pub(in super::super) due: Count,
    pub(in super::super) ended: Signal,
}

impl Kept {
    pub(in super::super) fn new(
        ground: &'static Ground,
        what: &'static str,
        row: usize,
        home: u32,
    ) -> &'static Self {
        Box::leak(Box::new(Self {
            ground,
            what,
            row,
            order: Order::new(ground, home),
            written: Plain::default(),
            due: Count::default(),
            ended: Signal::default(),
        }))
    }

    /// The number of the next call, which its function is to see.
    fn next(&self) -> u64 {
        let number = self.written.read() + 1;
        self.written.write(number);
        number
    }

    /// On `target`; of a multicast, on any CPU.
    fn run(&self, target: Option<u32>, number: u64) {
        let inside = self.ground.begin(target);
        if let Some(here) = inside.here {
            self.order.ran(self.ground, here, number);
            let written = self.written.read();
            self.ground.tally.expect(here as usize, Check::Seen, written >= number, || {
                format!("{} call {number} of a sender saw {written} on CPU {here}", self.what)
            });
        }
        self.ground.dawdle(number);
        self.ended.add(1);
    }

    /// Makes the next detached call; whether it was accepted.
    pub(in super::super) fn post(&'static self, target: u32) -> bool {
        let number = self.next();
        let answer = self.ground.machine.post_detached(target, move || self.run(Some(target), number));
        let event = match answer {
            Ok(()) => Event::Post,
            Err(DetachedError::Full) => Event::Busy,
            Err(_) => Event::Offline,
        };
        self.ground.tally.event(self.row, event, 1);
        self.ground.tally.check(self.row, Check::Answer, answer != Err(DetachedError::NoSuchCpu));
        self.due.add(answer.is_ok().into());
        answer.is_ok()
    }

    /// Multicasts to the CPUs that the sender calls and that `chosen` says; returns whether it was accepted.
    pub(in super::super) fn post_many(&'static self, chosen: impl Fn(u32) -> bool) -> bool {
        let number = self.next();
        let mut to = |cpu| self.order.knows(self.ground, cpu) && chosen(cpu);
        match self.ground.machine.post_many(To::If(&mut to), move || self.run(None, number)) {
            Ok(reached) => {
                self.due.add(reached.ran.into());
                self.ground.tally.event(self.row, Event::Post, reached.ran.into());
                self.ground.tally.event(self.row, Event::Offline, reached.offline.into());
                true
            }
            Err(error) => {
                self.ground.tally.event(self.row, Event::Busy, 1);
                self.ground.tally.expect(self.row, Check::Answer, error == ManyError::Full, || {
                    format!("a multicast that does not wait was told: {error}")
                });
                false
            }
        }
    }
}
