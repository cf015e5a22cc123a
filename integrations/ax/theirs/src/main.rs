//! The measurements of ArceOS' own inter-processor crate, which `bench` of the other application is held against.

#![no_std]
#![no_main]

// The runtime, which calls `main`.
extern crate ax_runtime;

use smpcall_ax_common::console::{Console, Report};
use smpcall_ax_common::{println, side, tasks};

#[unsafe(no_mangle)]
extern "C" fn main() {
    tasks::stay_on(0);
    println!("smpcall kernel: {} CPUs, bench", ax_hal::cpu_num());
    let mut report = Report::announce(Console, side::ROWS);
    side::run(&mut report);
    let passed = report.end();
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    ax_hal::power::system_off();
}
