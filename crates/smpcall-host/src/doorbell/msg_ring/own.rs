//! An io_uring that a doorbell has to send its messages by, where the kernel sends none by register.
//!
//! One for each doorbell: all who ring it send by this one, so that a poster needs no ring of its own, which it could not make in a
//! post (P9: nothing is allocated there), and which a signal's handler could find in the middle of a submission. The latch lets one
//! ring for each sleep through, so that two are rarely here at a time; if they are, none waits for the other:
//!
//! | state | meaning | a ring |
//! |---|---|---|
//! | `FREE` | nobody sends | makes it `SENDS`, sends, and makes it `FREE` |
//! | `SENDS` | somebody does | makes it `AGAIN`, and has rung |
//! | `AGAIN` | somebody does, and will once more | has rung |
//!
//! Who sends makes `AGAIN` to `SENDS`, and sends once more: that message comes after the ring that asked for it began. If it fails, it is
//! that sender's ring that failed; the debt is the CPU's, whoever has it. Progress: lock-free, for who sends again does so for a
//! ring that has ended.
//!
//! # Invariants
//!
//! - The queues are touched by the one who made the state `SENDS` from `FREE`, until it makes it `FREE`.

use io_uring::{IoUring, Probe, opcode, squeue, types};
use smpcall::RingError;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

const FREE: u8 = 0;
const SENDS: u8 = 1;
const AGAIN: u8 = 2;

pub(super) struct OwnRing {
    ring: IoUring,
    state: AtomicU8,
}

impl OwnRing {
    pub(super) fn new() -> io::Result<Self> {
        // One message at a time.
        let ring = IoUring::builder().dontfork().build(1)?;
        let mut known = Probe::new();
        ring.submitter().register_probe(&mut known)?;
        if !known.is_supported(opcode::MsgRingData::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self { ring, state: AtomicU8::new(FREE) })
    }

    /// Puts a completion into that ring, or has it put there by the one who does just that. Never waits. Async-signal-safe, but for
    /// `errno`.
    pub(super) fn send(&self, target: BorrowedFd<'_>, user_data: u64) -> Result<(), RingError> {
        if !self.take() {
            return Ok(());
        }
        loop {
            let sent = self.send_once(target, user_data);
            if self.give_back() {
                return sent;
            }
        }
    }

    /// `false`: somebody sends, and will once more.
    fn take(&self) -> bool {
        let next = |state| match state {
            FREE => Some(SENDS),
            SENDS => Some(AGAIN),
            _ => None,
        };
        // Acquire: finds the queues as the last sender left them; pairs with `give_back`. Failure Relaxed: the message is not ours
        // to send, and publishes nothing: the latch does.
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, next) == Ok(FREE)
    }

    /// `false`: once more.
    fn give_back(&self) -> bool {
        // Release: the next sender finds the queues as we leave them; pairs with `take`. Failure Relaxed: they stay ours.
        if self.state.compare_exchange(SENDS, FREE, Ordering::Release, Ordering::Relaxed).is_ok() {
            return true;
        }
        // Relaxed: they stay ours.
        self.state.store(SENDS, Ordering::Relaxed);
        false
    }

    /// The queues are the caller's.
    fn send_once(&self, target: BorrowedFd<'_>, user_data: u64) -> Result<(), RingError> {
        let target = types::Fd(target.as_raw_fd());
        let message = opcode::MsgRingData::new(target, 0, user_data, None).build();
        {
            // SAFETY: they are this one's, by the state.
            let mut queue = unsafe { self.ring.submission_shared() };
            // Full: the kernel would not take the last message, which was the same.
            if queue.is_empty() {
                // SAFETY: it points to nothing, and its descriptor is the doorbell's.
                let pushed = unsafe { queue.push(&message.flags(squeue::Flags::SKIP_SUCCESS)) };
                pushed.map_err(|_| RingError)?;
            }
        }
        if self.ring.submitter().submit().ok() != Some(1) {
            return Err(RingError);
        }
        // Only of messages that failed. The kernel sends them as it takes them, but for a ring that polls for its input and output, where
        // a failure may be seen by the next one: which then rings once more than it had to.
        // SAFETY: as above.
        let failed = unsafe { self.ring.completion_shared() }.filter(|entry| entry.result() < 0).count();
        if failed == 0 { Ok(()) } else { Err(RingError) }
    }
}

impl std::fmt::Debug for OwnRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnRing").field("ring", &self.ring.as_raw_fd()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
