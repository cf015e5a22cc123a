//! Who the calling thread is: which CPU of which machine, on which core it last was, and whether its soft interrupts are off.

use crate::{incarnation, interrupt};
use nix::sched::sched_getcpu;
use smpcall::Serve;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};
use std::sync::{Arc, Weak};

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

/// The machine that a thread is a CPU of, whatever listens to it.
pub(crate) trait Served: Send + Sync {
    /// [`smpcall::Machine::serve_elsewhere`], for the CPU that the calling thread is.
    fn serve(&self, serve: Serve);
    /// [`smpcall::Machine::rest_elsewhere`], likewise; a ring ends the sleep of a [`crate::callers`] doorbell.
    fn rest(&self, serve: Serve, sleep: &mut dyn FnMut());
    /// [`smpcall::Smp::is_in_blocking`], likewise.
    fn is_in_blocking(&self) -> bool;
    /// A ring has interrupted the CPU that the calling thread is: takes note of it, and flushes. Async-signal-safe, but for what was
    /// posted.
    fn interrupted(&self);
    /// The thread of this CPU, one of the machine's own, has ended.
    fn ended(&self, cpu: u32);
    /// The process is the child of a fork, and has no thread but this one.
    fn forked(&self);
}

/// Says, when its thread ends, that it has.
struct End {
    machine: Weak<dyn Served>,
    cpu: u32,
}

impl Drop for End {
    fn drop(&mut self) {
        // If the machine is gone, nobody waits for its threads.
        if let Some(machine) = self.machine.upgrade() {
            machine.ended(self.cpu);
        }
    }
}

/// [`Here`], as it is kept: a handler that interrupts the thread reads the first two, which are not written while one may come.
struct Place {
    machine: Cell<u64>,
    cpu: Cell<u32>,
    core: Cell<u32>,
}

/// What is before it is before it for a handler that interrupts the thread, too, and what is behind it behind. Costs no instruction.
#[inline(always)]
pub(crate) fn handler_fence() {
    // SeqCst: in both directions, loads and stores; its partner is the handler, on the same thread.
    compiler_fence(Ordering::SeqCst);
}

/// A depth of the thread's own. A handler that interrupts the thread leaves it as it was, so that it may come in the middle of a step.
struct Depth(AtomicU32);

impl Depth {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    fn get(&self) -> u32 {
        // Relaxed: one thread, and its handlers.
        self.0.load(Ordering::Relaxed)
    }

    /// What follows is not done before it.
    #[inline]
    fn enter(&self) {
        // Relaxed: as above.
        self.0.store(self.get() + 1, Ordering::Relaxed);
        handler_fence();
    }

    /// What went before is not done after it.
    #[inline]
    fn leave(&self) -> u32 {
        handler_fence();
        let depth = self.get() - 1;
        // Relaxed: as above.
        self.0.store(depth, Ordering::Relaxed);
        handler_fence();
        depth
    }
}

thread_local! {
    static END: RefCell<Option<End>> = const { RefCell::new(None) };
    /// The machine of `HERE`: weak, for it may go while a thread that leaked its place still names it.
    static SERVED: RefCell<Option<Weak<dyn Served>>> = const { RefCell::new(None) };
    static HERE: Place =
        const { Place { machine: Cell::new(0), cpu: Cell::new(0), core: Cell::new(NO_CORE) } };
    static IRQ_OFF: Depth = const { Depth::new() };
    /// A handler came while soft interrupts were off.
    static WORD: AtomicBool = const { AtomicBool::new(false) };
    /// How many frames of the core, of threads that are no CPU, are below code of the user's.
    static FRAMES: Depth = const { Depth::new() };
    static POLLED_IN_VAIN: Cell<u8> = const { Cell::new(0) };
}

#[inline]
pub(crate) fn here() -> Here {
    HERE.with(|here| Here { machine: here.machine.get(), cpu: here.cpu.get(), core: here.core.get() })
}

fn write(Here { machine, cpu, core }: Here) {
    HERE.with(|here| {
        here.machine.set(machine);
        here.cpu.set(cpu);
        here.core.set(core);
    });
}

/// The thread becomes that CPU.
pub(crate) fn set(here: Here) {
    write(here);
    incarnation::begin();
}

/// It is none any more.
pub(crate) fn clear() {
    write(NOWHERE);
    incarnation::end();
    serve(None);
}

