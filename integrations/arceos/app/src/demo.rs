//! What a kernel calls other CPUs for, each with a check.

mod patching;
mod shootdown;
mod surface;
mod wakeup;

use axipi::{CPUS, machine};
use smpcall_arceos_common::console::{Console, Report};

/// Runs them all, on CPU 0.
pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, 7);
    first_call(&mut report);
    surface::run(&mut report);
    shootdown::run(&mut report);
    wakeup::run(&mut report);
    patching::run(&mut report);
    report.end()
}

fn first_call(report: &mut Report) {
    let mut sum = 0;
    for cpu in 0..CPUS as u32 {
        // guide: first-call
        let mut borrowed = 1;
        let answer = machine().call(cpu, || {
            borrowed += 1;
            axhal::percpu::this_cpu_id() as u32
        });
        assert_eq!((answer, borrowed), (Ok(cpu), 2));
        // guide: end
        sum += borrowed;
    }
    report.check("first_call", sum == 2 * CPUS as u32, format_args!("{CPUS} CPUs named themselves"));
}
