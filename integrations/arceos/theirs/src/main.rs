//! The measurements of ArceOS' own inter-processor crate, which `bench` of the other application is held against.

#![no_std]
#![no_main]

// The runtime, which calls `main`.
extern crate ax_runtime;

use ax_hal::mem::VirtAddr;
use smpcall_arceos_common::console::{Console, Report};
use smpcall_arceos_common::side::{self, Layer, SLEEPER};
use smpcall_arceos_common::{println, tasks};

struct Theirs;

impl Layer for Theirs {
    fn shoot_down(start: VirtAddr, size: usize) {
        side::shoot_down_as_arceos_does(start, size);
    }

    /// The scheduler's own way to another CPU.
    fn wake() {
        let _ = SLEEPER.notify();
    }
}

#[unsafe(no_mangle)]
extern "C" fn main() {
    tasks::stay_on(0);
    println!("smpcall kernel: {} CPUs, bench", ax_hal::cpu_num());
    let mut report = Report::announce(Console, side::ROWS);
    side::run::<Theirs>(&mut report);
    let passed = report.end();
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    ax_hal::power::system_off();
}
