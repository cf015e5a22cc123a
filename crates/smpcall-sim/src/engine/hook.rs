//! What the atomics ask of the engine, and tell it.

use super::Engine;
use crate::history::EventKind;
use smpcall_sim_atomics::{Access, Hook, Kind, Race, Word};

impl Hook for Engine {
    #[inline]
    fn before(&self, access: Access) {
        match access.kind {
            Kind::Load | Kind::Store | Kind::Rmw | Kind::Fence => self.point(access.kind as u8),
            Kind::Own if self.quiet.get() == 0 && !std::thread::panicking() => self.let_interrupts_in(),
            // Memory of one side at a time: no step, only a price, and that is `scale`'s.
            Kind::Own | Kind::Read | Kind::Write => {}
        }
    }

    fn changed(&self, word: Word, from: usize, to: usize) {
        if let Some(changes) = &mut *self.changes.borrow_mut() {
            changes.add(word, from, to);
        }
    }

    fn choose(&self, values: usize) -> usize {
        self.choose_value(values)
    }

    fn now(&self) -> u64 {
        self.step.get()
    }

    fn oldest(&self) -> u64 {
        self.settled.get().max(self.step.get().saturating_sub(self.old.get().steps))
    }

    fn raced(&self, race: Race) {
        if self.quiet.get() == 0 {
            self.log(EventKind::Raced(race));
        }
    }
}
