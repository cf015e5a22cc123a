//! The measurements of ArceOS' own inter-processor crate, which `bench` of the other application is held against.

#![no_std]
#![no_main]

// The runtime, which calls `main`.
extern crate axstd;

#[cfg(target_arch = "aarch64")]
extern crate axplat_aarch64_qemu_virt;
#[cfg(target_arch = "riscv64")]
extern crate axplat_riscv64_qemu_virt;
#[cfg(target_arch = "x86_64")]
extern crate axplat_x86_pc;

use core::sync::atomic::{AtomicBool, Ordering};
use smpcall_arceos_common::console::{Console, Report};
use smpcall_arceos_common::side::{self, Layer};
use smpcall_arceos_common::{println, sleep_until, tasks};

struct Theirs;

impl Layer for Theirs {
    fn post(cpu: usize, f: impl FnOnce() + Send + 'static) {
        axipi::run_on_cpu(cpu, f);
    }

    /// It has no call that waits. A callback that sends one back wakes a caller that sleeps.
    fn call_and_wait(cpu: usize) {
        static DONE: AtomicBool = AtomicBool::new(false);
        // Relaxed: the post publishes it.
        DONE.store(false, Ordering::Relaxed);
        // Release: pairs with the look below.
        axipi::run_on_cpu(cpu, || axipi::run_on_cpu(0, || DONE.store(true, Ordering::Release)));
        // Acquire: pairs with the function.
        sleep_until(|| DONE.load(Ordering::Acquire));
    }
}

#[unsafe(no_mangle)]
fn main() {
    tasks::stay_on(0);
    axipi::init();
    println!("smpcall kernel: {} CPUs, bench", axhal::cpu_num());
    let mut report = Report::announce(Console, side::ROWS);
    side::run::<Theirs>(&mut report);
    let passed = report.end();
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    axhal::power::system_off();
}
