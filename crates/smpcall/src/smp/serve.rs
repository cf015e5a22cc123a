//! What a wait serves meanwhile.

/// What a CPU serves while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Its queue.
    Queue,
    /// Its queue, and the blocking calls that come in by it.
    Blocking,
}
