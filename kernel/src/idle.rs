//! A CPU that waits: it polls for a while, then sleeps.

use crate::arch;
use crate::machine::{Cpu, Machine};
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall::{Budget, SleepGuard};

/// How often a CPU looks before it sleeps.
const LOOKS: u32 = 50;
/// How long it sleeps at most: nobody rings when what it waits for is done elsewhere.
const NAP_NS: u64 = 1_000_000;

/// Whether the machine's CPUs take turns on one core: then who spins keeps the others from running.
static CORE_IS_SHARED: AtomicBool = AtomicBool::new(false);

/// Says so.
pub(crate) fn share_the_core() {
    // Relaxed: before the other CPUs start.
    CORE_IS_SHARED.store(true, Ordering::Relaxed);
}

/// Returns whether that was said.
#[inline(always)]
pub(crate) fn core_is_shared() -> bool {
    // Relaxed: see `share_the_core`.
    CORE_IS_SHARED.load(Ordering::Relaxed)
}

/// One step of a spin, in any context.
#[inline(always)]
pub(crate) fn relax() {
    if core_is_shared() { arch::relax_shared() } else { smpcall_bare::arch::relax() }
}

// guide: idle-loop
/// Serves the CPU's queue until `done`.
pub(crate) fn until<const TRACES: bool>(smp: &'static Machine<TRACES>, mut done: impl FnMut() -> bool) {
    // None: the CPU is offline, and is rung for nothing.
    let mut cpu = smp.as_pin().this_cpu().ok();
    while !done() {
        let found = cpu.as_mut().is_some_and(|cpu| look(cpu, &mut done));
        if !found {
            smp.platform().sleep(NAP_NS);
        }
    }
}

/// Polls for a while, and runs what it finds; leaves the CPU as one that sleeps, so that whoever posts from now on rings. Returns
/// whether there was something.
fn look<const TRACES: bool>(cpu: &mut Cpu<TRACES>, done: &mut dyn FnMut() -> bool) -> bool {
    cpu.run_blocking();
    cpu.poll_begin();
    let found = (0..LOOKS).any(|_| {
        relax();
        cpu.has_work() || done()
    });
    while cpu.begin_sleep().map(SleepGuard::commit).is_err() {
        let _ = cpu.flush(Budget::DEFAULT);
    }
    found
}
// guide: end

/// Sleeps: this CPU has nothing more to do, and is offline or rung for what comes.
pub(crate) fn for_ever() -> ! {
    until(&crate::machine::SMP, || false);
    unreachable!("nothing ends this wait")
}
