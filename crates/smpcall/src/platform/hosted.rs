//! What a port may do besides, if another language posts, or if there is an operating system below.

use crate::smp::Serve;

/// What another language posts. **Implement this when** [`Smp::post_foreign`](crate::Smp::post_foreign) or
/// [`Smp::push_entry`](crate::Smp::push_entry) is used; else neither is called.
///
/// Examples: [`ForeignCsd`](crate::ForeignCsd), [`Entry`](crate::Entry).
pub trait Foreign {
    /// Runs the function of a foreign csd ([`Smp::post_foreign`](crate::Smp::post_foreign)). `csd` is its address, a name: it may be
    /// posted anew, or gone, by now.
    ///
    /// Context: call context, local interrupts off; must not unwind.
    ///
    /// # Safety
    ///
    /// `function` and `argument` are what a csd held that was posted as the safety of `post_foreign` demands; called once for
    /// each accepted post.
    ///
    /// Example: [`ForeignCsd`](crate::ForeignCsd).
    unsafe fn run_foreign(&self, function: *const (), argument: *const (), csd: *const ()) {
        let _ = (function, argument, csd);
        unreachable!("a port that posts foreign csds says how to run them")
    }

    /// Takes over something that is no csd ([`Smp::push_entry`](crate::Smp::push_entry)): it is off the queue, and runs now, or
    /// is kept for the end of the flush.
    ///
    /// Context: as for [`Self::run_foreign`].
    ///
    /// # Safety
    ///
    /// `entry` was pushed as the safety of `push_entry` demands; called once for each push that was accepted.
    ///
    /// Example: [`Entry`](crate::Entry).
    unsafe fn take_entry(&self, entry: *const crate::Entry) {
        let _ = entry;
        unreachable!("a port that pushes entries says how to run them")
    }
}

/// Programs above an operating system. **Implement this when** a thread may be a CPU of one machine and call another, or become a CPU
/// while it waits; or when the whole program may be stopped from outside.
///
/// ```
/// use smpcall::Hosting;
/// use std::cell::Cell;
///
/// thread_local! { static FRAMES: Cell<u32> = const { Cell::new(0) } }
///
/// struct Port;
/// impl Hosting for Port {
///     fn frame_begins(&self) { FRAMES.set(FRAMES.get() + 1); }
///     fn frame_ends(&self) { FRAMES.set(FRAMES.get() - 1); }
/// }
///
/// /// Whether this thread may become a CPU.
/// fn may_attach() -> bool { FRAMES.get() == 0 }
///
/// Port.frame_begins();
/// assert!(!may_attach());
/// Port.frame_ends();
/// assert!(may_attach());
/// ```
pub trait Hosting {
    /// Whether everything here may be stopped from outside without its clock, as a process is by SIGSTOP or a debugger. Then a
    /// waiter sleeps for an eighth of the shorter time-out at a time, to know for how long it was stopped; no other sleep has an end
    /// before the next report is due.
    const MAY_BE_STOPPED: bool = false;

    /// Serves, while a caller waits that is no CPU of this machine, the CPU of another machine that its thread is, if any: by
    /// that machine's [`Machine::serve_elsewhere`](crate::Machine::serve_elsewhere). Without, two CPUs of two machines that call each other's would wait for
    /// ever (P10). Nothing to do where a thread is a CPU of one machine at most, and of the same one for all.
    ///
    /// Context: thread, interrupts on. Called again and again.
    ///
    /// Example: [`Machine::serve_elsewhere`](crate::Machine::serve_elsewhere).
    fn serve_elsewhere(&self, serve: Serve) {
        let _ = serve;
    }

    /// Calls `sleep`, which asks to be woken and [`park`](crate::Waiting::park)s, once; for a caller whose thread is a CPU of another
    /// machine by that machine's [`Machine::rest_elsewhere`](crate::Machine::rest_elsewhere), and in a way in which a ring of that CPU ends the sleep too.
    ///
    /// Context: as for [`park`](crate::Waiting::park); the caller is no CPU of this machine.
    ///
    /// Example: [`Machine::serve_elsewhere`](crate::Machine::serve_elsewhere).
    fn rest_elsewhere(&self, serve: Serve, sleep: &mut dyn FnMut()) {
        let _ = serve;
        sleep();
    }

    /// A caller that is no CPU of this machine, or that may [migrate](crate::Waiting::MIGRATES), runs code of its user's, a condition or a
    /// handler, above a frame of this crate, until [`frame_ends`](Self::frame_ends). Nests. A port by which threads become CPUs refuses that meanwhile: the frame would wait as
    /// the thread that is none, and serve nobody (P10).
    ///
    /// Context: thread, interrupts on.
    fn frame_begins(&self) {}

    /// As for [`frame_begins`](Self::frame_begins), which this undoes.
    fn frame_ends(&self) {}
}
