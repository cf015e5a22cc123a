//! The port itself, the same for all architectures.

use crate::arch;
use crate::latch::Latch;
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall::{
    Backoff, Budget, CallStall, Event, Flushed, Foreign, Hosting, Machine, Pause, Platform, QueueStall,
    Reporting, RingError, Storage, Topology, Tracing, Tuning, Waiting,
};

/// What only the kernel knows. What it makes of reports and of traces it says as any port does, in [`Reporting`] and [`Tracing`].
///
/// # Safety
///
/// [`current_cpu`](Self::current_cpu) keeps the first duty of [`Platform`], and the kernel calls [`answer`] from the handler
/// of the doorbell's interrupt, with interrupts off, on every CPU that has [joined](Bare::join).
pub unsafe trait Kernel: Reporting + Tracing {
    /// Whether rings are counted, for [`Bare::rings`]: a read-modify-write each, of a line that ringing writes anyway.
    const COUNTS_RINGS: bool = false;
    /// How often a waiting caller pauses before it sleeps. Few where one core plays several CPUs, as an emulator's may.
    const PAUSES: u32 = 1000;

    /// Returns the number of the CPU that runs the caller, its place in the machine; `None` on a CPU that has none yet.
    ///
    /// Context: any, an NMI included. Should cost one register read: `gs`, `tp`, `TPIDR_EL1`.
    fn current_cpu(&self) -> Option<u32>;

    /// Returns whether the caller runs in an interrupt's handler. The default is right where handlers never switch
    /// interrupts on again.
    ///
    /// Context: any, interrupts on.
    fn in_interrupt(&self) -> bool {
        false
    }

    /// Returns a monotonic time in nanoseconds, the same on all CPUs.
    ///
    /// Context: any where waiting is allowed, and any at all with [`STAMPS`](Tracing::STAMPS).
    fn now_ns(&self) -> u64;

    /// Has this CPU interrupted once, after about `after_ns`; replaces an alarm that was set before.
    ///
    /// Context: thread, interrupts off.
    fn set_alarm(&self, after_ns: u64);

    /// Takes one step of a spin. The default is the CPU's pause hint; a kernel whose CPUs share a core can do better.
    ///
    /// Context: any; interrupts off and call context too.
    #[inline(always)]
    fn relax(&self) {
        arch::relax();
    }
}

/// One CPU's doorbell. A line of its own: senders of different targets do not meet.
#[repr(align(128))]
struct Bell {
    latch: Latch,
    /// How the interrupt controller knows this CPU.
    id: AtomicU64,
    /// Rings sent to this CPU.
    rings: AtomicU64,
}

impl Bell {
    const fn new() -> Self {
        Self { latch: Latch::new(), id: AtomicU64::new(NOBODY), rings: AtomicU64::new(0) }
    }
}

/// A machine's doorbells, a [`Platform`].
pub struct Bare<K, const CPUS: usize> {
    kernel: K,
    doorbell: arch::Doorbell,
    bells: [Bell; CPUS],
    /// How many CPUs have joined so far.
    joined: AtomicU64,
}

/// The id of a CPU that has not joined.
const NOBODY: u64 = u64::MAX;

impl<K: Kernel, const CPUS: usize> Bare<K, CPUS> {
    /// Makes a machine of up to `CPUS` CPUs, of which none has joined.
    pub const fn new(kernel: K, doorbell: arch::Doorbell) -> Self {
        Self { kernel, doorbell, bells: [const { Bell::new() }; CPUS], joined: AtomicU64::new(0) }
    }

    /// Returns the kernel.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Returns the doorbell's hardware.
    pub fn doorbell(&self) -> &arch::Doorbell {
        &self.doorbell
    }

