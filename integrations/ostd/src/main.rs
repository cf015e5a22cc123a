//! A kernel on Asterinas' ostd, with smpcall above its interrupts.
//!
//! What it runs is a word of its command line, `what=`: `cargo xtask integrations ostd` builds it, boots it, and reads what it
//! says. An interrupt line of ostd's is the doorbell ([`port`]); ostd itself is not patched.
//!
//! | module | what |
//! |---|---|
//! | [`port`] | the `Platform`: where ostd and smpcall meet |
//! | [`bringup`] | CPUs join, and each doorbell is tried once |
//! | [`conformance`], [`demo`], [`bench`] | what it runs |
//! | [`heap`] | ostd's allocators, counted |

#![no_std]
#![no_main]
#![feature(allocator_api)]

extern crate alloc;

/// Writes a line. ostd's own macro takes no captured names.
macro_rules! println {
    ($($arg:tt)*) => { ostd::console::early_print(format_args!("{}\n", format_args!($($arg)*))) };
}

mod bench;
mod bringup;
mod conformance;
mod demo;
mod heap;
mod held;
mod port;

use ostd::boot::boot_info;
use ostd::log::{LevelFilter, set_max_level};
use ostd::power::{ExitCode, poweroff};

/// What comes first on the command line as `what=`.
fn what() -> &'static str {
    let words = boot_info().kernel_cmdline.split_whitespace();
    words.filter_map(|word| word.strip_prefix("what=")).next().unwrap_or("conformance")
}

#[ostd::main]
fn kernel_main() {
    // ostd logs each call that it runs, which would be measured.
    set_max_level(LevelFilter::Warning);
    println!("smpcall kernel: ostd, {}", if port::has_x2apic() { "x2APIC" } else { "xAPIC" });
    println!("smpcall kernel: {} CPUs, {}", ostd::cpu::num_cpus(), what());
    let passed = match bringup::first_cpu(what()) {
        Ok(()) => run(),
        Err(why) => {
            println!("smpcall kernel: {why}");
            false
        }
    };
    end(passed)
}

/// Says the last word, and ends the machine.
fn end(passed: bool) -> ! {
    // Nothing of ostd's comes after our last word: it goes on for a moment when it has told QEMU to end.
    set_max_level(LevelFilter::Off);
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    poweroff(if passed { ExitCode::Success } else { ExitCode::Failure })
}

/// What the first CPU does.
fn run() -> bool {
    match what() {
        "conformance" => conformance::run(),
        "demo" => demo::run(),
        "bench" => bench::run(),
        "deaf" => demo::waits_for_the_deaf(),
        other => {
            println!("smpcall kernel: cannot run `{other}`");
            false
        }
    }
}

/// What each other CPU does.
fn other_cpu() {
    bringup::other_cpu();
    match what() {
        // Each reports; the reader has only CPU 0's summary.
        "conformance" => _ = conformance::run(),
        "demo" | "bench" if port::here() == 1 => held::serve(),
        // It must not look by itself either.
        "deaf" => loop {
            port::sleep();
        },
        _ => {}
    }
    port::serve_until(|| false);
}

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("smpcall kernel: {info}");
    poweroff(ExitCode::Failure)
}
