//! An application on ArceOS of 2026 (`ax-runtime` 0.13) that calls across CPUs, on smpcall.
//!
//! What it runs is a word of its command line, `what=`. It is built, booted and read by `cargo xtask integrations ax`.

#![no_std]
#![no_main]

extern crate alloc;
// The runtime, which calls `main`.
extern crate ax_runtime;

mod bench;
mod calls;
mod conformance;

use smpcall_ax_common::{println, tasks};

/// What comes first on the command line as `what=`.
fn what() -> &'static str {
    let words = ax_hal::boot::bootargs().unwrap_or_default().split_whitespace();
    words.filter_map(|word| word.strip_prefix("what=")).next().unwrap_or("conformance")
}

#[unsafe(no_mangle)]
extern "C" fn main() {
    let what = what();
    tasks::stay_on(0);
    println!("smpcall kernel: {} CPUs, {what}", ax_hal::cpu_num());
    let passed = match what {
        "conformance" => conformance::run(),
        "calls" => calls::run(),
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
