//! aarch64: QEMU's `virt` machine with a GICv3, in EL1.
//!
//! | file | what |
//! |---|---|
//! | `aarch64.rs` | entry, and other CPUs by PSCI; exceptions; the console; the end |
//! | `aarch64/page.rs` | the translation tables |
//! | `aarch64/gic.rs` | the interrupt controller |
//! | `aarch64/clock.rs` | the clock and the alarm |
//! | `aarch64/memory.ld` | where the kernel lies |
//!
//! Sources: *Arm Architecture Reference Manual for A-profile* (DDI 0487), the registers' chapter (MPIDR_EL1, ESR_EL1,
//! FAR_EL1, TPIDR_EL1); *Arm Power State Coordination Interface* (DEN 0022), chapter 5 (CPU_OFF, CPU_ON, AFFINITY_INFO);
//! *PrimeCell UART (PL011) Technical Reference Manual* (DDI 0183), chapter 3 (UARTDR, UARTFR); QEMU's documentation of
//! `virt` and of semihosting, and its hw/arm/virt.c and boot.c for the addresses.

mod clock;
mod gic;
pub(crate) mod page;

use super::STACK_BYTES;
use crate::cpus::CPUS_MAX;
use crate::traps;
use aarch64_rt::{ExceptionHandlers, RegisterStateRef, Stack};
use core::arch::asm;
use core::cell::UnsafeCell;
use fdt::Fdt;
use smccc::Hvc;
use smccc::psci::{self, AffinityState, LowestAffinityLevel};
use smpcall_bare::arch::HardwareId;

pub(crate) use clock::{now_ns, set_alarm};
pub(crate) use gic::{DOORBELL, raise_interrupt};

pub(crate) const NAME: &str = "aarch64";
pub(crate) const HAS_NMI: bool = false;

pub(crate) type StartError = psci::Error;

const STACK_PAGES: usize = STACK_BYTES / 4096;

/// The other CPUs' stacks, by number. The boot CPU's is aarch64-rt's.
struct Stacks(UnsafeCell<[Stack<STACK_PAGES>; CPUS_MAX]>);

// SAFETY: each is used by one CPU, the one that has its number, and by `start` while that one is off.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([const { Stack::new() }; CPUS_MAX]));

// The stack that it gets is as large as the others'; translation and caches are on.
aarch64_rt::entry!(boot, STACK_PAGES);

fn boot(_: u64, _: u64, _: u64, _: u64) -> ! {
    no_number();
    demand_el1();
    page::enable();
    gic::boot(&device_tree().expect("the emulator hands over a device tree"));
    crate::boot()
}

/// In EL2, or above, calls to the firmware by HVC would come to this kernel, and none would start a CPU.
fn demand_el1() {
    let level: u64;
    // SAFETY: reads a register, CurrentEL.
    unsafe { asm!("mrs {}, currentel", out(reg) level, options(nomem, nostack, preserves_flags)) };
    let level = level >> 2 & 3;
    assert_eq!(
        level, 1,
        "the machine starts in EL{level}, and this kernel runs in EL1: leave out virtualization=on"
    );
}

fn boot_other(cpu: u32) -> ! {
    no_number();
    crate::boot_other(cpu)
}

/// What the emulator puts at the start of memory, for an ELF kernel (which has no register for its address).
fn device_tree() -> Option<Fdt<'static>> {
    const DEVICE_TREE: *const u8 = 0x4000_0000 as *const u8;
    // SAFETY: that is memory, outside of the kernel's image, which nobody writes. What does not begin as a device tree is none.
    unsafe { Fdt::from_ptr(DEVICE_TREE) }.ok()
}

pub(crate) fn doorbell_name() -> &'static str {
    "GICv3"
}

pub(crate) fn command_line() -> &'static str {
    device_tree().and_then(|tree| tree.chosen().bootargs()).unwrap_or("")
}

/// This CPU's affinity: Aff3 in bits 39 to 32, Aff2, Aff1 and Aff0 in 23 to 0.
pub(crate) fn hardware_id() -> HardwareId {
    let mpidr: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) mpidr, options(nomem, nostack, preserves_flags)) };
    mpidr & 0xff_00ff_ffff
}

pub(crate) fn discover(found: &mut dyn FnMut(HardwareId)) {
    let tree = device_tree().expect("the emulator hands over a device tree");
    tree.cpus().for_each(|cpu| found(cpu.ids().first() as u64));
}

pub(crate) fn enter(cpu: u32) {
    set_number(u64::from(cpu) + 1);
    clock::no_alarm();
    gic::enter();
}

fn no_number() {
    set_number(0);
}

