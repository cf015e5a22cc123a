//! What the interface has for tokio's console, with its feature off: nothing is reported.
//!
//! compio's runtime calls the two functions here by name. (The feature itself is not offered: cargo says so to whoever asks.)

/// On whose behalf a task is spawned.
#[derive(Clone, Copy, Debug)]
pub struct SpawnMeta;

impl SpawnMeta {
    /// The caller's.
    #[track_caller]
    pub fn capture() -> Self {
        Self
    }

    /// The same, by a name.
    pub fn named(self, _name: &'static str) -> Self {
        self
    }

    /// Nobody's.
    pub fn untracked() -> Self {
        Self
    }
}

/// The future that a runtime blocks on, as it is.
pub fn instrument_block_on<F: Future>(meta: SpawnMeta, future: F) -> F {
    let SpawnMeta = meta;
    future
}

/// What a thread for blocking work runs, as it is.
pub fn instrument_blocking<T, F: FnOnce() -> T>(meta: SpawnMeta, f: F) -> F {
    let SpawnMeta = meta;
    f
}
