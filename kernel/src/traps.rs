//! What the interrupts do. `arch` calls these from its vectors, with interrupts off.

use crate::arch;
use crate::cpus::CPUS_MAX;
use crate::idle::relax;
use crate::machine;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use smpcall_bare::arch::{irq_restore, irq_save};

/// How often each CPU's doorbell interrupted it.
static DOORBELLS: [AtomicU64; CPUS_MAX] = [const { AtomicU64::new(0) }; CPUS_MAX];

/// The doorbell's interrupt.
pub(crate) fn doorbell() {
    if let Some(cpu) = arch::current_cpu() {
        // Relaxed: a figure.
        DOORBELLS[cpu as usize].fetch_add(1, Ordering::Relaxed);
    }
    // What is left over at the budget has rung again.
    let _ = machine::answer_doorbell();
}

/// How often the doorbell interrupted a CPU so far.
pub(crate) fn doorbells(cpu: u32) -> u64 {
    // Relaxed: a figure.
    DOORBELLS[cpu as usize].load(Ordering::Relaxed)
}

/// The alarm's interrupt: that it came is enough, but for the check that posts from it.
pub(crate) fn alarm() {
    crate::programs::alarm();
}

/// An interrupt, or an NMI, that this CPU raised for itself.
pub(crate) fn own_interrupt() {
    OWN_INTERRUPT.run();
}

/// As `own_interrupt`. The only architecture here that has NMIs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn own_nmi() {
    OWN_NMI.run();
}

/// What the CPU did that no handler is for.
pub(crate) fn unexpected(what: core::fmt::Arguments<'_>) -> ! {
    panic!("{what}");
}

/// Raises an interrupt whose handler calls `f`, and waits for it. Interrupts are on.
pub(crate) fn interrupt_self(f: &(dyn Fn() + Sync)) {
    OWN_INTERRUPT.raise(f, arch::raise_interrupt);
}

/// Raises an NMI whose handler calls `f`, and waits for it; `false` where there is none. From any context but an NMI: interrupts
/// are off meanwhile, or a function that one of them runs could raise another, and take this one's errand.
pub(crate) fn nmi_self(f: &(dyn Fn() + Sync)) -> bool {
    if arch::HAS_NMI {
        let irqs = irq_save();
        OWN_NMI.raise(f, arch::raise_nmi);
        irq_restore(irqs);
    }
    arch::HAS_NMI
}

static OWN_INTERRUPT: Errands = Errands([const { Errand::new() }; CPUS_MAX]);
static OWN_NMI: Errands = Errands([const { Errand::new() }; CPUS_MAX]);

/// What each CPU's handler is to call.
struct Errands([Errand; CPUS_MAX]);

struct Errand {
    /// Where the reference to the function is.
    function: Cell<*const &'static (dyn Fn() + Sync)>,
    /// Set when there is something to call, cleared by the handler when it was called.
    pending: AtomicBool,
}

// SAFETY: an errand is used by its own CPU alone: its thread, and an interrupt on it that finds `pending` set.
unsafe impl Sync for Errand {}

impl Errand {
    const fn new() -> Self {
        Self { function: Cell::new(ptr::null()), pending: AtomicBool::new(false) }
    }
}

impl Errands {
    fn mine(&self) -> Option<&Errand> {
        self.0.get(arch::current_cpu()? as usize)
    }

    fn raise(&self, f: &(dyn Fn() + Sync), raise: fn()) {
        let errand = self.mine().expect("a CPU interrupts itself");
        errand.function.set((&raw const f).cast());
        // Release, Acquire: the handler is this CPU, so a compiler's fence would do.
        errand.pending.store(true, Ordering::Release);
        raise();
        while errand.pending.load(Ordering::Acquire) {
            relax();
        }
    }

    fn run(&self) {
        let Some(errand) = self.mine() else { return };
        // Acquire: pairs with `raise`.
        if !errand.pending.load(Ordering::Acquire) {
            return;
        }
        // SAFETY: `raise` holds the function, and the reference to it, until `pending` is cleared below.
        unsafe { (*errand.function.get())() };
        // Release: pairs with `raise`.
        errand.pending.store(false, Ordering::Release);
    }
}
