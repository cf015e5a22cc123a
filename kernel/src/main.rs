//! A small kernel on smpcall: it starts all CPUs of the machine, runs one thing that its command line names, reports on its
//! serial port, and switches the machine off.
//!
//! From power-on to the end, the files in the order in which they are met:
//!
//! | file | what |
//! |---|---|
//! | `arch/*` | entry, other CPUs, interrupt vectors, controller, clock, console; [`arch`] says what each must give |
//! | `command.rs` | the command line: `what=conformance cpus=4 seconds=60 …` |
//! | `cpus.rs` | which CPUs there are, starting and stopping them |
//! | `machine.rs` | the machine under test: the port's half that only a kernel knows |
//! | `traps.rs` | what the interrupts do |
//! | `idle.rs` | a CPU that waits: polls for a while, then sleeps |
//! | `what.rs`, `what/*` | what it can run |
//! | `console.rs` | lines for the one who reads along: so many results are announced, and all must come |
//!
//! The reader is `cargo xtask boot`.

#![no_std]
#![no_main]

mod arch;
mod command;
mod console;
mod cpus;
mod idle;
mod machine;
mod programs;
mod traps;

use command::Command;
use console::println;
use core::panic::PanicInfo;

/// The first CPU comes here from `arch`, on its own stack, with interrupts off.
fn boot() -> ! {
    println!("smpcall kernel: {}, interrupts by {}", arch::NAME, arch::doorbell_name());
    let command = match Command::parse(arch::command_line()) {
        Ok(command) => command,
        Err(why) => fail(format_args!("bad command line: {why}")),
    };
    if let Err(why) = cpus::discover() {
        fail(format_args!("{why}"));
    }
    command.install();
    cpus::enter(0);
    println!("smpcall kernel: {} CPUs, {}", cpus::count(), command.what.name());
    for cpu in 1..cpus::count() {
        if let Err(why) = cpus::start(cpu) {
            fail(format_args!("CPU {cpu}: {why}"));
        }
    }
    let passed = programs::run(0);
    println!("smpcall kernel: {}", if passed { "passed" } else { "FAILED" });
    arch::exit(passed)
}

/// Every other CPU comes here from `arch`, each time it is started, on its own stack, with interrupts off.
fn boot_other(cpu: u32) -> ! {
    programs::before_enter(cpu);
    cpus::enter(cpu);
    programs::run(cpu);
    idle::for_ever()
}

/// Ends the machine: the run has failed.
fn fail(why: core::fmt::Arguments<'_>) -> ! {
    println!("smpcall kernel: {why}");
    println!("smpcall kernel: FAILED");
    arch::exit(false)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    arch::mask_interrupts();
    // Whoever holds the console may be the one who panics.
    console::seize();
    fail(format_args!("{info}"))
}