fn set_number(number: u64) {
    // SAFETY: the register is nobody else's: there is no thread-local storage.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) number, options(nostack, preserves_flags)) };
}

#[inline(always)]
pub(crate) fn current_cpu() -> Option<u32> {
    let number: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) number, options(nomem, nostack, preserves_flags)) };
    number.checked_sub(1).map(|cpu| cpu as u32)
}

pub(crate) fn start(cpu: u32, id: HardwareId) -> Result<(), StartError> {
    // Asked first: what the new CPU is told is written to its stack, which it must not be using.
    if !is_stopped(id) {
        return Err(psci::Error::AlreadyOn);
    }
    let stack = STACKS.0.get().cast::<Stack<STACK_PAGES>>().wrapping_add(cpu as usize);
    // SAFETY: the stack of that number, and the CPU whose it is is off. Memory is mapped the same for all.
    unsafe { aarch64_rt::start_core::<Hvc, _, STACK_PAGES>(id, stack, move || boot_other(cpu)) }
}

pub(crate) fn stop() -> ! {
    clock::no_alarm();
    gic::leave();
    let error = psci::cpu_off::<Hvc>();
    panic!("the firmware does not stop a CPU: {error:?}");
}

pub(crate) fn is_stopped(id: HardwareId) -> bool {
    psci::affinity_info::<Hvc>(id, LowestAffinityLevel::All) == Ok(AffinityState::Off)
}

pub(crate) fn raise_nmi() {
    unreachable!("there is none");
}

pub(crate) fn mask_interrupts() {
    smpcall_bare::arch::irq_save();
}

pub(crate) fn fault() {
    // SAFETY: an undefined instruction, which is what is asked for.
    unsafe { asm!("udf #0") };
}

/// PSCI's SYSTEM_OFF: the emulator ends with 0, whatever has happened.
pub(crate) fn vanish() {
    let _ = psci::system_off::<Hvc>();
}

aarch64_rt::exception_handlers!(Exceptions);

/// All come with interrupts off, on the stack that was in use.
struct Exceptions;

impl ExceptionHandlers for Exceptions {
    extern "C" fn irq_current(_: RegisterStateRef) {
        gic::interrupt();
    }

    extern "C" fn sync_current(mut state: RegisterStateRef) {
        /// ESR_EL1.EC of a data abort without a change of the exception level.
        const DATA_ABORT: u64 = 0b10_0101;
        let (syndrome, address): (u64, u64);
        // SAFETY: reads registers.
        unsafe {
            asm!(
                "mrs {}, esr_el1",
                "mrs {}, far_el1",
                out(reg) syndrome, out(reg) address, options(nomem, nostack, preserves_flags),
            );
        }
        if syndrome >> 26 & 0x3f == DATA_ABORT
            && let Some(recover) = page::recovery(state.elr)
        {
            // SAFETY: `recover` is where that code goes on after a fault, with the registers as they are.
            unsafe { state.get_mut() }.elr = recover;
            return;
        }
        let pc = state.elr;
        traps::unexpected(format_args!("exception {syndrome:#x} at {pc:#x}, address {address:#x}"));
    }

    extern "C" fn fiq_current(state: RegisterStateRef) {
        traps::unexpected(format_args!("FIQ at {:#x}", state.elr));
    }

    extern "C" fn serror_current(state: RegisterStateRef) {
        traps::unexpected(format_args!("SError near {:#x}", state.elr));
    }
}

/// By hand, and without setting it up, which the emulator does not ask for: a driver would be one that a CPU has to itself,
/// and a CPU that panics writes whoever else does.
pub(crate) fn write_console(bytes: &[u8]) {
    const PL011: *mut u32 = 0x900_0000 as *mut u32;
    /// UARTDR and UARTFR, in words; UARTFR.TXFF: no room.
    const DATA: usize = 0;
    const FLAGS: usize = 0x18 / 4;
    const FULL: u32 = 1 << 5;
    for &byte in bytes {
        // SAFETY: the machine's serial port, whose registers have no effect on memory.
        unsafe {
            while PL011.add(FLAGS).read_volatile() & FULL != 0 {
                core::hint::spin_loop();
            }
            PL011.add(DATA).write_volatile(byte.into());
        }
    }
}

/// By semihosting. (PSCI's SYSTEM_OFF cannot report a failure.)
pub(crate) fn exit(passed: bool) -> ! {
    semihosting::process::exit(if passed { 0 } else { 1 })
}

/// The YIELD hint makes the emulator's one thread go on to the next CPU.
pub(crate) fn relax_shared() {
    smpcall_bare::arch::relax();
}
