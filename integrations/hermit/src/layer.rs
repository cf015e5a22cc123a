//! Hermit's TLB shootdown and its wake-ups, on the core.
//!
//! The kernel asks here first (`ipi.rs` of the patch), and goes its own way where the answer is `false`: while the layer is not in use,
//! and where one may not wait.

use crate::port::{self, CPUS, SMP};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use hermit::ipi::{self, CoreId, LAYER, Layer};
use smpcall::{Csd, To};

/// Whether the kernel's requests are taken.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// One for each target: its scheduler takes whatever has been put there before. Posted again while it is queued it is Busy, and that run
/// sees what was put there, too (P2): so nobody else's interrupt is needed.
static WAKE: [Csd<fn()>; CPUS] = [const { Csd::new(ipi::check_input as fn()) }; CPUS];

/// The doorbell is answered from here on. On the first CPU, before any other is there.
pub(crate) fn prepare() {
    let layer = Layer { answer: port::answer, flush_tlbs, wake_up };
    assert!(LAYER.set(layer).is_ok(), "nobody else has set it");
}

/// Takes the kernel's requests, or leaves them to it.
pub(crate) fn use_it(used: bool) {
    // Relaxed: a request under way goes either way.
    IN_USE.store(used, Ordering::Relaxed);
}

fn is_used() -> bool {
    // Relaxed: see `use_it`.
    IN_USE.load(Ordering::Relaxed)
}

/// Returns when each other CPU has forgotten its translations.
fn flush_tlbs() -> bool {
    is_used() && SMP.call_many(To::Others, flush_local).is_ok()
}

/// Forgets this CPU's translations: none of Hermit's is global.
fn flush_local() {
    // SAFETY: writes back what is there. Not `nomem`: no access moves across.
    unsafe {
        asm!("mov {root}, cr3", "mov cr3, {root}", root = out(reg) _, options(nostack, preserves_flags))
    };
}

fn wake_up(core: CoreId) -> bool {
    is_used() && SMP.post(core, &WAKE[core as usize]).is_ok()
}
