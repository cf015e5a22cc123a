//! An ArceOS application that calls across CPUs, on smpcall.
//!
//! What it runs is chosen when it is built, by `SMPCALL_WHAT`: ArceOS hands no command line on. `cargo xtask integrations arceos`
//! builds it, boots it, and reads what it says.

#![no_std]
#![no_main]

extern crate alloc;
// The runtime, which calls `main`.
extern crate axstd;

#[cfg(target_arch = "aarch64")]
extern crate axplat_aarch64_qemu_virt;
#[cfg(target_arch = "riscv64")]
extern crate axplat_riscv64_qemu_virt;
#[cfg(target_arch = "x86_64")]
extern crate axplat_x86_pc;

mod arch;
mod bench;
mod conformance;
mod deaf;
mod demo;

use smpcall_arceos_common::{println, tasks};

const WHAT: Option<&str> = option_env!("SMPCALL_WHAT");

#[unsafe(no_mangle)]
fn main() {
    let what = WHAT.unwrap_or("conformance");
    tasks::stay_on(0);
    // guide: hotplug-first
    // axruntime has called it on the other CPUs.
    axipi::init();
    // guide: end
    println!("smpcall kernel: ArceOS, {}", axipi::CPUS);
    println!("smpcall kernel: {} CPUs, {what}", axipi::CPUS);
    let passed = match what {
        "conformance" => conformance::run(),
        "bench" => bench::run(),
        "deaf" => deaf::run(),
        "demo" => demo::run(),
        _ => {
            println!("smpcall kernel: cannot run `{what}`");
            false
        }
    };
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    axhal::power::system_off();
}
