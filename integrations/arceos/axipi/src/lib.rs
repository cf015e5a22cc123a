//! ArceOS' inter-processor calls, on smpcall: put in the place of `axipi` 0.3.0-preview.3 by a `[patch.crates-io]` section.
//!
//! The surface is the original's ([`init`], [`ipi_handler`], [`run_on_cpu`], [`run_on_each_cpu`], [`Callback`],
//! [`MulticastCallback`]), so that `axruntime`, which calls the first two, takes no notice. What differs:
//!
//! - A callback must be `Send`, one for all CPUs `Send + Sync`. The original takes a closure over an `Rc` to another CPU.
//! - A CPU that does not exist or is not up is a panic that says so; [`run_on_each_cpu`] leaves out those that are not up.
//! - A callback that was sent is queued on a csd of its own, without a lock, and rings only a CPU that was not looking.
//!
//! Beside it there is smpcall itself, by [`machine`]: calls that wait and give back a result, csds that are posted again and
//! again without an allocation and answer `Busy`, multicasts that wait.
//!
//! # Coming up
//!
//! `axruntime` calls [`init`] on each CPU but the first. The application calls it on the first, before that CPU is called.
//!
//! # The doorbell
//!
//! On riscv64 the platform clears the pending interrupt *after* the handler has returned, and with it a ring that came since
//! the handler looked last. There the handler clears it first as well, and [`irq_hook`], which axhal calls when all that is
//! over, looks once more whether somebody has rung.

#![no_std]

extern crate alloc;

mod event;
mod fence;
mod pinned;
mod port;

pub use event::{Callback, MulticastCallback};
pub use pinned::{Pinned, machine, machine_unpinned};
#[cfg(feature = "stats")]
pub use port::STATS;
pub use port::{AxPort, CPUS, Machine, share_cores, sleep};

use alloc::sync::Arc;
use axhal::percpu::this_cpu_id;
use kspin::SpinNoIrq;
use port::MACHINE;
use smpcall::{Csd, Post};

// guide: hotplug
/// Takes this CPU's calls from now on. Again, it changes nothing.
///
/// Context: thread, once the CPU can be interrupted; `axruntime` calls it as each CPU but the first comes up.
///
/// # Panics
///
/// On riscv64, if somebody else has registered a hook with axhal before.
pub fn init() {
    port::register_hook();
    // Already online is what a second call finds, and it is no CPU's call context.
    let _ = MACHINE.as_pin().online();
}
// guide: end

// guide: vector
/// Runs what was posted to this CPU.
///
/// Context: the handler of the doorbell's interrupt, interrupts off.
pub fn ipi_handler() {
    port::answer();
}

/// Looks again, when an interrupt that was answered is over and acknowledged. Registered with axhal where the platform
/// acknowledges last.
///
/// Context: the interrupt's, interrupts off.
pub fn irq_hook(_irq: usize) {
    if MACHINE.platform().is_rung_again() {
        port::answer();
    }
}
// guide: end

/// Runs `callback` once on that CPU: at once if it is this one, else when it answers its doorbell. Nobody is told when.
///
/// Context: thread, interrupts on or off; allocates.
///
/// # Panics
///
/// If there is no such CPU, or it is not up.
pub fn run_on_cpu<T: Into<Callback>>(dest_cpu: usize, callback: T) {
    let callback = callback.into();
    // Held to the end, so that this CPU is still this one.
    let _pinned = machine();
    if dest_cpu == this_cpu_id() {
        return callback.call();
    }
    let once = SpinNoIrq::new(Some(callback));
    let csd = Csd::new(move || {
        // Taken out first: it runs without the lock.
        let callback = once.lock().take();
        callback.into_iter().for_each(Callback::call);
    });
    send(dest_cpu, &Arc::new(csd));
}

/// Runs `callback` on this CPU at once, and on each other that is up when it answers its doorbell.
///
/// Context: as for [`run_on_cpu`].
pub fn run_on_each_cpu<T: Into<MulticastCallback>>(callback: T) {
    let callback = callback.into();
    let pinned = machine();
    callback.clone().call();
    let me = this_cpu_id();
    for cpu in (0..CPUS).filter(|&cpu| cpu != me && pinned.is_online_racy(cpu as u32)) {
        let callback = callback.clone();
        send(cpu, &Arc::new(Csd::new(move || callback.clone().call())));
    }
}

fn send<T: Post>(cpu: usize, csd: T) {
    if let Err(why) = MACHINE.post(cpu as u32, csd) {
        panic!("cannot call CPU {cpu}: {why} (a CPU is called after `axipi::init` on it)");
    }
}
