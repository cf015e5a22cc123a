//! smpcall's promises, P1 to P15, as test bodies that run on any port: threads, a simulator, a kernel under an emulator or
//! on bare metal. One set of bodies for all, so that a promise means the same everywhere.
//!
//! The crate is `no_std`, needs no allocator, and depends on nothing but the core.
//!
//! # Your port in an afternoon
//!
//! 1. Implement [`smpcall::Platform`] (ARCHITECTURE.md has a chapter on it, with a complete toy).
//! 2. Implement [`Rig`]: which machine, memory for one run, how a CPU pauses and sleeps. Its other methods have defaults; what
//!    you leave out is reported as skipped, with the reason. If your doorbell's interrupt handler calls `flush` by itself, set
//!    [`Rig::HANDLER_FLUSHES`].
//! 3. Put a [`Suite`] where every CPU reaches it, and have *every* CPU call [`Suite::run`] from its thread.
//! 4. Give the log to [`check_log`], on the machine that drives yours. Never look for the absence of failures.
//!
//! ```
//! use smpcall::{PerCpu, Platform, Smp};
//! use smpcall_conformance::{Lines, Memory, Rig, Suite, check_log, memory_bytes};
//! use std::fmt::{self, Write};
//! use std::io::Write as _;
//! # use std::mem::MaybeUninit;
//! # struct MyPort(std::sync::OnceLock<std::time::Instant>);
//! # std::thread_local! { static OFF: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
//! # // SAFETY: one CPU, which is one thread, and flushes by itself; nothing unwinds here, and nobody parks.
//! # unsafe impl Platform for MyPort {
//! #     type IrqState = ();
//! #     smpcall::no_unwinding!();
//! #     fn current_cpu(&self) -> Option<u32> { Some(0) }
//! #     fn can_wait(&self) -> bool { OFF.get() == 0 }
//! #     fn ring(&self, _cpu: u32) -> Result<(), smpcall::RingError> { Ok(()) }
//! #     fn irq_save(&self) { OFF.set(OFF.get() + 1) }
//! #     fn irq_restore(&self, (): ()) { OFF.set(OFF.get() - 1) }
//! #     fn relax(&self) { std::thread::yield_now() }
//! #     fn now_ns(&self) -> u64 { self.0.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64 }
//! # }
//! # smpcall::simple_port!(MyPort);
//! # const MY_PORT: MyPort = MyPort(std::sync::OnceLock::new());
//!
//! const CPUS: usize = 1;
//! static SMP: smpcall::Machine<MyPort, [PerCpu; CPUS]> = smpcall::Machine::new(MY_PORT, [const { PerCpu::new() }; CPUS]);
//! static MEMORY: Memory<{ memory_bytes(CPUS as u32) }> = Memory::new();
//! static SUITE: Suite<MyRig> = Suite::new(MyRig);
//!
//! struct MyRig;
//!
//! impl Rig for MyRig {
//!     type Platform = MyPort;
//!     type Storage = [PerCpu; CPUS];
//!
//!     fn smp(&self) -> &'static smpcall::Machine<MyPort, [PerCpu; CPUS]> { &SMP }
//!     fn memory(&self) -> &'static mut [MaybeUninit<u8>] { MEMORY.take().expect("one run") }
//!     fn rounds(&self) -> u32 { 10 }
//!     // How long a case waits in vain, and every case does that a lost doorbell holds up: 10 s unless you say otherwise.
//!     fn patience_ns(&self) -> u64 { 1_000_000_000 }
//!     // While the port is new, its duties alone; then leave this out.
//!     fn selects(&self, name: &str) -> bool { name.contains("_duty") || name.starts_with("p7_") }
//! }
//!
//! /// Shows each line at once, and keeps it: a kernel has its serial port here.
//! struct Console(String);
//!
//! impl Write for Console {
//!     fn write_str(&mut self, text: &str) -> fmt::Result {
//!         print!("{text}");
//!         self.0.push_str(text);
//!         std::io::stdout().flush().map_err(|_| fmt::Error)
//!     }
//! }
//!
//! // On every CPU.
//! let mut log = Lines(Console(String::new()));
//! let summary = SUITE.run(&mut log).expect("every CPU comes to the end of every case");
//! assert_eq!(check_log(&log.0.0), Ok(summary));
//! ```
//!
//! | what you see | what it is |
//! |---|---|
//! | a failure of a case with `duty1` to `duty5` in its name | that number in [`smpcall::Platform`]'s safety list: mend it first, the rest follows from it |
//! | `… of Rig::nmi by its return: got (0, 0), want (1, 1)` | the rig, not the port, has lost an errand: see [`Rig::nmi`] |
//! | `… waited in vain` | a post was queued and no flush came: the doorbell, or its handler |
//! | `a doorbell was lost: there is work, and nobody rang` | the same, seen by the CPU that slept |
//! | `p10_with_interrupts_off…`: `a call with interrupts off: got Ok(())` | `can_wait` does not know of `irq_save` |
//! | `doorbells sent: got 2, want 1` | `ring` is counted twice, or something else than the core rings |
//! | the log stops after `begin` and a name | in that case, a waiting call's target never flushes: it is the one thing that no case can end |
//! | `the rig's memory is too small` | hand in [`memory_bytes`]`(cpus)` bytes |
//!
//! # How it works
//!
//! Every CPU walks the same list of cases, with a barrier after each case, and plays a role by its number. While a CPU
//! waits it serves its queue, as an idle loop would: a rig whose handler flushes is left to it, and the others are
//! flushed when they were rung. So a doorbell that is lost is not made good for by an idle loop that looks anyway.
//!
//! Checks do not panic. The first failure of a case is put on record, that ends the case on every CPU, and
//! all go on to the next. Each wait ends after the platform's patience; without a clock, and in the core's own waiting calls,
//! which nobody can leave, a fault is a run without an end. That is why a log has a count in front and an end behind, and why
//! [`check_log`] wants both. A CPU that does not come to the end of its case ends the run, and the others do not wait on.
//!
//! A csd is `&'static` while it is queued, and a run that failed may leave one queued. So what cases make is put into memory
//! that is used once and never given back, in place of `static`s, which a second run in one process would
//! share, and in place of a reset between cases, whose soundness would hang on the very promises that are under test.
//!
//! A new case is a function in `crates/smpcall-conformance/src/cases`, and its name in the list in `cases.rs` beside it.

// Three modules have `unsafe` in them, each with its invariants: `memory`, `once` and `waker`. A case is a function
// `pub(super) fn p7_what_holds<R: Rig>(ctx: Ctx<R>) -> Done`; `Plain` is for what a promise must make visible, `Count` for how
// the CPUs of the case agree.

#![cfg_attr(not(test), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod cases;
mod check;
mod ctx;
mod errands;
mod handle;
mod held;
mod holder;
mod idle;
mod memory;
mod once;
mod own;
mod report;
mod rig;
pub mod soak;
mod suite;
mod sync;
#[cfg(test)]
mod tests;
mod text;
mod tlb;
mod waker;
mod words;

pub use check::{LogFault, check_log};
pub use holder::Holder;
pub use memory::{Memory, memory_bytes};
pub use report::{Failure, Lines, Outcome, Report, Reporter, Summary};
pub use rig::{Rig, Woken};
pub use suite::{Aborted, Suite};
pub use tlb::{Reach, Tlb, TlbFault, ToyTlb};
