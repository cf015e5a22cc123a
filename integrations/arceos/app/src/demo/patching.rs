//! A function is changed while every CPU may call it.

use crate::arch;
use axipi::{CPUS, machine};
use core::sync::atomic::{AtomicU32, Ordering};
use smpcall::{ManyError, To};
use smpcall_arceos_common::console::Report;

const ROUNDS: u32 = 100;

/// Two instructions: return a number. The first one is a word, so that it changes at once.
#[repr(align(64))]
struct Code([AtomicU32; 2]);

static CODE: Code = Code([const { AtomicU32::new(0) }; 2]);

// guide: patching
/// The function returns `value` from now on: when this returns, no CPU runs the old instruction.
fn patch(value: u8) -> Result<(), ManyError> {
    // Release: the instruction, before the call that has it fetched.
    CODE.0[0].store(arch::load_result(value), Ordering::Release);
    arch::publish_code((&raw const CODE).cast());
    machine().call_many(To::All, arch::refetch).map(drop)
}
// guide: end

fn run_code() -> u32 {
    // SAFETY: `run` has written both words; they are a function without arguments that returns a number and touches nothing
    // else, in memory that this kernel maps executable.
    let code = unsafe { core::mem::transmute::<*const Code, extern "C" fn() -> u32>(&raw const CODE) };
    code()
}

pub(super) fn run(report: &mut Report) {
    // Release: as in `patch`.
    CODE.0[1].store(arch::RETURN, Ordering::Release);
    arch::publish_code((&raw const CODE.0[1]).cast());
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
    let all = ROUNDS * CPUS as u32;
    report.check(
        "text_patching",
        right == all,
        format_args!("{right} of {all} calls ran the new instruction"),
    );
}
