//! When a target counts as silent, and who is told; and who is told of panics that nobody waits for.

use smpcall::{CallStall, QueueStall};
use std::any::Any;
use std::cell::Cell;
use std::time::Duration;

/// What is told of silent targets.
pub(crate) type OnCallStall = Box<dyn Fn(&CallStall) + Send + Sync>;
pub(crate) type OnQueueStall = Box<dyn Fn(&QueueStall) + Send + Sync>;
pub(crate) type OnPanic = Box<dyn Fn(u32, &(dyn Any + Send)) + Send + Sync>;

/// In the port's unit; for ever, if there is no number for it.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// When a target is silent, and who is told.
pub(crate) struct Stalls {
    pub(crate) timeout_ns: u64,
    pub(crate) stop_ns: u64,
    pub(crate) on_call_stall: OnCallStall,
    pub(crate) on_unstuck: OnCallStall,
    pub(crate) on_queue_stall: OnQueueStall,
    pub(crate) on_panic: OnPanic,
}

impl Stalls {
    /// Linux's defaults, and standard error.
    pub(crate) fn new() -> Self {
        Self {
            timeout_ns: 5_000_000_000,
            stop_ns: 0,
            on_call_stall: Box::new(|stall| eprintln!("smpcall: {stall}")),
            on_unstuck: Box::new(|stall| eprintln!("smpcall: {stall}")),
            on_queue_stall: Box::new(|stall| eprintln!("smpcall: {stall}")),
            // The panic hook has printed it.
            on_panic: Box::new(|_, _| ()),
        }
    }

    /// Calls a handler, unless this thread is inside one, of whichever machine: one that calls, and stalls, would otherwise nest until
    /// the stack overflows. (For a thread that is a CPU the core sees to it, but for calls to another machine.)
    pub(crate) fn report_once(&self, handler: &OnCallStall, stall: &CallStall) {
        thread_local! {
            static REPORTING: Cell<bool> = const { Cell::new(false) };
        }
        /// Also when the handler panics: the thread's next report is to be told.
        struct End;
        impl Drop for End {
            fn drop(&mut self) {
                let _ = REPORTING.try_with(|reporting| reporting.set(false));
            }
        }
        // Of an ending thread the flag may be gone; then nothing is left to nest in.
        if REPORTING.try_with(|reporting| reporting.replace(true)).unwrap_or(false) {
            return;
        }
        let _end = End;
        handler(stall);
    }
}

impl std::fmt::Debug for Stalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { timeout_ns, stop_ns, .. } = self;
        f.debug_struct("Stalls")
            .field("timeout_ns", timeout_ns)
            .field("stop_ns", stop_ns)
            .finish_non_exhaustive()
    }
}
