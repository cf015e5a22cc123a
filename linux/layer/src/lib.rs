// SPDX-License-Identifier: GPL-2.0-only
//! smpcall in the place of the call layer of Linux's kernel/smp.c.
//!
//! Three layers, from Linux down:
//!
//! - `linux/glue/smpcall_glue.c` has every symbol that the rest of the kernel calls (`smp_call_function_single` and so on), and
//!   what only Linux has: per-CPU areas, idle CPUs that poll, the architecture's IPIs, tracepoints, boot parameters.
//! - Here is the core behind a C ABI: what the glue calls ([`abi`]), and the port, by which the core calls the glue ([`port`]).
//!   Both sides' declarations are in `linux/glue/smpcall_glue.h` and [`glue`].
//! - `crates/smpcall` is the core, as it is everywhere else.

#![no_std]

mod abi;
mod glue;
mod port;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "the stand-in knows x86-64 only: an architecture needs its irq flags and its CPU number, see x86_64.rs"
);

/// A broken invariant of the core: BUG().
#[cfg(not(test))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    // SAFETY: a string and its length; it does not return.
    unsafe { glue::smpcall_glue_bug(file.as_ptr(), file.len(), line) }
}
