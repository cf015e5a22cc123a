# Sourced: a task that notes that it was woken, for probes of what wakes whom.
. "$(dirname "$0")/common.sh"

# probe_task EDITION DEPENDENCIES: as probe, with the task as the module `task`
probe_task() {
    probe "$1" "$2"
    cat > src/task.rs <<'RUST'
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Wake;

pub struct Task(pub AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}
RUST
}
