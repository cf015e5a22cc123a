//! A signal to oneself: what cannot be masked by the core's irq guard, as an NMI cannot.

use nix::libc;
use std::cell::Cell;
use std::ptr::null;
use std::sync::Once;

thread_local! {
    /// What the next signal of this thread calls: points to a `&(dyn Fn() + Sync)`.
    static HANDLER: Cell<*const ()> = const { Cell::new(null()) };
    /// How many of these handlers the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn on_signal(_signal: libc::c_int) {
    let handler = HANDLER.replace(null()).cast::<&(dyn Fn() + Sync)>();
    if !handler.is_null() {
        // SAFETY: `raise` below has put it there, on this thread, and does not return before we do.
        let f = unsafe { *handler };
        DEPTH.set(DEPTH.get() + 1);
        f();
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Whether the calling thread is in a handler of `raise`.
#[allow(dead_code, reason = "not every test breaks it")]
pub(crate) fn is_raised() -> bool {
    DEPTH.get() != 0
}

fn install(signal: libc::c_int, handler: extern "C" fn(libc::c_int), flags: libc::c_int) {
    // SAFETY: all zeroes is an empty action, and the handlers here do only what an interrupt's handler may, which is what
    // the core promises; none of the suite's functions allocates.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// Has the calling thread interrupted by a signal whose handler calls `f`, and returns when it has returned.
pub(crate) fn raise(f: &(dyn Fn() + Sync)) {
    static INSTALLED: Once = Once::new();
    // Not deferred: a handler's post may end in the answer to a doorbell, whose functions may raise again.
    INSTALLED.call_once(|| install(libc::SIGUSR1, on_signal, libc::SA_NODEFER));
    // A doorbell may come before our signal, and its functions may raise one of their own: those take only theirs.
    let before = HANDLER.replace((&raw const f).cast());
    // SAFETY: a signal to the calling thread itself, which is delivered before the call returns.
    assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) }, 0);
    assert!(HANDLER.replace(before).is_null(), "the signal was delivered");
}

thread_local! {
    static FLUSH: Cell<Option<&'static dyn Fn()>> = const { Cell::new(None) };
    static IRQ_OFF: Cell<u32> = const { Cell::new(0) };
    /// A doorbell came while interrupts were off.
    static PENDING: Cell<bool> = const { Cell::new(false) };
}

/// A thread that a doorbell interrupts.
#[derive(Clone, Copy)]
pub(crate) struct Target(libc::pthread_t);

impl Target {
    /// The calling thread; `flush` is what the doorbell's handler does.
    pub(crate) fn here(flush: &'static dyn Fn()) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| install(libc::SIGUSR2, on_doorbell, 0));
        FLUSH.set(Some(flush));
        // SAFETY: asks for the calling thread's own name.
        Self(unsafe { libc::pthread_self() })
    }

    /// Interrupts it.
    pub(crate) fn interrupt(self) {
        // SAFETY: the threads of a run live until all of it is over, and nobody rings afterwards.
        unsafe { libc::pthread_kill(self.0, libc::SIGUSR2) };
    }
}

extern "C" fn on_doorbell(_signal: libc::c_int) {
    if irqs_are_off() { PENDING.set(true) } else { handle() }
}

/// Answers doorbells until none is pending: one after the other, since a flush may ring its own CPU.
fn handle() {
    loop {
        irq_off();
        if let Some(flush) = FLUSH.get() {
            flush();
        }
        // Not below nothing: a broken port may have switched them on meanwhile.
        IRQ_OFF.set(IRQ_OFF.get().saturating_sub(1));
        if !PENDING.replace(false) {
            return;
        }
    }
}

pub(crate) fn irqs_are_off() -> bool {
    IRQ_OFF.get() != 0
}

/// Masks the doorbells of the calling thread; nests.
pub(crate) fn irq_off() {
    IRQ_OFF.set(IRQ_OFF.get() + 1);
}

/// Unmasks them, and answers one that came meanwhile.
pub(crate) fn irq_on() {
    IRQ_OFF.set(IRQ_OFF.get() - 1);
    if !irqs_are_off() && PENDING.replace(false) {
        handle();
    }
}

/// Unmasks them however often they were masked, which no sound port does.
#[allow(dead_code, reason = "not every test breaks it")]
pub(crate) fn irq_on_for_all() {
    IRQ_OFF.set(1);
    irq_on();
}

/// Sleeps for that long, or until a signal comes.
pub(crate) fn nap(limit: std::time::Duration) {
    let limit = libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    };
    // SAFETY: reads the time given, and writes nothing.
    unsafe { libc::nanosleep(&limit, std::ptr::null_mut()) };
}
