//! Who the calling thread is: which CPU of which machine, on which core it last was, and whether its soft interrupts are off.

use rustix::thread::sched_getcpu;
use std::cell::Cell;

/// A core number that no core has: nobody has looked yet.
pub(crate) const NO_CORE: u32 = u32::MAX;

/// What a thread knows of itself. `machine` is 0 for a thread that is no CPU.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    pub(crate) machine: u64,
    pub(crate) cpu: u32,
    /// The core that the thread was on when it last looked, or [`NO_CORE`].
    pub(crate) core: u32,
}

const NOWHERE: Here = Here { machine: 0, cpu: 0, core: NO_CORE };

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(NOWHERE) };
    static IRQ_OFF: Cell<u32> = const { Cell::new(0) };
    static POLLED_IN_VAIN: Cell<u8> = const { Cell::new(0) };
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

/// Looks which core the thread is on, and takes note of it. Costs some nanoseconds: for paths that wait anyway.
pub(crate) fn look() -> u32 {
    let core = u32::try_from(sched_getcpu()).unwrap_or(NO_CORE);
    HERE.set(Here { core, ..HERE.get() });
    core
}

/// The thread has looked at its queue and found nothing; returns whether it is time to look where it is, too.
pub(crate) fn polled_in_vain() -> bool {
    POLLED_IN_VAIN.set(POLLED_IN_VAIN.get().wrapping_add(1));
    POLLED_IN_VAIN.get() == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_interrupts_nest_and_are_each_threads_own() {
        assert!(!irq_is_off());
        irq_off();
        irq_off();
        irq_on();
        assert!(irq_is_off());
        assert!(!std::thread::scope(|scope| scope.spawn(irq_is_off).join().expect("it only looks")));
        irq_on();
        assert!(!irq_is_off());
    }

    #[test]
    fn a_thread_is_nobody_until_told_and_again_afterwards() {
        assert_eq!((here().machine, here().core), (0, NO_CORE));
        set(Here { machine: 7, cpu: 3, core: 1 });
        assert_eq!((here().machine, here().cpu, here().core), (7, 3, 1));
        assert_eq!(
            std::thread::scope(|scope| scope.spawn(|| here().machine).join().expect("it only looks")),
            0
        );
        let core = look();
        assert_eq!((here().machine, here().cpu, here().core), (7, 3, core));
        clear();
        assert_eq!((here().machine, here().core), (0, NO_CORE));
    }
}
