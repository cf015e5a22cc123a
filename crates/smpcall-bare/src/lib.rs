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
//! set, seen by nobody. The handler runs with interrupts off from 4 to 6. 1 and 5 are [`Latch`]'s, which a port of your own can have, too.
//!
//! # Your kernel in an afternoon
//!
//! 1. Implement [`Kernel`] (`smpcall::simple_port!(MyKernel: Reporting, Tracing)` leaves its reports and traces as they are), put a `Machine<Bare<MyKernel, CPUS>, [PerCpu; CPUS]>` into a `static`.
//! 2. On each CPU, when it can take interrupts: [`Bare::join`], then `smp.as_pin().online()`.
//! 3. In the doorbell's interrupt handler: [`answer`].
//! 4. In the idle loop: `run_blocking`, `poll_begin`, a few looks, `poll_end`, [`Bare::sleep`].
//!
//! ```no_run
//! # #[cfg(target_arch = "x86_64")]
//! # mod kernel {
//! # use core::sync::atomic::{AtomicBool, Ordering};
//! use smpcall::{Budget, Machine, PerCpu};
//! use smpcall_bare::{Bare, Kernel, answer, arch};
//!
//! struct MyKernel;
//! smpcall::simple_port!(MyKernel: Reporting, Tracing);
//!
//! // SAFETY: `gs` leads each CPU to its own number, and `on_doorbell` is the handler of vector 0x40 on each.
//! unsafe impl Kernel for MyKernel {
//!     const COUNTS_RINGS: bool = true;
//!     fn current_cpu(&self) -> Option<u32> { my::number_by_gs() }
//!     fn in_interrupt(&self) -> bool { my::interrupt_depth() > 0 }
//!     fn now_ns(&self) -> u64 { my::clock_ns() }
//!     fn set_alarm(&self, after_ns: u64) { my::set_timer(after_ns) }
//!     fn relax(&self) { arch::relax() }
//! }
//! # mod my {
//! #     pub fn number_by_gs() -> Option<u32> { Some(0) }
//! #     pub fn interrupt_depth() -> u32 { 0 }
//! #     pub fn clock_ns() -> u64 { 0 }
//! #     pub fn set_timer(_: u64) {}
//! # }
//!
//! static SMP: Machine<Bare<MyKernel, 8>, [PerCpu; 8]> =
//!     Machine::new(Bare::new(MyKernel, arch::Doorbell::new(0x40)), [const { PerCpu::new() }; 8]);
//!
//! /// Interrupts are off.
//! fn on_doorbell() {
//!     let _ = answer(&SMP);
//! }
//!
//! /// Each CPU comes here, with interrupts off, and waits until it may go on.
//! fn cpu_main(number: u32, apic_id: arch::HardwareId, may_go: &AtomicBool) -> ! {
//!     while !may_go.load(Ordering::Acquire) {
//!         arch::sleep_with_irqs_off();
//!     }
//!     let port = SMP.platform();
//!     port.doorbell().prepare(apic_id); // x86-64's only
//!     port.join(number, apic_id);
//!     let mut cpu = SMP.as_pin().online().expect("it has not been online");
//!     arch::irqs_on();
//!     loop {
//!         if let Ok(guard) = cpu.begin_sleep() {
//!             let asleep = guard.commit();
//!             port.sleep(1_000_000_000);
//!             let _ = asleep.woken(Budget::DEFAULT); // what the handler has left: calls that may block
//!         } else {
//!             let _ = cpu.flush(Budget::DEFAULT);
//!         }
//!     }
//! }
//!
//! /// Returns how many doorbells `f` has rung, and how many of them on CPU 1, if no other CPU rings.
//! fn doorbells_of(f: impl FnOnce()) -> (u64, u64) {
//!     let (port, state) = (SMP.platform(), arch::irq_save());
//!     assert!(!arch::irqs_are_on() && port.kernel().current_cpu().is_some());
//!     let before = (port.rings(), port.rings_to(1));
//!     f();
//!     let after = (port.rings(), port.rings_to(1));
//!     arch::irq_restore(state);
//!     (after.0 - before.0, after.1 - before.1)
//! }
//! # }
//! ```
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

mod latch;
mod port;

#[cfg(doc)]
use smpcall::Platform;

pub use latch::Latch;
pub use port::{Bare, Kernel, answer};
