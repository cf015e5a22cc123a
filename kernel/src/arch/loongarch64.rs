//! loongarch64: QEMU's `virt` machine, started without a firmware (`-kernel`).
//!
//! Sources: *LoongArch Reference Manual, Volume 1* 1.10, 5.4 (paging), 6 (exceptions), 7 (control and status registers); *Loongson
//! 3A5000/3B5000 Processor Reference Manual* 1.03, 10.2 (mailboxes, inter-processor interrupts); QEMU's sources for what is where
//! (`hw/loongarch/virt.c`: the 16550A, the power registers of ACPI; `hw/loongarch/boot.c`: the other cores wait for an address in their
//! first mailbox).

pub(crate) mod page;

use super::STACK_BYTES;
use crate::cpus::CPUS_MAX;
use crate::traps;
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::num::NonZero;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use fdt::Fdt;
use smpcall_bare::arch::{Doorbell, HardwareId, after_idle, irq_restore, irq_save};
use uart_16550::Uart16550;

pub(crate) const NAME: &str = "loongarch64";
/// Number 0 starts a core.
const DOORBELL_NUMBER: u8 = 1;
pub(crate) const DOORBELL: Doorbell = Doorbell::new(DOORBELL_NUMBER);
pub(crate) const HAS_NMI: bool = false;

/// Why a core was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// It was sent where to begin, again and again, and has not.
    NoAnswer,
}

/// Stacks by number; the boot core's is the first.
#[repr(align(4096))]
#[expect(dead_code, reason = "the entry finds its stack by this address")]
struct Stacks(UnsafeCell<[[u8; STACK_BYTES]; CPUS_MAX]>);

// SAFETY: each is used by one core, the one that has its number.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_BYTES]; CPUS_MAX]));

/// Whether a core has entered: the first is the boot core. Swapped by the entry alone.
static ENTERED: AtomicU32 = AtomicU32::new(0);
/// The number of the core that is being started, one at a time.
static STARTING: AtomicU32 = AtomicU32::new(0);
/// The number of the core that has entered last.
static ANSWERED: AtomicU32 = AtomicU32::new(0);
/// Whether the core with that id has stopped. Written by `stop_here`.
static STOPPED: [AtomicU32; CPUS_MAX] = [const { AtomicU32::new(0) }; CPUS_MAX];

global_asm!(
    include_str!("loongarch64/entry.s"),
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
    fn refill_entry();
    fn stop_here(flag: *const AtomicU32) -> !;
    fn probe_read(at: *const u64, value: *mut u64) -> usize;
    fn probe_load();
    fn probe_fault();
}

/// Where the command line is: written here, before anything else runs. QEMU 11 has it at 0.
static COMMAND_LINE: AtomicUsize = AtomicUsize::new(0);

/// Addresses that are not cached, of devices.
const UNCACHED: usize = 8 << 60;
/// Where QEMU has the device tree.
const DEVICE_TREE: *const u8 = 0x10_0000 as *const u8;

extern "C" fn boot(command_line: usize) -> ! {
    // Relaxed: no other core runs yet, and a start synchronises.
    COMMAND_LINE.store(command_line, Ordering::Relaxed);
    page::enable();
    crate::boot()
}

extern "C" fn boot_other(cpu: u32) -> ! {
    // Release: pairs with `start`.
    ANSWERED.store(cpu, Ordering::Release);
    page::enable();
    crate::boot_other(cpu)
}

pub(crate) fn doorbell_name() -> &'static str {
    "IOCSR"
}

pub(crate) fn command_line() -> &'static str {
    // Relaxed: see `boot`. By the other window: a pointer is not to be 0.
    let at = UNCACHED | COMMAND_LINE.load(Ordering::Relaxed);
    // SAFETY: QEMU hands over a string, outside of the kernel's memory.
    unsafe { CStr::from_ptr(at as *const c_char) }.to_str().unwrap_or("")
}

pub(crate) fn hardware_id() -> HardwareId {
    let id: u64;
    // SAFETY: reads a register, CPUID.
    unsafe { asm!("csrrd {}, 0x20", out(reg) id, options(nomem, nostack)) };
    id & 0x3ff
}

pub(crate) fn discover(found: &mut dyn FnMut(HardwareId)) {
    // SAFETY: QEMU has put it there, outside of the kernel's memory.
    let tree = unsafe { Fdt::from_ptr(DEVICE_TREE) }.expect("QEMU hands over a device tree");
    tree.cpus().for_each(|cpu| found(cpu.ids().first() as u64));
}

/// Bits of ECFG and ESTAT: the software's own interrupt, the timer, other cores.
const SOFTWARE: usize = 1 << 0;
const TIMER: usize = 1 << 11;
const OTHER_CORES: usize = 1 << 12;

