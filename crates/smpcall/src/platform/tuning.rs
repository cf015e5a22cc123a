//! What may be faster on one machine than on another, and what a port leaves out.

use super::Platform;

/// Hints, and what is never used. **Implement this when** it was measured to be faster; nothing else depends on it.
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// use smpcall::Tuning;
///
/// struct Port;
/// impl Tuning for Port {
///     const LAZY_POSTS: bool = false; // nobody here posts lazily
///     fn prefetch_write(&self, line: *const ()) {
///         # let _ = line;
///         // The machine's instruction for that.
///     }
///     fn gather(&self) { (0..4).for_each(|_| core::hint::spin_loop()); }
///     fn looks_first(&self, target: u32) -> u32 { if target < 4 { 64 } else { 200 } } // the other socket
///     fn look_first(&self, target: u32, _alike: usize, done: impl Fn() -> bool) -> bool {
///         (0..self.looks_first(target)).any(|_| done())
///     }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Tracing, Topology, Foreign, Hosting);
/// assert!(!Port.look_first(1, 0, || false) && Port.look_first(1, 0, || true));
/// # Port.prefetch_write(core::ptr::null());
/// # Port.gather();
/// ```
pub trait Tuning {
    /// Whether anybody posts lazily ([`Smp::post_lazy`](crate::Smp::post_lazy)). If not, no flush looks for such posts, and that
    /// function does not compile.
    const LAZY_POSTS: bool = true;

    /// Whether a CPU is ever marked as polling: by its handle ([`Cpu::poll_begin`](crate::Cpu::poll_begin)), which does not compile
    /// if not, or while its thread waits ([`SERVES_IN_WAITS`](crate::Waiting::SERVES_IN_WAITS), which must be `false` then).
    /// A port that tells its idle CPUs in another way, as Linux by a flag of the idle thread, needs no mark.
    const POLLS: bool = true;

    /// Whether a flush may stop at its [budget](crate::Budget) in the middle of what it has taken off the queue. If not, it runs that to its end,
    /// as Linux does, and looks at the budget before it takes more; what is there then it leaves in the queue, and rings its CPU
    /// again. So nothing is ever [left over](crate::Smp::backlog_racy), and a flush may run more than its budget says.
    const LEAVES_OVER: bool = true;

    /// Whether there are calls that may block ([`Smp::call_blocking`](crate::Smp::call_blocking), which does not compile if not).
    const BLOCKING_CALLS: bool = true;

    /// Whether a doorbell may fail. If not, each [`ring`](crate::Platform::ring) is answered `Ok`, and nobody looks for those that are owed.
    const RINGS_FAIL: bool = true;

    /// Asks the memory system for `line`, to be written soon. A hint: it reads nothing and never faults.
    #[inline(always)]
    fn prefetch_write(&self, line: *const ()) {
        let _ = line;
    }

    /// Lets a moment pass, about as long as a cache line travels, between a polling CPU's sight of a call that nobody
    /// waits for and its taking of the list. In a flood of posts more come along meanwhile; without, poster and target
    /// would pass the line to and fro for every one of them. May do nothing.
    ///
    /// Context: flush, local interrupts off.
    #[inline(always)]
    fn gather(&self) {}

    /// Returns how often a waiting caller looks at its call before it does anything else: about as long as a polling
    /// target takes to answer. 0 where the target cannot run while the caller does.
    ///
    /// Context: thread, interrupts on.
    #[inline(always)]
    fn looks_first(&self, target: u32) -> u32 {
        let _ = target;
        64
    }

    /// A call that its caller waits for has just been sent to `target`: pauses, and looks a few times whether it is `done`; returns
    /// whether it is. If not, the caller serves its own CPU, backs off, and sleeps.
    ///
    /// By default it looks [`looks_first`](Self::looks_first) times, with a [`relax`](Platform::relax) before each. *When* it first looks
    /// is much of a short call's price: a look just before the answer takes the line away from the target, and costs a round trip; each
    /// moment after it is lost. A port may learn when: `alike` is the same number for calls that take about as long on one target.
    ///
    /// Context: thread, interrupts on. The call is under way, so `done` may become true at any time, and stays so then.
    #[inline(always)]
    fn look_first(&self, target: u32, alike: usize, done: impl Fn() -> bool) -> bool
    where
        Self: Platform,
    {
        let _ = alike;
        (0..self.looks_first(target)).any(|_| {
            // First the pause: an early look would take the line away from the target that fetches it.
            self.relax();
            done()
        })
    }
}

/// Refuses what a port has said that it never uses.
macro_rules! demand_used {
    ($port:ident :: $what:ident) => {
        const {
            assert!(
                $port::$what,
                concat!("the port has said that this is never used (`Tuning::", stringify!($what), "`)")
            )
        }
    };
}
pub(crate) use demand_used;
