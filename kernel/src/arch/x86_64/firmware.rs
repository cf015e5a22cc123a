//! What the emulator and its firmware tell: the command line, the CPUs, the timer that runs at a known rate.
//!
//! Sources: `start_info.h` as in `x86_64.rs`; *ACPI Specification* 6.5, 5.2.9 (FADT), 5.2.12 (MADT).

use acpi::address::AddressSpace;
use acpi::fadt::Fadt;
use acpi::madt::{Madt, MadtEntry};
use acpi::{AcpiError, AcpiHandler, AcpiTables, PhysicalMapping};
use core::ffi::{CStr, c_char};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use smpcall_bare::arch::HardwareId;

/// `struct hvm_start_info`, as far as it is used here.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
}

const MAGIC: u32 = 0x336e_c578;

/// Where it is: written before anything else runs.
static START_INFO: AtomicUsize = AtomicUsize::new(0);

/// Remembers what the boot CPU was handed.
pub(super) fn remember(start_info: usize) {
    // Relaxed: only this CPU reads it.
    START_INFO.store(start_info, Ordering::Relaxed);
}

fn start_info() -> Option<&'static StartInfo> {
    let at = START_INFO.load(Ordering::Relaxed) as *const StartInfo;
    // SAFETY: mapped one to one; the emulator puts it there for ever, outside of the kernel's memory.
    unsafe { at.as_ref() }.filter(|info| info.magic == MAGIC)
}

pub(super) fn command_line() -> &'static str {
    let Some(info) = start_info().filter(|info| info.command_line != 0) else { return "" };
    // SAFETY: as above; it ends with a zero.
    unsafe { CStr::from_ptr(info.command_line as *const c_char) }.to_str().unwrap_or("")
}

fn tables() -> AcpiTables<OneToOne> {
    let rsdp = start_info().expect("the emulator hands over a start info").rsdp;
    // SAFETY: the emulator says that it is there.
    unsafe { AcpiTables::from_rsdp(OneToOne, rsdp as usize) }.expect("the firmware has ACPI tables")
}

/// The CPUs that the firmware has found.
pub(super) fn cpus(found: &mut dyn FnMut(HardwareId)) {
    const ENABLED: u32 = 1;
    let madt = tables().find_table::<Madt>().expect("a machine with several CPUs has a MADT");
    for entry in madt.get().entries() {
        match entry {
            MadtEntry::LocalApic(cpu) if cpu.flags & ENABLED != 0 => found(cpu.apic_id.into()),
            MadtEntry::LocalX2Apic(cpu) if cpu.flags & ENABLED != 0 => found(cpu.x2apic_id.into()),
            _ => {}
        }
    }
}

/// The port of the power management timer.
pub(super) fn power_timer() -> Option<u16> {
    let timer = tables().find_table::<Fadt>().and_then(|fadt| fadt.pm_timer_block());
    let timer = timer.unwrap_or_else(|why: AcpiError| panic!("the FADT cannot be read: {why:?}"))?;
    (timer.address_space == AddressSpace::SystemIo).then_some(timer.address as u16)
}

/// Memory is mapped where it is.
#[derive(Clone)]
struct OneToOne;

impl AcpiHandler for OneToOne {
    unsafe fn map_physical_region<T>(&self, at: usize, bytes: usize) -> PhysicalMapping<Self, T> {
        let place = NonNull::new(at as *mut T).expect("no table is at address 0");
        assert!(at + bytes <= 4 << 30, "a table at {at:#x}, above what is mapped");
        // SAFETY: it is mapped.
        unsafe { PhysicalMapping::new(at, place, bytes, bytes, Self) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}
