//! Interrupts: they come in at a point, on the stack of the virtual CPU that they hit. The doorbell's and a device's are
//! masked by the irq guard and by each other; an NMI by another NMI only.

use super::{Block, Engine, Thread};
use crate::history::EventKind;

impl Engine {
    /// The port's irq guard.
    pub(crate) fn irq_save(&self) {
        self.let_in_if_any();
        self.move_on();
        self.hold();
        self.here(|here| here.irq_off.set(here.irq_off.get() + 1));
    }

    pub(crate) fn irq_restore(&self) {
        self.here(|here| here.irq_off.set(here.irq_off.get() - 1));
        self.let_go();
        self.let_in_if_any();
    }

    fn let_in_if_any(&self) {
        if self.quiet.get() == 0 && !std::thread::panicking() {
            self.let_interrupts_in();
        }
    }

    /// An interrupt has arrived at a CPU; one that is there already stays the one.
    pub(super) fn raise(&self, cpu: usize, id: usize, nmi: bool) {
        self.of(cpu, |thread| {
            let pending = if nmi { &thread.nmi } else { &thread.irq };
            if pending.get().is_none() {
                pending.set(Some(id));
            }
        });
        // It ends a sleep; who is stopped gets it later.
        if matches!(self.block_of(cpu), Block::Asleep(_) | Block::Parked(_)) {
            self.unblock(cpu);
        }
    }

    /// Handles what has arrived and may come in now.
    #[inline]
    pub(super) fn let_interrupts_in(&self) {
        let any = self.here(|here| here.rung.get() || here.irq.get().is_some() || here.nmi.get().is_some());
        if any && !self.is_alone() {
            self.handle();
        }
    }

    #[cold]
    fn handle(&self) {
        if !self.here(|here| here.in_nmi.get())
            && let Some(id) = self.here(|here| here.nmi.take())
        {
            self.as_nmi(|| self.call_handlers(|handlers| handlers.device(id)));
        }
        let open = |here: &Thread| !here.in_nmi.get() && !here.in_irq.get() && here.irq_off.get() == 0;
        while self.here(open) {
            if let Some(id) = self.here(|here| here.irq.take()) {
                self.as_irq(|| self.call_handlers(|handlers| handlers.device(id)));
            } else if self.has_interrupts() && self.here(|here| here.is_cpu && here.rung.get()) {
                self.as_irq(|| {
                    self.acknowledge();
                    self.log(EventKind::Doorbell);
                    self.call_handlers(|handlers| handlers.doorbell());
                });
            } else {
                return;
            }
        }
    }

    /// Clears the doorbell's latch, by a read-modify-write.
    pub(super) fn acknowledge(&self) {
        self.here(|here| here.rung.set(false));
        self.here(|here| here.rung_by.receive());
    }

    /// Runs `f` as an interrupt's handler.
    pub(crate) fn as_irq(&self, f: impl FnOnce()) {
        self.here(|here| here.in_irq.set(true));
        self.hold();
        f();
        self.let_go();
        self.here(|here| here.in_irq.set(false));
    }

    /// Runs `f` as an NMI's handler.
    pub(crate) fn as_nmi(&self, f: impl FnOnce()) {
        let nested = self.here(|here| here.in_nmi.replace(true));
        self.hold();
        f();
        self.let_go();
        self.here(|here| here.in_nmi.set(nested));
    }
}
