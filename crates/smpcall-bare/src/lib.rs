//! smpcall on bare metal: a CPU is a CPU, and a doorbell is an interrupt.
//!
//! [`Bare`] is a [`Platform`] for kernels on x86-64, riscv64, aarch64 and loongarch64. It owns the doorbell; what only the kernel knows
//! (which CPU this is, what time it is) comes from its [`Kernel`]. What differs between the architectures is one file each,
//! [`arch`] here: masking interrupts, sending one, sleeping until one comes.
//!
//! # The doorbell
//!
//! | who | step | why |
//! |---|---|---|
//! | sender | 1. the target's latch: `swap(true, Release)` | publishes what was written before, for the language's memory model; pairs with 5 |
//! | sender | 2. a fence, if the machine needs one | the same for the machine: a store to a controller may overtake stores to memory |
//! | sender | 3. the interrupt, always, also when the latch was set | one that the hardware lost is made good for by the next |
//! | target | 4. the controller is told that the interrupt was heard | from here on the next interrupt is a new one |
//! | target | 5. the latch: `swap(false, Acquire)` | sees what all who rang wrote; a ring that comes later interrupts again |
//! | target | 6. `flush` | |
//!
//! With 5 before 4 a ring in between would be merged into the interrupt that is being acknowledged, and its latch would stay
//! set, seen by nobody. The handler runs with interrupts off from 4 to 6.
//!
//! # Your kernel in an afternoon
//!
//! 1. Implement [`Kernel`] (`smpcall::simple_port!(MyKernel: Reporting, Tracing)` leaves its reports and traces as they are), put a `Machine<Bare<MyKernel, CPUS>, [PerCpu; CPUS]>` into a `static`.
//! 2. On each CPU, when it can take interrupts: [`Bare::join`], then `smp.as_pin().online()`.
//! 3. In the doorbell's interrupt handler: [`answer`].
//! 4. In the idle loop: `run_blocking`, `poll_begin`, a few looks, `poll_end`, [`Bare::sleep`].
//!
//! `kernel/` in the repository is such a kernel, for all four architectures.

#![cfg_attr(not(test), no_std)]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
pub mod arch;
#[cfg(target_arch = "loongarch64")]
#[path = "loongarch64.rs"]
pub mod arch;
#[cfg(target_arch = "riscv64")]
#[path = "riscv64.rs"]
pub mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub mod arch;

mod port;

#[cfg(doc)]
use smpcall::Platform;

pub use port::{Bare, Kernel, answer};
