//! What a kernel calls other CPUs for, each with a check.

mod pages;
mod patching;
mod shootdown;
mod wakeup;

use ax_ipi::machine;
use smpcall_arceos_common::console::{Console, Report};

/// Runs them all, on CPU 0.
pub(crate) fn run() -> bool {
    let mut report = Report::announce(Console, 4);
    first_call(&mut report);
    pages::hang_in();
    shootdown::run(&mut report);
    wakeup::run(&mut report);
    patching::run(&mut report);
    report.end()
}

/// How many CPUs there are.
fn cpus() -> u32 {
    ax_hal::cpu_num() as u32
}

fn first_call(report: &mut Report) {
    let mut sum = 0;
    for cpu in 0..cpus() {
        // guide: first-call
        let mut borrowed = 1;
        let answer = machine().call(cpu, || {
            borrowed += 1;
            ax_hal::percpu::this_cpu_id() as u32
        });
        assert_eq!((answer, borrowed), (Ok(cpu), 2));
        // guide: end
        sum += borrowed;
    }
    report.check("first_call", sum == 2 * cpus(), format_args!("{} CPUs named themselves", cpus()));
}
