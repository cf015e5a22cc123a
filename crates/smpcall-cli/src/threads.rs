//! Threads of a scope. The system may refuse one, and then std's `Scope::spawn` panics; here that is an error that says so.

use anyhow::{Context, Result};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Starts a thread.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    body: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, body).context("cannot start a thread")
}