    /// Makes the calling CPU reachable: it is `cpu` from now on, and the interrupt controller knows it as `id`. Before the
    /// CPU comes online; again, or later, with the same id, it changes nothing.
    ///
    /// Context: thread of that CPU, which can take the doorbell's interrupt when interrupts are on.
    ///
    /// # Panics
    ///
    /// If the machine has no such CPU.
    pub fn join(&self, cpu: u32, id: arch::HardwareId) {
        // Relaxed: coming online publishes it to those who post, and so ring.
        if self.bell(cpu).id.swap(id, Ordering::Relaxed) == NOBODY {
            self.joined.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many rings were sent, to all CPUs, if the kernel [counts](Kernel::COUNTS_RINGS) them. Racy while any are.
    pub fn rings(&self) -> u64 {
        (0..CPUS as u32).map(|cpu| self.rings_to(cpu)).sum()
    }

    /// Returns how many rings were sent to that CPU: for entries, and to wake it when what it waited for was done.
    pub fn rings_to(&self, cpu: u32) -> u64 {
        // Relaxed: a figure.
        self.bell(cpu).rings.load(Ordering::Relaxed)
    }

    /// Sleeps until an interrupt, or for about `limit_ns`. Returns whether the doorbell was answered since the last sleep:
    /// then at once.
    ///
    /// Context: thread of a CPU, interrupts on; its queue is at rest (`poll_end` said so), or it is offline.
    pub fn sleep(&self, limit_ns: u64) -> bool {
        let Some(cpu) = self.kernel.current_cpu() else { return false };
        self.bell(cpu).latch.sleep(|| self.kernel.set_alarm(limit_ns))
    }

    fn bell(&self, cpu: u32) -> &Bell {
        &self.bells[cpu as usize]
    }

    /// Step 1: sets the latch.
    fn latch(&self, cpu: u32) -> u64 {
        let bell = self.bell(cpu);
        if K::COUNTS_RINGS {
            // Relaxed: a figure.
            bell.rings.fetch_add(1, Ordering::Relaxed);
        }
        bell.latch.ring();
        // Relaxed: who rings has seen the CPU online, and it joined before.
        bell.id.load(Ordering::Relaxed)
    }

    /// Whether `first` and `cpus` are all CPUs but the caller's.
    fn is_all_others(&self, first: u32, cpus: usize) -> bool {
        let Some(me) = self.kernel.current_cpu() else { return false };
        let mine = me.checked_sub(first).and_then(|bit| 1_usize.checked_shl(bit)).unwrap_or(0);
        // Relaxed: a CPU that joins later was not in the set either, and is not rung in vain more than once.
        cpus & mine == 0 && u64::from(cpus.count_ones()) + 1 == self.joined.load(Ordering::Relaxed)
    }
}

/// Answers the doorbell: the handler of its interrupt does nothing else. What is left over at the budget has rung again.
///
/// Context: that handler, interrupts off.
pub fn answer<K, const CPUS: usize, S>(smp: &Machine<Bare<K, CPUS>, S>) -> Flushed
where
    K: Kernel,
    S: Storage,
{
    let port = smp.platform();
    port.doorbell.acknowledge();
    if let Some(cpu) = port.kernel.current_cpu() {
        port.bell(cpu).latch.answer();
    }
    smp.flush(Budget::DEFAULT)
}

// SAFETY: 1. The kernel's duty. 2. `irq_save` masks interrupts, and `answer` runs in one; nothing migrates with interrupts
// off. 3. The crate's table; the hardware delivers interrupts in finite time, and the kernel answers them. 4. Nothing
// unwinds. 5. `wake` rings, and the CPU sleeps at its latch, which its handler answers; both are static.
unsafe impl<K: Kernel, const CPUS: usize> Platform for Bare<K, CPUS> {
    type IrqState = arch::IrqState;
    smpcall::no_unwinding!();

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        self.kernel.current_cpu()
    }

    fn can_wait(&self) -> bool {
        arch::irqs_are_on() && !self.kernel.in_interrupt()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        let id = self.latch(cpu);
        self.doorbell.publish();
        self.doorbell.ring(id)
    }

    #[inline(always)]
    fn irq_save(&self) -> arch::IrqState {
        arch::irq_save()
    }

    #[inline(always)]
    fn irq_restore(&self, state: arch::IrqState) {
        arch::irq_restore(state);
    }

    #[inline(always)]
    fn relax(&self) {
        self.kernel.relax();
    }

    fn now_ns(&self) -> u64 {
        self.kernel.now_ns()
    }
}

impl<K: Kernel, const CPUS: usize> Waiting for Bare<K, CPUS> {
    const PARKS: bool = true;

