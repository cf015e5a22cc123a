//! riscv64: QEMU's `virt` machine, in supervisor mode above OpenSBI.
//!
//! Sources: *RISC-V Supervisor Binary Interface Specification* 3.0, chapters 6 (timer) and 9 (hart state management);
//! *The RISC-V Instruction Set Manual, Volume II* 20211203, 4.1 (supervisor CSRs), 4.2.1 (SFENCE.VMA), 4.4 (Sv39); QEMU's
//! documentation of `virt` (sifive_test at 0x100000, a 16550A at 0x10000000).

mod imsic;
pub(crate) mod page;

use super::STACK_BYTES;
use crate::console::println;
use crate::cpus::CPUS_MAX;
use crate::traps;
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::num::NonZero;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use fdt::Fdt;
use riscv::register::{sie, stvec};
use smpcall_bare::arch::{Doorbell, HardwareId, firmware, irq_restore, irq_save, sleep_with_irqs_off};
use uart_16550::Uart16550;

pub(crate) const NAME: &str = "riscv64";
pub(crate) const DOORBELL: Doorbell = Doorbell::new();
pub(crate) const HAS_NMI: bool = false;

pub(crate) type StartError = sbi_rt::SbiRet;

/// Stacks by number; the boot hart's is the first.
#[repr(align(4096))]
#[expect(dead_code, reason = "the entry finds its stack by this address")]
struct Stacks(UnsafeCell<[[u8; STACK_BYTES]; CPUS_MAX]>);

// SAFETY: each is used by one hart, the one that has its number.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_BYTES]; CPUS_MAX]));

/// Whether a hart has entered: the first is the boot hart. Swapped by the entry alone.
static ENTERED: AtomicU32 = AtomicU32::new(0);
/// The number of the hart that is being started, one at a time. The entry takes it from here, and every hart has the same
/// entry, because the firmware cannot be trusted with either: OpenSBI 1.1 lets a hart go before it has written down where
/// to and with what, so one that is still on its way to its wait enters where the boot hart did.
static STARTING: AtomicU32 = AtomicU32::new(0);

global_asm!(
    include_str!("riscv64/entry.s"),
    stacks = sym STACKS,
    stack_bytes = const STACK_BYTES,
    entered = sym ENTERED,
    starting = sym STARTING,
    boot = sym boot,
    boot_other = sym boot_other,
    trap = sym trap,
);

unsafe extern "C" {
    fn _start();
    fn trap_entry();
    fn probe_read(at: *const u64, value: *mut u64) -> usize;
    fn probe_load();
    fn probe_fault();
}

/// The boot hart's id, and the device tree: written here, before anything else runs.
static BOOT_HART: AtomicU64 = AtomicU64::new(0);
static DEVICE_TREE: AtomicUsize = AtomicUsize::new(0);
/// Ticks of the clock in a second.
static TICKS_PER_S: AtomicU64 = AtomicU64::new(10_000_000);

extern "C" fn boot(hart: u64, device_tree: usize) -> ! {
    // Relaxed: no other hart runs yet, and a start synchronises.
    BOOT_HART.store(hart, Ordering::Relaxed);
    DEVICE_TREE.store(device_tree, Ordering::Relaxed);
    if let Some(ticks) = device_tree_ref().and_then(|tree| Some(tree.cpus().next()?.timebase_frequency())) {
        TICKS_PER_S.store(ticks as u64, Ordering::Relaxed);
    }
    match firmware() {
        Ok(version) => println!("smpcall kernel: firmware with SBI {version}"),
        Err(why) => crate::fail(format_args!("{why}")),
    }
    page::enable();
    if let Some(tree) = device_tree_ref() {
        imsic::boot(&tree);
    }
    crate::boot()
}

extern "C" fn boot_other(_hart: u64, cpu: u32) -> ! {
    page::enable();
    crate::boot_other(cpu)
}

fn device_tree_ref() -> Option<Fdt<'static>> {
    // Relaxed: see `boot`.
    let at = DEVICE_TREE.load(Ordering::Relaxed) as *const u8;
    // SAFETY: the firmware hands over a device tree, outside of the kernel's memory; a zero would be none.
    if at.is_null() { None } else { unsafe { Fdt::from_ptr(at) }.ok() }
}

pub(crate) fn doorbell_name() -> &'static str {
    if imsic::is_used() { "IMSIC" } else { "SBI" }
}

pub(crate) fn command_line() -> &'static str {
    device_tree_ref().and_then(|tree| tree.chosen().bootargs()).unwrap_or("")
}

pub(crate) fn hardware_id() -> HardwareId {
    // Relaxed: see `boot`.
    BOOT_HART.load(Ordering::Relaxed)
}

pub(crate) fn discover(found: &mut dyn FnMut(HardwareId)) {
    let tree = device_tree_ref().expect("the firmware hands over a device tree");
    tree.cpus().for_each(|cpu| found(cpu.ids().first() as u64));
}

pub(crate) fn enter(cpu: u32) {
    // SAFETY: `tp` is nobody else's: there is no thread-local storage.
    unsafe { asm!("mv tp, {}", in(reg) u64::from(cpu) + 1) };
    let mut vector = stvec::Stvec::from_bits(0);
    vector.set_address(trap_entry as *const () as usize);
    vector.set_trap_mode(stvec::TrapMode::Direct);
    // SAFETY: the entry is aligned and saves what it changes; the two interrupts have handlers.
    unsafe {
        stvec::write(vector);
        sie::set_ssoft();
        sie::set_stimer();
    }
    imsic::enter();
    no_alarm();
}