/// Says whose CPU the thread is from now on; the machine of [`set`].
pub(crate) fn serve(machine: Option<Weak<dyn Served>>) {
    // A thread that is ending, and has dropped this already, waits no more.
    let _ = SERVED.try_with(|served| served.replace(machine));
}

/// The machine that the thread is a CPU of, if that still lives.
fn served() -> Option<Arc<dyn Served>> {
    SERVED.try_with(|served| served.borrow().as_ref()?.upgrade()).ok()?
}

/// [`smpcall::Hosting::serve_elsewhere`].
pub(crate) fn serve_elsewhere(serve: Serve) {
    if let Some(served) = served() {
        served.serve(serve);
    }
}

/// [`smpcall::Hosting::rest_elsewhere`].
pub(crate) fn rest_elsewhere(serve: Serve, sleep: &mut dyn FnMut()) {
    match served() {
        Some(served) => served.rest(serve, sleep),
        None => sleep(),
    }
}

/// Returns whether the thread is inside of a function of `call_blocking`, of whichever machine.
pub(crate) fn is_in_blocking() -> bool {
    served().is_some_and(|served| served.is_in_blocking())
}

/// Returns whether the thread is a CPU of any machine that lives. One that leaked its place is none when the machine is gone.
pub(crate) fn is_a_cpu() -> bool {
    if here().machine == 0 {
        return false;
    }
    let is_gone = |served: &Weak<dyn Served>| served.strong_count() == 0;
    let gone = SERVED.try_with(|served| served.borrow().as_ref().is_some_and(is_gone)).unwrap_or(false);
    if gone {
        clear();
    }
    !gone
}

/// One of the machine's own threads begins: its end will be told. To be called first of all in the thread, since what it keeps
/// for itself is dropped in the opposite order (by std, so far): who is told that it ended then waits for nothing of the user's.
pub(crate) fn begin_thread(machine: Weak<dyn Served>, cpu: u32) {
    END.set(Some(End { machine, cpu }));
}

/// Looks which core the thread is on, and takes note of it. Costs some nanoseconds: for paths that wait anyway.
pub(crate) fn look() -> u32 {
    let core = sched_getcpu().map_or(NO_CORE, |core| core as u32);
    HERE.with(|here| here.core.set(core));
    core
}

/// The thread has looked at its queue and found nothing; returns whether it is time to look where it is, too.
pub(crate) fn polled_in_vain() -> bool {
    POLLED_IN_VAIN.set(POLLED_IN_VAIN.get().wrapping_add(1));
    POLLED_IN_VAIN.get() == 0
}

/// A frame of the core begins under code of the user's in a thread that is no CPU of its machine.
pub(crate) fn frame_begins() {
    FRAMES.with(Depth::enter);
}

/// The same frame ends.
pub(crate) fn frame_ends() {
    FRAMES.with(Depth::leave);
}

/// Returns whether the thread is inside of a function of the core's, so that who it is must stay.
pub(crate) fn is_inside() -> bool {
    FRAMES.with(Depth::get) != 0 || irq_is_off()
}

/// Switches the thread's soft interrupts off; nests.
#[inline]
pub(crate) fn irq_off() {
    IRQ_OFF.with(Depth::enter);
}

/// Undoes one [`irq_off`]. If soft interrupts are on then, what came meanwhile is answered: where nothing interrupts a thread, that is a
/// look at one byte of its own.
#[inline]
pub(crate) fn irq_on() {
    let depth = IRQ_OFF.with(Depth::leave);
    // A handler that comes after the step finds them on, and leaves no word.
    if has_word() && depth == 0 {
        take_word();
        interrupt::answer();
    }
}

/// The same, in an answer, which is to go on if this says so.
pub(crate) fn irq_on_to_look() -> bool {
    let on = IRQ_OFF.with(Depth::leave) == 0;
    let more = on && has_word();
    if more {
        take_word();
    }
    more
}

#[inline]
pub(crate) fn irq_is_off() -> bool {
    IRQ_OFF.with(Depth::get) != 0
}

#[inline]
fn has_word() -> bool {
    // Relaxed: one thread, and its handlers.
    WORD.with(|word| word.load(Ordering::Relaxed))
}

/// Soft interrupts are on: handlers leave none now.
fn take_word() {
    // Relaxed: as above.
    WORD.with(|word| word.store(false, Ordering::Relaxed));
    handler_fence();
}

/// A handler has interrupted the thread while soft interrupts were off.
pub(crate) fn leave_word() {
    // Relaxed: as above.
    WORD.with(|word| word.store(true, Ordering::Relaxed));
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