pub(crate) fn enter(cpu: u32) {
    /// The register of this core that says which inter-processor interrupts it takes.
    const ENABLE: u32 = 0x1004;
    // SAFETY: `tp` is nobody else's: there is no thread-local storage. The entries are aligned and save what they change; the interrupts
    // have handlers.
    unsafe {
        asm!("move $tp, {}", in(reg) u64::from(cpu) + 1, options(nostack));
        asm!(
            "csrwr {trap}, 0xc", "csrwr {refill}, 0x88", "csrwr {enabled}, 0x4", "iocsrwr.w {ipis}, {register}",
            trap = inout(reg) trap_entry as *const () as usize => _,
            refill = inout(reg) refill_entry as *const () as usize => _,
            enabled = inout(reg) SOFTWARE | TIMER | OTHER_CORES => _,
            ipis = in(reg) 1_u32 << DOORBELL_NUMBER, register = in(reg) ENABLE, options(nostack)
        );
    }
    no_alarm();
}

#[inline(always)]
pub(crate) fn current_cpu() -> Option<u32> {
    let number: u64;
    // SAFETY: reads a register.
    unsafe { asm!("move {}, $tp", out(reg) number, options(nomem, nostack, preserves_flags)) };
    number.checked_sub(1).map(|cpu| cpu as u32)
}

/// A core that has just been switched on clears its mailbox before it waits: what came earlier is lost, and sent again.
pub(crate) fn start(cpu: u32, id: HardwareId) -> Result<(), StartError> {
    const TRIES: u32 = 1_000;
    const TRY_NS: u64 = 10_000_000;
    if let Some(stopped) = STOPPED.get(id as usize) {
        // Relaxed: it is ours, since it has stopped, or never ran.
        stopped.store(0, Ordering::Relaxed);
    }
    // Relaxed: as above, for the core that is to answer.
    ANSWERED.store(0, Ordering::Relaxed);
    // Release: the core's entry reads it, after its swap; the barrier of `send_entry` orders it before the messages.
    STARTING.store(cpu, Ordering::Release);
    for _ in 0..TRIES {
        send_entry(id);
        let until_ns = now_ns() + TRY_NS;
        while now_ns() < until_ns {
            // Acquire: pairs with `boot_other`.
            if ANSWERED.load(Ordering::Acquire) == cpu {
                return Ok(());
            }
            crate::idle::relax();
        }
    }
    Err(StartError::NoAnswer)
}

/// Sends the core an address, and an interrupt (0) that has it look. One that has entered does not take that interrupt.
fn send_entry(id: HardwareId) {
    /// Mail_Send: wait until it has been sent, to that core; bit 2 is the mailbox's upper half. IPI_Send likewise.
    const MAIL_SEND: u32 = 0x1048;
    const IPI_SEND: u32 = 0x1040;
    const BLOCKING: u64 = 1 << 31;
    const UPPER_HALF: u64 = 1 << 2;
    let (entry, to) = (_start as *const () as u64, BLOCKING | id << 16);
    // SAFETY: registers of this core's that send messages; the other one waits for them, or lets them be.
    unsafe {
        asm!(
            "dbar 0", "iocsrwr.d {upper}, {mail}", "iocsrwr.d {lower}, {mail}", "iocsrwr.w {to}, {ipi}",
            upper = in(reg) (entry >> 32) << 32 | to | UPPER_HALF, lower = in(reg) entry << 32 | to,
            to = in(reg) to, mail = in(reg) MAIL_SEND, ipi = in(reg) IPI_SEND, options(nostack)
        );
    }
}

pub(crate) fn stop() -> ! {
    no_alarm();
    let id = hardware_id() as usize;
    // SAFETY: interrupts are off, and the core leaves its stack for good.
    unsafe { stop_here(&raw const STOPPED[id]) }
}

pub(crate) fn is_stopped(id: HardwareId) -> bool {
    // Acquire: what it wrote before it stopped is seen; pairs with the barrier of `stop_here`.
    STOPPED[id as usize].load(Ordering::Acquire) != 0
}

/// The clock, which all cores share.
fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register.
    unsafe { asm!("rdtime.d {}, $zero", out(reg) ticks, options(nostack)) };
    ticks
}

/// Ticks of the clock in a second, as CPUCFG words 4 and 5 have it.
fn ticks_per_s() -> u128 {
    let (crystal, factors): (u32, u32);
    // SAFETY: reads what the processor says of itself.
    unsafe {
        asm!(
            "cpucfg {0}, {2}", "cpucfg {1}, {3}",
            out(reg) crystal, out(reg) factors, in(reg) 4, in(reg) 5, options(nomem, nostack)
        );
    }
    u128::from(crystal) * u128::from(factors & 0xffff) / u128::from(factors >> 16)
}

