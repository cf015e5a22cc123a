//! A signal to oneself: what cannot be masked by the core's irq guard, as an NMI cannot.

use std::cell::Cell;
use std::ptr::null;
use std::sync::Once;

thread_local! {
    /// What the next signal of this thread calls: points to a `&(dyn Fn() + Sync)`.
    static HANDLER: Cell<*const ()> = const { Cell::new(null()) };
}

extern "C" fn on_signal(_signal: libc::c_int) {
    let handler = HANDLER.replace(null()).cast::<&(dyn Fn() + Sync)>();
    if !handler.is_null() {
        // SAFETY: `raise` below has put it there, on this thread, and does not return before we do.
        unsafe { (*handler)() }
    }
}

/// Has the calling thread interrupted by a signal whose handler calls `f`, and returns when it has returned.
pub(crate) fn raise(f: &(dyn Fn() + Sync)) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: all zeroes is an empty action, and the handler below does only what a signal handler may: what the core
        // promises for an NMI.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
    });
    HANDLER.set((&raw const f).cast());
    // SAFETY: a signal to the calling thread itself, which is delivered before the call returns.
    assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) }, 0);
    assert!(HANDLER.get().is_null(), "the signal was delivered");
}