    fn pause(&self, backoff: &Backoff) -> Pause {
        if backoff.rounds >= K::PAUSES {
            return Pause::Park;
        }
        self.kernel.relax();
        Pause::Again
    }

    fn waiter(&self) -> Option<u16> {
        self.kernel.current_cpu().and_then(|cpu| u16::try_from(cpu).ok())
    }

    fn park(&self, _waiter: Option<u16>, timeout_ns: u64) {
        self.sleep(timeout_ns);
    }

    fn wake(&self, waiter: u16) {
        // Where that fails, the waiter's alarm ends its sleep.
        let _ = self.ring(waiter.into());
    }
}

impl<K: Kernel, const CPUS: usize> Reporting for Bare<K, CPUS> {
    fn stall_timeout_ns(&self) -> u64 {
        self.kernel.stall_timeout_ns()
    }

    fn stall_stop_ns(&self) -> u64 {
        self.kernel.stall_stop_ns()
    }

    fn stop(&self, stall: &CallStall) -> ! {
        self.kernel.stop(stall)
    }

    fn call_stalled(&self, stall: &CallStall) {
        self.kernel.call_stalled(stall);
    }

    fn unstuck(&self, stall: &CallStall) {
        self.kernel.unstuck(stall);
    }

    fn queue_stalled(&self, stall: &QueueStall) {
        self.kernel.queue_stalled(stall);
    }
}

impl<K: Kernel, const CPUS: usize> Tracing for Bare<K, CPUS> {
    const TRACES: bool = K::TRACES;
    const STAMPS: bool = K::STAMPS;

    #[inline(always)]
    fn trace(&self, event: &Event) {
        self.kernel.trace(event);
    }
}

impl<K: Kernel, const CPUS: usize> Topology for Bare<K, CPUS> {
    fn ring_many(&self, first: u32, cpus: usize) -> usize {
        let bits = || (0..usize::BITS).filter(move |bit| cpus >> bit & 1 == 1).map(move |bit| first + bit);
        let all = self.is_all_others(first, cpus);
        for cpu in bits() {
            self.latch(cpu);
        }
        self.doorbell.publish();
        if all && self.doorbell.ring_all_others() {
            return 0;
        }
        // Relaxed: as in `latch`.
        let ids = bits().map(|cpu| (1 << (cpu - first), self.bell(cpu).id.load(Ordering::Relaxed)));
        let (mut ids, mut failed) = (ids.peekable(), 0);
        while let Some((mut asked, id)) = ids.next() {
            let (group, bit) = self.doorbell.place_of(id);
            let mut mask = 1 << bit;
            // Neighbours by number are mostly neighbours for the controller too.
            while let Some((too, next)) = ids.next_if(|next| self.doorbell.place_of(next.1).0 == group) {
                mask |= 1 << self.doorbell.place_of(next).1;
                asked |= too;
            }
            if self.doorbell.ring_group(group, mask).is_err() {
                failed |= self.ring_each(first, asked);
            }
        }
        failed
    }
}

impl<K: Kernel, const CPUS: usize> Bare<K, CPUS> {
    /// Rings the CPUs `first + n` for each bit `n` of `cpus` one by one, and returns those that cannot be. One of a group that cannot may
    /// have kept the others from it: OpenSBI 1.9 interrupts nobody if one hart of a mask has stopped, where 1.6 leaves that out.
    #[cold]
    fn ring_each(&self, first: u32, cpus: usize) -> usize {
        let cannot = |bit: &u32| cpus >> bit & 1 == 1 && self.ring(first + bit).is_err();
        (0..usize::BITS).filter(cannot).fold(0, |failed, bit| failed | 1 << bit)
    }
}

impl<K: Kernel, const CPUS: usize> Tuning for Bare<K, CPUS> {}
impl<K: Kernel, const CPUS: usize> Foreign for Bare<K, CPUS> {}
impl<K: Kernel, const CPUS: usize> Hosting for Bare<K, CPUS> {}
