//! Who the calling thread is: which CPU of which machine, on which core, and whether its soft interrupts are off.

use std::cell::Cell;

/// A core number that no core has.
pub(crate) const NO_CORE: u32 = u32::MAX;

/// What a thread knows of itself. `machine` is 0 for a thread that is no CPU.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    pub(crate) machine: u64,
    pub(crate) cpu: u32,
    /// The core that the thread is pinned to, or [`NO_CORE`].
    pub(crate) core: u32,
}

const NOWHERE: Here = Here { machine: 0, cpu: 0, core: NO_CORE };

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(NOWHERE) };
    static IRQ_OFF: Cell<u32> = const { Cell::new(0) };
}

pub(crate) fn here() -> Here {
    HERE.get()
}

pub(crate) fn set(here: Here) {
    HERE.set(here);
}

pub(crate) fn clear() {
    HERE.set(NOWHERE);
}

/// Switches the thread's soft interrupts off; nests.
pub(crate) fn irq_off() {
    IRQ_OFF.set(IRQ_OFF.get() + 1);
}

pub(crate) fn irq_on() {
    IRQ_OFF.set(IRQ_OFF.get() - 1);
}

pub(crate) fn irq_is_off() -> bool {
    IRQ_OFF.get() != 0
}
