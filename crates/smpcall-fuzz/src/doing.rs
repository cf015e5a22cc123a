//! What each thread is doing, for the report of a hang or a fault.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A thread's name, and the steps that it is in, outermost first.
struct Doing {
    name: String,
    steps: Mutex<Vec<(u32, &'static str)>>,
}

static ALL: Mutex<Vec<Arc<Doing>>> = Mutex::new(Vec::new());

thread_local! {
    static MINE: Arc<Doing> = {
        let name = std::thread::current().name().unwrap_or("a thread").to_owned();
        let mine = Arc::new(Doing { name, steps: Mutex::new(Vec::new()) });
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&mine));
        mine
    };
}

/// The calling thread is in a step, until this is dropped.
pub(crate) struct Inside(Option<Arc<Doing>>);

impl Inside {
    pub(crate) fn new(id: u32, what: &'static str) -> Self {
        // A thread that ends may have given this up before its other variables.
        let mine = MINE.try_with(Arc::clone).ok();
        if let Some(mine) = &mine {
            mine.steps.lock().unwrap_or_else(PoisonError::into_inner).push((id, what));
        }
        Self(mine)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(mine) = &self.0 {
            mine.steps.lock().unwrap_or_else(PoisonError::into_inner).pop();
        }
    }
}

/// Forgets the threads of the last program.
pub(crate) fn begin() {
    ALL.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// A line for each thread that is in a step.
pub(crate) fn all() -> String {
    let mut text = String::new();
    // Whoever panics may hold a lock here: then its line is left out.
    for _ in 0..50 {
        if let Ok(all) = ALL.try_lock() {
            for doing in all.iter() {
                let Ok(steps) = doing.steps.try_lock() else { continue };
                if steps.is_empty() {
                    continue;
                }
                let steps: Vec<String> = steps.iter().map(|(id, what)| format!("[{id}] {what}")).collect();
                let _ = writeln!(text, "fuzz-doing: {}: {}", doing.name, steps.join(" > "));
            }
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    text
}
