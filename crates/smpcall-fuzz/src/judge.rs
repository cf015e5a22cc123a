//! What is wrong and what is not. A complaint ends the process: what comes after a fault only hides it.

use crate::count::Flag;
use crate::doing;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The process ended with a complaint.
pub(crate) const COMPLAINT: i32 = 44;
/// The process ended as its program is allowed to.
pub(crate) const ALLOWED_END: i32 = 45;

/// Panics that the documentation of what was called names.
const REFUSALS: [&str; 7] = [
    "flush is for a CPU of this machine",
    "run_blocking is for a CPU of this machine",
    "poll_begin is for a CPU of this machine",
    "poll_end is for a CPU of this machine",
    "has_work is for a CPU of this machine",
    "park is for thread context",
    "cannot detach",
];

/// The program has a listener or a handler that does what its documentation says it must not. Then the process may end, or
/// wait for ever; memory must be sound all the same.
static MEMORY_ONLY: Flag = Flag::new();

/// What a drawn panic carries.
pub(crate) struct Thrown;

thread_local! {
    static LAST_REFUSAL: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What is judged of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Everything.
    All,
    /// That its memory is sound.
    Memory,
}

/// What is judged from now on.
pub(crate) fn begin(judged: Judged) {
    MEMORY_ONLY.put(judged == Judged::Memory);
}

/// Ends the process, which has done something wrong.
pub(crate) fn complain(rule: &str, what: &str) -> ! {
    if MEMORY_ONLY.is_set() && !rule.starts_with("memory") {
        eprintln!("fuzz: allowed: {rule}: {what}");
        std::process::exit(ALLOWED_END);
    }
    eprintln!("fuzz: {rule}: {what}");
    eprintln!("{}", doing::all());
    std::process::exit(COMPLAINT)
}

/// From now on each panic is looked at: drawn ones and refusals are quiet, others are complaints.
pub(crate) fn watch_panics() {
    std::panic::set_hook(Box::new(|info| {
        if info.payload().is::<Thrown>() || info.payload().is::<crate::payload::Thrown>() {
            return;
        }
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("something");
        if REFUSALS.iter().any(|refusal| text.contains(refusal)) {
            let _ = LAST_REFUSAL.try_with(|last| text.clone_into(&mut last.borrow_mut()));
            return;
        }
        let place = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
        let last = LAST_REFUSAL.try_with(|last| last.borrow().clone()).unwrap_or_default();
        let after = if last.is_empty() { last } else { format!(" (after `{last}`)") };
        complain("panic", &format!("`{text}` at {place}{after}"));
    }));
}

/// Drops what a panic left behind, whatever that does.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        drop(worse);
    }
}
