//! Posters in interrupt context: signals, whose handlers post.
//!
//! A handler comes between any two instructions of its thread, also between the claim and the push of a post. It only
//! posts, what it posts was made before and is never freed, and it counts in atomics: nothing in it allocates or locks.
//!
//! One signal at a time is under way to a thread: who wants to send one takes the station's `pending`, and the handler
//! gives it back. So it can be known when none is, and none is sent to a thread that has ended.

use super::asleep;
use super::csds::Urgency;
use super::tally::{Check, Event};
use super::words::{Count, Signal};
use super::world::{Sender, World};
use anyhow::{Context, Result};
use fastrand::Rng;
use nix::errno::Errno;
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal as Number, sigaction};
use std::cell::Cell;

/// A CPU's thread as a target of signals.
pub(super) struct Station {
    pub(super) sender: Sender,
    thread: Signal,
    /// The kernel's number of the thread.
    pub(super) kernel_thread: Signal,
    /// Whether a signal is under way, or the thread is not there.
    pending: Signal,
    handled: Count,
}

impl Station {
    pub(super) fn new(sender: Sender) -> Self {
        let (thread, kernel_thread) = (Signal::default(), Signal::default());
        Self { sender, thread, kernel_thread, pending: Signal::new(1), handled: Count::default() }
    }

    /// Whether no handler is under way, and none is to come unless somebody sends another.
    pub(super) fn is_quiet(&self) -> bool {
        !self.pending.is_set()
    }
}

thread_local! {
    /// Whose handler this thread runs. Needs no start and no end, so a handler may read it at any time.
    static HERE: Cell<Option<(&'static World, u32)>> = const { Cell::new(None) };
}

/// Installs the handler, for all threads; those that are not enlisted ignore the signal.
#[expect(unsafe_code, reason = "installing a handler is unsafe: it must be fit for a signal")]
pub(super) fn install() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler allocates nothing, takes no lock, and leaves errno as it was (see the module's docs).
    unsafe { sigaction(Number::SIGUSR1, &action) }.context("cannot install a signal handler")?;
    Ok(())
}

/// The calling thread runs the handlers of `cpu` from now on.
pub(super) fn enlist(world: &'static World, cpu: u32) {
    HERE.set(Some((world, cpu)));
    let station = &world.stations[cpu as usize];
    station.thread.set(pthread_self() as u64);
    station.kernel_thread.set(asleep::this_thread());
    station.pending.set(0);
}

/// The calling thread is going to end: returns when nobody can send it a signal any more.
pub(super) fn retire(world: &'static World, cpu: u32) {
    while world.stations[cpu as usize].pending.swap(1) != 0 {
        std::thread::yield_now();
    }
}

/// Sends a signal to a CPU's thread, unless one is under way.
pub(super) fn send(world: &'static World, cpu: u32) {
    let station = &world.stations[cpu as usize];
    if station.pending.swap(1) == 0 && pthread_kill(station.thread.get() as Pthread, Number::SIGUSR1).is_err()
    {
        station.pending.set(0);
    }
}

extern "C" fn on_signal(_number: i32) {
    let errno = Errno::last_raw();
    if let Some((world, cpu)) = HERE.get() {
        handle(world, cpu);
    }
    Errno::set_raw(errno);
}

/// Posts a few of the station's own csds, and one that everybody posts.
fn handle(world: &'static World, cpu: u32) {
    let station = &world.stations[cpu as usize];
    let (ground, sender) = (world.ground, &station.sender);
    station.handled.add(1);
    ground.tally.event(sender.row, Event::Interrupt, 1);
    let mut rng = Rng::with_seed(station.handled.get());
    let mut partner = || ground.partner(sender.home, rng.u32(..ground.partners_len()));
    for own in sender.free().take(2) {
        ground.tally.check(sender.row, Check::Seen, own.is_seen());
        own.post(partner(), sender.number());
    }
    // A wrong answer is counted as an error by the post; a handler has no place to say more.
    let _ = world.shared[partner() as usize].post(sender.row, Urgency::Now);
    station.pending.set(0);
}
