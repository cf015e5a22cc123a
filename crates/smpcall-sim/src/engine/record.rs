//! What the engine knows of a run: its record, its hash, its figures; and looks that are no part of it.

use super::{Changes, Engine, Handlers};
use crate::history::{Came, Event, EventKind, History};
use smpcall_sim_atomics as memory;

impl Engine {
    /// Looks at simulated memory without being a part of the run: no step, no interrupt.
    pub(crate) fn unscheduled<R>(&self, look: impl FnOnce() -> R) -> R {
        self.quiet.set(self.quiet.get() + 1);
        let result = look();
        self.quiet.set(self.quiet.get() - 1);
        result
    }

    /// The rest of a read-modify-write that the port makes: what this virtual CPU has stored is in memory.
    pub(crate) fn publish(&self) {
        memory::drain_all(self.current.get());
    }

    /// Which value a load reads, of so many: 0 is the newest. A post that is left alone reads what is in memory (P9 counts its steps), and
    /// so does who only looks.
    pub(super) fn choose_value(&self, values: usize) -> usize {
        let every = self.old.get().every as usize;
        if self.quiet.get() > 0 || every == 0 || self.is_alone() || std::thread::panicking() {
            return 0;
        }
        let chosen = self.chooser.value(values, every, &self.reads);
        self.mix(0x7000 | chosen as u64);
        chosen
    }

    /// Notes how the core's words change, until [`Self::take_changes`].
    pub(crate) fn note_changes(&self) {
        self.changes.replace(Some(Changes::default()));
    }

    pub(crate) fn take_changes(&self) -> Changes {
        self.changes.take().unwrap_or_default()
    }

    pub(crate) fn call_handlers(&self, call: impl FnOnce(&dyn Handlers)) {
        let handlers = self.handlers.borrow().clone();
        if let Some(handlers) = handlers {
            call(&*handlers);
        }
    }

    /// Takes something that happened into the run's hash. Never an address.
    pub(crate) fn mix(&self, what: u64) {
        let hash = (self.hash.get() ^ what).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash.set(hash.rotate_left(23));
    }

    /// The hash of all steps so far: equal for equal runs.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// How many steps were made.
    pub(crate) fn points(&self) -> u64 {
        self.points.get()
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    pub(crate) fn has_interrupts(&self) -> bool {
        self.setup.borrow().as_ref().is_some_and(|setup| setup.interrupts)
    }

    /// How many doorbells were sent.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.get()
    }

    /// Puts something on record.
    pub(crate) fn log(&self, kind: EventKind) {
        if matches!(kind, EventKind::Ring { .. }) {
            self.rings.set(self.rings.get() + 1);
        }
        let (thread, level) = (self.current.get(), self.level());
        self.history.borrow_mut().push(Event {
            step: self.step.get(),
            ns: self.now_ns.get(),
            thread,
            level,
            kind,
        });
    }

    pub(crate) fn came(&self, op: usize, came: Came) {
        self.log(EventKind::End { op, came });
    }

    pub(crate) fn with_history<R>(&self, f: impl FnOnce(&mut History) -> R) -> R {
        f(&mut self.history.borrow_mut())
    }

    /// Goes over to the next path of an exhaustive search; `false` when all were taken.
    pub(crate) fn next_path(&self) -> bool {
        self.chooser.path.borrow_mut().advance()
    }
}

/// The text of a panic.
pub(crate) fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
