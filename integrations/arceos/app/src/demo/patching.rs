//! A function is changed while every CPU may call it.

use super::cpus;
use super::pages::{self, Page};
use crate::arch;
use ax_ipi::machine;
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::{ManyError, To};
use smpcall_arceos_common::console::Report;

const ROUNDS: u32 = 100;
/// Which of our pages it runs in: kernels do not let their data be executed.
const PAGE: usize = 1;

/// Two instructions: return a number. The first one is a word, so that it changes at once.
static CODE: Page = Page::new();

fn words() -> &'static [AtomicU32; 2] {
    // SAFETY: the page's first eight bytes, which nobody takes for anything else.
    unsafe { &*(&raw const CODE).cast() }
}

// guide: patching
/// The function returns `value` from now on: when this returns, no CPU runs the old instruction.
fn patch(value: u8) -> Result<(), ManyError> {
    // Release: the instruction, before the call that has it fetched.
    words()[0].store(arch::load_result(value), Ordering::Release);
    arch::publish_code(pages::address(PAGE) as *const u32);
    machine().call_many(To::All, arch::refetch).map(drop)
}
// guide: end

fn run_code() -> u32 {
    // SAFETY: `run` has mapped the page executable and written both words; they are a function without arguments that returns a
    // number and touches nothing else.
    let code = unsafe { core::mem::transmute::<usize, extern "C" fn() -> u32>(pages::address(PAGE)) };
    code()
}

pub(super) fn run(report: &mut Report) {
    // Release: as in `patch`.
    words()[1].store(arch::RETURN, Ordering::Release);
    // Where nothing was before, no CPU has a translation.
    pages::map(PAGE, arch::code_entry(CODE.address()));
    let mut right = 0;
    for round in 0..ROUNDS {
        let value = (round % 100) as u8 + 1;
        let found = AtomicU32::new(0);
        if patch(value).is_err() {
            continue;
        }
        // Relaxed: the call's return publishes it (P4).
        let look = || _ = found.fetch_add(u32::from(run_code() == u32::from(value)), Ordering::Relaxed);
        if machine().call_many(To::All, look).is_ok() {
            right += found.into_inner();
        }
    }
    let all = ROUNDS * cpus();
    report.check(
        "text_patching",
        right == all,
        format_args!("{right} of {all} calls ran the new instruction"),
    );
}