#[inline(always)]
pub(crate) fn current_cpu() -> Option<u32> {
    let number: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, tp", out(reg) number, options(nomem, nostack, preserves_flags)) };
    number.checked_sub(1).map(|cpu| cpu as u32)
}

pub(crate) fn start(cpu: u32, id: HardwareId) -> Result<(), StartError> {
    // Release: the hart's entry reads it, after its swap; the firmware's start, which comes between, orders the two.
    STARTING.store(cpu, Ordering::Release);
    let started = sbi_rt::hart_start(id as usize, _start as *const () as usize, 0);
    if started.is_ok() { Ok(()) } else { Err(started) }
}

pub(crate) fn stop() -> ! {
    let error = sbi_rt::hart_stop();
    panic!("the firmware does not stop a hart: {error:?}");
}

pub(crate) fn is_stopped(id: HardwareId) -> bool {
    sbi_rt::hart_get_status(id as usize).value == sbi_spec::hsm::hart_state::STOPPED
}

/// The clock, which all harts share.
fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register.
    unsafe { asm!("rdtime {}", out(reg) ticks, options(nostack)) };
    ticks
}

fn ticks_per_s() -> u128 {
    // Relaxed: see `boot`.
    TICKS_PER_S.load(Ordering::Relaxed).into()
}

pub(crate) fn now_ns() -> u64 {
    (u128::from(ticks()) * 1_000_000_000 / ticks_per_s()) as u64
}

pub(crate) fn set_alarm(after_ns: u64) {
    let after = u128::from(after_ns) * ticks_per_s() / 1_000_000_000;
    sbi_rt::set_timer(ticks().saturating_add(u64::try_from(after).unwrap_or(u64::MAX)));
}

/// The emulator's one thread goes on to the next CPU when this one sleeps; the PAUSE hint does not make it.
pub(crate) fn relax_shared() {
    const NAP_NS: u64 = 1_000;
    if current_cpu().is_some() {
        // Off: an alarm that comes before WFI must not be answered before it.
        let irqs = irq_save();
        set_alarm(NAP_NS);
        sleep_with_irqs_off();
        irq_restore(irqs);
    }
}

/// Also clears the one that came.
fn no_alarm() {
    sbi_rt::set_timer(u64::MAX);
}

/// The doorbell's interrupt is the only one that a hart can raise for itself: whether it was, is looked up.
pub(crate) fn raise_interrupt() {
    // SAFETY: sets sip.SSIP, which has a handler.
    unsafe { asm!("csrs sip, {}", in(reg) 2, options(nostack)) };
}

pub(crate) fn raise_nmi() {
    unreachable!("there is none");
}

pub(crate) fn mask_interrupts() {
    irq_save();
}

pub(crate) fn fault() {
    // SAFETY: an illegal instruction, which is what is asked for.
    unsafe { asm!("unimp") };
}

/// The firmware's shutdown: the emulator ends with 0, whatever has happened.
pub(crate) fn vanish() {
    let _ = sbi_rt::system_reset(sbi_rt::Shutdown, sbi_rt::SystemFailure);
}

/// Comes from `trap_entry` with interrupts off; returns the address at which to go on.
extern "C" fn trap(cause: usize, pc: usize, value: usize) -> usize {
    const INTERRUPT: usize = 1 << (usize::BITS - 1);
    const SOFTWARE: usize = INTERRUPT | 1;
    const TIMER: usize = INTERRUPT | 5;
    const EXTERNAL: usize = INTERRUPT | 9;
    const LOAD_PAGE_FAULT: usize = 13;
    match cause {
        SOFTWARE if imsic::is_used() => {
            // SAFETY: clears sip.SSIP, of which the doorbell knows nothing.
            unsafe { asm!("csrc sip, {}", in(reg) 2, options(nostack)) };
            traps::own_interrupt();
        }
        SOFTWARE => {
            traps::own_interrupt();
            traps::doorbell();
        }
        TIMER => {
            no_alarm();
            traps::alarm();
        }
        EXTERNAL if imsic::is_doorbell() => traps::doorbell(),
        LOAD_PAGE_FAULT if pc == probe_load as *const () as usize => {
            return probe_fault as *const () as usize;
        }
        _ => traps::unexpected(format_args!("trap {cause:#x} at {pc:#x}, value {value:#x}")),
    }
    pc
}

pub(crate) fn write_console(bytes: &[u8]) {
    const UART: NonNull<u8> = NonNull::without_provenance(NonZero::new(0x1000_0000).unwrap());
    // SAFETY: the machine's 16550A, which OpenSBI has set up.
    if let Ok(mut uart) = unsafe { Uart16550::new_mmio(UART, 1) } {
        uart.send_bytes_exact(bytes);
    }
}

pub(crate) fn exit(passed: bool) -> ! {
    // The device of the machine that ends the emulator with a code. (The firmware's own shutdown cannot report a failure.)
    const SIFIVE_TEST: *mut u32 = 0x10_0000 as *mut u32;
    let value = if passed { 0x5555 } else { 1 << 16 | 0x3333 };
    loop {
        // SAFETY: the machine's device; it ends everything.
        unsafe { SIFIVE_TEST.write_volatile(value) };
    }
}