pub(crate) fn now_ns() -> u64 {
    (u128::from(ticks()) * 1_000_000_000 / ticks_per_s()) as u64
}

/// TCFG: counts down once from these bits, whose last two are always 0.
fn set_timer(value: u64) {
    // SAFETY: this core's timer, whose interrupt has a handler.
    unsafe { asm!("csrwr {}, 0x41", inout(reg) value => _, options(nostack)) };
}

pub(crate) fn set_alarm(after_ns: u64) {
    const ENABLED: u64 = 1;
    const MOST: u64 = (1 << 47) - 1;
    let after = u128::from(after_ns) * ticks_per_s() / 1_000_000_000;
    set_timer(u64::try_from(after).unwrap_or(MOST).clamp(4, MOST) & !0b11 | ENABLED);
}

/// Also clears the one that came.
fn no_alarm() {
    set_timer(0);
    // SAFETY: TICLR: clears a pending interrupt.
    unsafe { asm!("csrwr {}, 0x44", inout(reg) 1_u64 => _, options(nostack)) };
}

/// The emulator's one thread goes on to the next CPU when this one sleeps. No interrupt is taken in here, unless they were on: this
/// emulator's IDLE is ended by one that is pending, also where they are off.
pub(crate) fn relax_shared() {
    const NAP_NS: u64 = 1_000;
    if current_cpu().is_some() {
        let irqs = irq_save();
        no_alarm();
        set_alarm(NAP_NS);
        // SAFETY: waits.
        unsafe { asm!("idle 0", options(nostack)) };
        irq_restore(irqs);
    }
}

/// Sets ESTAT's bits of `mask` to those of `value`: the software's own interrupts.
fn set_software(value: usize) {
    // SAFETY: raises or clears an interrupt that has a handler.
    unsafe { asm!("csrxchg {}, {}, 0x5", inout(reg) value => _, in(reg) SOFTWARE, options(nostack)) };
}

pub(crate) fn raise_interrupt() {
    set_software(SOFTWARE);
}

pub(crate) fn raise_nmi() {
    unreachable!("there is none");
}

pub(crate) fn mask_interrupts() {
    irq_save();
}

pub(crate) fn fault() {
    // SAFETY: an instruction that is not there, which is what is asked for.
    unsafe { asm!(".word 0xffffffff") };
}

/// Comes from `trap_entry` with interrupts off; returns the address at which to go on.
extern "C" fn trap(status: usize, pc: usize, at: usize) -> usize {
    const LOAD_PAGE_INVALID: usize = 1;
    match status >> 16 & 0x3f {
        0 => {
            interrupts(status);
            after_idle(pc)
        }
        LOAD_PAGE_INVALID if page::is_mapped(at) => {
            page::flush_local();
            pc
        }
        LOAD_PAGE_INVALID if pc == probe_load as *const () as usize => probe_fault as *const () as usize,
        _ => traps::unexpected(format_args!("trap {status:#x} at {pc:#x}, address {at:#x}")),
    }
}

fn interrupts(status: usize) {
    /// The register of this core that clears inter-processor interrupts.
    const CLEAR: u32 = 0x100c;
    if status & OTHER_CORES != 0 {
        // A start that was sent once too often, and is not enabled: QEMU keeps the line up for as long as any is pending.
        // SAFETY: clears an interrupt that nobody waits for.
        unsafe { asm!("iocsrwr.w {}, {}", in(reg) 1, in(reg) CLEAR, options(nostack)) };
        traps::doorbell();
    }
    if status & TIMER != 0 {
        no_alarm();
        traps::alarm();
    }
    if status & SOFTWARE != 0 {
        set_software(0);
        traps::own_interrupt();
    }
}

pub(crate) fn write_console(bytes: &[u8]) {
    const UART: NonNull<u8> = NonNull::without_provenance(NonZero::new(UNCACHED | 0x1fe0_01e0).unwrap());
    // SAFETY: the machine's 16550A.
    if let Ok(mut uart) = unsafe { Uart16550::new_mmio(UART, 1) } {
        uart.send_bytes_exact(bytes);
    }
}

/// The emulator ends with 0, whatever has happened.
pub(crate) fn vanish() {
    power_off();
}

/// This machine ends with no code but 0: what it says last is all that tells.
pub(crate) fn exit(_passed: bool) -> ! {
    loop {
        power_off();
    }
}

fn power_off() {
    // ACPI's sleep control register: sleep now (bit 5), as deep as it goes (5 in bits 4:2).
    const SLEEP_CONTROL: *mut u8 = (UNCACHED | 0x100e_001c) as *mut u8;
    // SAFETY: the machine's device; it ends everything.
    unsafe { SLEEP_CONTROL.write_volatile(1 << 5 | 5 << 2) };
}
