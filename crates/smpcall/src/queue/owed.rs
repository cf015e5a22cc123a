//! The debt of a doorbell that failed: noted on the list, and paid by whoever comes next.

use super::{Head, Seen};
use crate::sync::Ordering;

impl Head {
    /// After a ring that the port could not send: the next one who comes is to ring, unless the list was taken. Lock-free.
    #[cold]
    pub(crate) fn owe(&self) {
        let mut seen = self.look();
        while let Seen::List(list) = seen {
            if list.is_owed() {
                return;
            }
            let owed = Seen::List(list.owed()).word();
            // Relaxed: publishes nothing; the release sequences that it comes into go on. Failure Relaxed: we try again.
            match self.0.compare_exchange(seen.word(), owed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = Seen::of(now),
            }
        }
    }

    /// Takes `OWED` off a list. `true`: the caller rings, before it returns (I8). Lock-free.
    #[cold]
    pub(crate) fn pay(&self) -> bool {
        let mut seen = self.look();
        while let Seen::List(list) = seen {
            if !list.is_owed() {
                break;
            }
            let paid = Seen::List(list.paid()).word();
            // Acquire: sees, for the ring that follows, what the target prepared before `go_idle` or `open`. Failure Relaxed: we try
            // again.
            match self.0.compare_exchange(seen.word(), paid, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = Seen::of(now),
            }
        }
        false
    }
}
