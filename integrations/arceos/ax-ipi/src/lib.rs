//! ArceOS' inter-processor calls, on smpcall: put in the place of `ax-ipi` 0.6.5 by a `[patch.crates-io]` section.
//!
//! The surface is the original's, so that `ax-runtime` takes no notice: [`init`], [`mark_current_cpu_ready`],
//! [`wait_for_all_cpus_ready`], [`is_cpu_ready`], [`notify_cpu`], [`claim_current_delivery`], [`call_on_cpu`],
//! [`drain_hard_calls`]. What differs:
//!
//! - Who waits in [`call_on_cpu`] serves its own CPU's calls meanwhile, measures how long it takes, and says which CPU does not
//!   answer. Where it could deadlock (interrupts off, inside a call) it is refused with [`IrqError::InIrqContext`]; the original spins.
//! - A doorbell that is not sent takes nothing back: what is queued stays so, and whoever waits rings again. The original cancels
//!   that call, and of others it has told [`IpiNotification::Coalesced`] nobody rings.
//!
//! Neither gives up while the target may still run the function: it returns when that has ended, or was never queued.
//!
//! Beside it there is smpcall itself, by [`machine`]: closures that borrow and give back a result, csds that are posted again and
//! again and answer `Busy`, multicasts that wait.

#![no_std]

mod doorbell;
mod pinned;
mod port;

pub use pinned::{Pinned, machine, machine_unpinned};
#[cfg(feature = "stats")]
pub use port::STATS;
pub use port::{AxPort, CPUS, Machine, sleep};

use ax_hal::irq::{CpuId, IrqError};
use port::MACHINE;
use smpcall::CallError;
use smpcall_bare::arch;

/// What became of a notification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IpiNotification {
    /// An interrupt was sent.
    Sent,
    /// Never: each notification sends, so that none depends on another's success.
    Coalesced,
}

/// Prepares this CPU. Nothing is left to do: the machine is a static.
///
/// # Panics
///
/// If the kernel has more CPUs than the crate is built for.
pub fn init() {
    assert!(ax_hal::cpu_num() <= CPUS, "the machine has {} CPUs, and ax-ipi is built for {CPUS}", ax_hal::cpu_num());
}

// guide: hotplug
/// Takes this CPU's calls from now on.
///
/// Context: thread, once the CPU can be interrupted.
///
/// # Panics
///
/// If it takes them already.
pub fn mark_current_cpu_ready() {
    MACHINE.platform().join();
    // It stays online for good: the handle is the CPU's own task's, who gets another by `this_cpu`.
    let _handle = MACHINE.as_pin().online().expect("each CPU becomes ready once");
}
// guide: end

/// Waits until every CPU of the kernel is ready.
pub fn wait_for_all_cpus_ready() {
    while (0..ax_hal::cpu_num()).any(|cpu| !is_cpu_ready(cpu)) {
        core::hint::spin_loop();
    }
}

/// Returns whether that CPU takes calls.
pub fn is_cpu_ready(cpu_id: usize) -> bool {
    cpu_id < ax_hal::cpu_num() && MACHINE.is_online_racy(cpu_id as u32)
}

/// Has that CPU's handler run, which sees what was written before.
///
/// Context: any but an NMI; waits for nobody.
///
/// # Errors
///
/// [`IrqError::InvalidCpu`] and [`IrqError::CpuOffline`], and what the interrupt controller has to say.
pub fn notify_cpu(cpu: CpuId) -> Result<IpiNotification, IrqError> {
    validate(cpu)?;
    let state = arch::irq_save();
    let sent = MACHINE.platform().notify(cpu.0);
    arch::irq_restore(state);
    sent.map(|()| IpiNotification::Sent)
}

// guide: vector
/// Takes the doorbell back, before the handler looks for what it came for.
///
/// Context: the handler of the doorbell's interrupt, interrupts off.
pub fn claim_current_delivery() {
    MACHINE.platform().claim();
}

/// Runs what was posted to this CPU. What is left over at the budget has rung again.
///
/// Context: as for [`claim_current_delivery`], and after it.
///
/// # Errors
///
/// None: a doorbell that fails is owed, and rung again by whoever waits.
pub fn drain_hard_calls() -> Result<(), IrqError> {
    port::answer();
    Ok(())
}
// guide: end

/// Runs `operation` on that CPU: at once if it is this one, else when it answers its doorbell. Returns when it has run, or was refused
/// before it was queued, and never in between.
///
/// Context: thread, interrupts on, for another CPU; any for this one. Allocates nothing.
///
/// # Errors
///
/// [`IrqError::InvalidCpu`], [`IrqError::CpuOffline`]; [`IrqError::InIrqContext`] where waiting could deadlock. Then it has not run,
/// and will not.
///
/// # Safety
///
/// `arg` is valid until this returns. `operation` may run on that CPU, there with interrupts off: it neither sleeps nor waits for a lock
/// that this caller holds, and it returns.
pub unsafe fn call_on_cpu(cpu: CpuId, operation: unsafe fn(*mut ()), arg: *mut ()) -> Result<(), IrqError> {
    /// May cross: the caller has promised it.
    struct Crossing(*mut ());
    // SAFETY: the caller's promise: `operation` may have `arg` on that CPU.
    unsafe impl Send for Crossing {}
    impl Crossing {
        fn get(&self) -> *mut () {
            self.0
        }
    }
    validate(cpu)?;
    // Held to the end, so that this CPU is still this one.
    let pinned = machine();
    if cpu.0 == port::this_cpu() {
        // SAFETY: the caller's promise.
        unsafe { operation(arg) };
        return Ok(());
    }
    let arg = Crossing(arg);
    // SAFETY: the caller's promise; `call` returns when the function has, or has not queued it (P4).
    let called = pinned.call(cpu.0 as u32, move || unsafe { operation(arg.get()) });
    called.map_err(|why| match why {
        CallError::WouldDeadlock => IrqError::InIrqContext,
        _ => IrqError::CpuOffline,
    })
}

fn validate(cpu: CpuId) -> Result<(), IrqError> {
    if cpu.0 >= ax_hal::cpu_num() {
        return Err(IrqError::InvalidCpu);
    }
    if !ax_hal::irq::is_cpu_online(cpu.0) || !is_cpu_ready(cpu.0) {
        return Err(IrqError::CpuOffline);
    }
    Ok(())
}
