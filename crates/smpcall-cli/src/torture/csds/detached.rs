//! What a thread calls without a csd and without waiting: the target keeps the function, so there are only accounts.

use super::super::ground::{Ground, Order};
use super::super::tally::{Check, Event};
use super::super::words::{Count, Plain, Signal};
use smpcall_host::smpcall::DetachedError;

/// The accounts of one sender's detached calls.
pub(in super::super) struct Detached {
    ground: &'static Ground,
    row: usize,
    order: Order,
    /// The sender's data: the number of its last call.
    written: Plain,
    pub(in super::super) due: Count,
    pub(in super::super) ended: Signal,
}

impl Detached {
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

    fn run(&self, target: u32, number: u64) {
        let _inside = self.ground.begin(Some(target));
        self.order.ran(self.ground, target, number);
        let written = self.written.read();
        self.ground.tally.expect(target as usize, Check::Seen, written >= number, || {
            format!("detached call {number} of a sender saw {written} on CPU {target}")
        });
        self.ground.dawdle(number);
        self.ended.add(1);
    }

    /// Makes the next; whether it was accepted.
    pub(in super::super) fn post(&'static self, target: u32) -> bool {
        let number = self.written.read() + 1;
        self.written.write(number);
        let answer = self.ground.machine.post_detached(target, move || self.run(target, number));
        let event = match answer {
            Ok(()) => Event::Post,
            Err(DetachedError::Busy) => Event::Busy,
            Err(_) => Event::Offline,
        };
        self.ground.tally.event(self.row, event, 1);
        self.ground.tally.check(self.row, Check::Answer, answer != Err(DetachedError::NoSuchCpu));
        self.due.add(answer.is_ok().into());
        answer.is_ok()
    }
}
