//! What each architecture gives, in a file and a folder of its own. All of them have:
//!
//! | item | what |
//! |---|---|
//! | `NAME`, `doorbell_name()` | for the first line |
//! | `DOORBELL` | the doorbell's hardware, for [`smpcall_bare::Bare::new`] |
//! | `command_line()` | what the emulator was given with `-append` |
//! | `hardware_id()`, `discover(found)` | this CPU's id; the ids of all CPUs, this one's may be among them |
//! | `enter(cpu)` | this CPU is `cpu` from now on: its number's register, vectors, controller, clock. Interrupts stay off |
//! | `start(cpu, id)` | starts a CPU on the stack of that number; it calls `crate::boot_other(cpu)` |
//! | `stop()`, `is_stopped(id)` | this CPU stops for good, and another finds out that it did |
//! | `current_cpu()` | the number that `enter` was told; `None` before |
//! | `now_ns()`, `set_alarm(after_ns)` | the clock, the same on all CPUs, and this CPU's alarm |
//! | `raise_interrupt()`, `HAS_NMI`, `raise_nmi()` | this CPU interrupts itself: [`own_interrupt`](crate::traps::own_interrupt), [`own_nmi`](crate::traps::own_nmi) |
//! | `relax_shared()` | a step of a spin that lets other CPUs run which share the core, in any context |
//! | `mask_interrupts()`, `fault()`, `vanish()` | no interrupt any more; do what no handler is for; end the emulator with 0 and no word |
//! | `write_console(bytes)` | the serial port |
//! | `exit(passed)` | ends the emulator, with a code |
//! | `page` | one page of memory that can be mapped at an address and unmapped: `map(value)`, `unmap()`, `flush_local()`, `FLUSH_ALL` (by the hardware's broadcast, where there is one), `read() -> Option<u64>` (`None`: the access faulted) |
//!
//! The boot CPU enters by `crate::boot()`, which all come to with interrupts off and a stack of [`STACK_BYTES`].

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "loongarch64")]
mod loongarch64;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::*;
#[cfg(target_arch = "loongarch64")]
pub(crate) use loongarch64::*;
#[cfg(target_arch = "riscv64")]
pub(crate) use riscv64::*;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;

/// The stack of each CPU. The conformance suite keeps some large things there.
pub(crate) const STACK_BYTES: usize = 64 * 1024;
