//! x86-64: QEMU's `q35` and `pc`, started by the PVH protocol.
//!
//! Sources: Xen's `docs/misc/pvh.pandoc` and `public/arch-x86/hvm/start_info.h` (the entry, and what ebx points to); *Intel 64
//! and IA-32 Architectures Software Developer's Manual* (SDM), volume 3A: 4.5 (four-level paging), 4.10.4 (INVLPG), 6.10 to
//! 6.14 (the IDT in 64-bit mode), 9.4 (starting CPUs), 10.8.5 (to 64-bit mode), 11 (the APIC), 12.5.2 (PCD, PWT); QEMU's
//! `isa-debug-exit`: the emulator ends with what is written, doubled, plus one.
//!
//! | file | what |
//! |---|---|
//! | `boot.s`, `link.ld` | from power-on to 64-bit mode; tables |
//! | `block.rs` | what each CPU has of its own: its number, descriptor tables, special stacks |
//! | `vectors.rs`, `vectors.s` | exceptions and interrupts |
//! | `apic.rs` | the local APIC, in either mode |
//! | `clock.rs` | the time stamp counter, and what it is measured by |
//! | `start.rs` | starting other CPUs |
//! | `firmware.rs` | what ACPI and the emulator tell |
//! | `page.rs` | the page that can be unmapped |

mod apic;
mod block;
mod clock;
mod firmware;
pub(crate) mod page;
mod start;
mod vectors;

use super::STACK_BYTES;
use core::arch::{asm, global_asm};
use smpcall_bare::arch::{Doorbell, HardwareId};
use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};
use x86_64::instructions::port::Port;

pub(crate) use start::StartError;

pub(crate) const NAME: &str = "x86_64";
#[expect(clippy::declare_interior_mutable_const, reason = "each machine has one of its own")]
pub(crate) const DOORBELL: Doorbell = Doorbell::new(vectors::DOORBELL);
pub(crate) const HAS_NMI: bool = true;

/// Stacks by number; the boot CPU's is the first.
static STACKS: block::Stacks<STACK_BYTES> = block::Stacks::new();

global_asm!(
    include_str!("x86_64/boot.s"),
    stacks = sym STACKS,
    stack_bytes = const STACK_BYTES,
    next = sym start::NEXT,
    window = sym page::TABLE,
    window_gigabyte = const page::GIGABYTE,
    boot = sym boot,
    boot_other = sym boot_other,
    options(att_syntax),
);

unsafe extern "C" {
    fn halt_for_good(flag: *mut u32) -> !;
}

extern "C" fn boot(start_info: usize) -> ! {
    block::enter_nobody();
    if let Some(mut uart) = uart() {
        // Without a serial port nobody reads, and the emulator's code is all that there is.
        let _ = uart.init(Config::default());
    }
    vectors::fill();
    vectors::load();
    firmware::remember(start_info);
    mask_old_controllers();
    apic::choose(command_line().split_ascii_whitespace().any(|word| word == "apic=xapic"));
    clock::calibrate();
    start::install();
    crate::boot()
}

extern "C" fn boot_other(cpu: u32) -> ! {
    block::enter_nobody();
    vectors::load();
    apic::enable();
    crate::boot_other(cpu)
}

/// The two 8259s, which the firmware leaves on, with the vectors of exceptions.
fn mask_old_controllers() {
    for port in [0x21, 0xa1] {
        // SAFETY: their mask registers.
        unsafe { Port::<u8>::new(port).write(0xff) };
    }
}

pub(crate) fn doorbell_name() -> &'static str {
    apic::name()
}

pub(crate) fn command_line() -> &'static str {
    firmware::command_line()
}

pub(crate) fn hardware_id() -> HardwareId {
    apic::id()
}

pub(crate) fn discover(found: &mut dyn FnMut(HardwareId)) {
    firmware::cpus(found);
}

pub(crate) fn enter(cpu: u32) {
    block::enter(cpu, apic::id());
    apic::enter();
}

#[inline(always)]
pub(crate) fn current_cpu() -> Option<u32> {
    block::current_cpu()
}

pub(crate) fn start(cpu: u32, id: HardwareId) -> Result<(), StartError> {
    start::start(cpu, id)
}

pub(crate) fn stop() -> ! {
    mask_interrupts();
    let cpu = current_cpu().expect("a CPU stops itself");
    // SAFETY: nothing of this CPU is in use any more but its stack, until the flag is set.
    unsafe { halt_for_good(block::stopped_flag(cpu)) }
}

pub(crate) fn is_stopped(id: HardwareId) -> bool {
    block::is_stopped(id)
}

pub(crate) fn now_ns() -> u64 {
    clock::now_ns()
}

pub(crate) fn set_alarm(after_ns: u64) {
    apic::set_alarm(after_ns);
}

pub(crate) fn raise_interrupt() {
    apic::interrupt_self();
}

pub(crate) fn raise_nmi() {
    apic::nmi_self();
}

pub(crate) fn mask_interrupts() {
    smpcall_bare::arch::irq_save();
}

pub(crate) fn fault() {
    // SAFETY: an invalid instruction, which is what is asked for.
    unsafe { asm!("ud2") };
}

/// A triple fault: the machine resets, and the emulator (`-no-reboot`) ends with 0.
pub(crate) fn vanish() {
    let none = [0_u16; 5];
    // SAFETY: no exception has a handler any more, which is what is asked for.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &none) };
}

/// COM1.
fn uart() -> Option<Uart16550<PioBackend>> {
    // SAFETY: the port of every PC's first serial port.
    unsafe { Uart16550::new_port(0x3f8) }.ok()
}

pub(crate) fn write_console(bytes: &[u8]) {
    if let Some(mut uart) = uart() {
        uart.send_bytes_exact(bytes);
    }
}

pub(crate) fn exit(passed: bool) -> ! {
    // The code is 33 or 35: 0 is what a triple fault ends with.
    let value = if passed { 0x10_u32 } else { 0x11 };
    loop {
        // SAFETY: the machine's device; it ends everything.
        unsafe { Port::new(0xf4).write(value) };
    }
}

/// The PAUSE hint makes the emulator's one thread go on to the next CPU.
pub(crate) fn relax_shared() {
    smpcall_bare::arch::relax();
}
