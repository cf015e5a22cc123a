//! An application on ArceOS (`ax-runtime` 0.13) that calls across CPUs, on smpcall.
//!
//! What it runs is a word of its command line, `what=`. It is built, booted and read by `cargo xtask integrations arceos`.

#![no_std]
#![no_main]

extern crate alloc;
// The runtime, which calls `main`.
extern crate ax_runtime;

mod arch;
mod bench;
mod calls;
mod conformance;
mod demo;
mod words;

use smpcall_arceos_common::{println, tasks};

#[unsafe(no_mangle)]
extern "C" fn main() {
    let what = words::what();
    tasks::stay_on(0);
    println!("smpcall kernel: {} CPUs, {what}", ax_hal::cpu_num());
    let passed = match what {
        "conformance" => conformance::run(),
        "calls" => calls::run(),
        "demo" => demo::run(),
        "bench" => bench::run(),
        "deaf" => calls::waits_for_the_deaf(),
        _ => {
            println!("smpcall kernel: cannot run `{what}`");
            false
        }
    };
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    ax_hal::power::system_off();
}
