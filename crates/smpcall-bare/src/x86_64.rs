//! x86-64: fixed interrupts of the local APIC, by its registers in memory (xAPIC) or by model-specific registers (x2APIC).
//!
//! Sources: *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3A: 11.6.1 (interrupt command register),
//! 11.6.2.2 (logical destinations), 11.8.5 (EOI), 11.12.3 (in x2APIC mode a WRMSR to the APIC is not serialising: MFENCE,
//! LFENCE before it), 11.12.9 (its ICR is one 64-bit write), 11.12.10.2 (its logical id); volume 2: STI (the next
//! instruction still runs uninterrupted), HLT, PAUSE.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use smpcall::RingError;

/// A local APIC's id.
pub type HardwareId = u64;

/// RFLAGS.IF: interrupts are on.
const IF: u64 = 1 << 9;

/// What [`irq_save`] hands to [`irq_restore`]: RFLAGS.IF.
#[derive(Clone, Copy, Debug)]
pub struct IrqState(u64);

#[inline(always)]
fn flags() -> u64 {
    let flags: u64;
    // SAFETY: reads the flags. Not `nomem`: it uses the stack.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    flags
}

/// Masks interrupts on this CPU, and returns whether they were on.
#[inline(always)]
pub fn irq_save() -> IrqState {
    let before = flags() & IF;
    // SAFETY: masks interrupts. Not `nomem`: nothing may be moved across.
    unsafe { asm!("cli", options(nostack)) };
    IrqState(before)
}

/// Switches interrupts back to what they were.
#[inline(always)]
pub fn irq_restore(state: IrqState) {
    if state.0 != 0 {
        irqs_on();
    }
}

/// Returns whether interrupts are on.
#[inline(always)]
pub fn irqs_are_on() -> bool {
    flags() & IF != 0
}

/// Switches interrupts on, for a CPU that comes up.
#[inline(always)]
pub fn irqs_on() {
    // STI holds interrupts off for one more instruction; with NOP as that one, they are on from here.
    // SAFETY: unmasks interrupts. Not `nomem`: nothing may be moved across.
    unsafe { asm!("sti", "nop", options(nostack)) };
}

/// One step of a spin.
#[inline(always)]
pub fn relax() {
    core::hint::spin_loop();
}

/// Sleeps until an interrupt, which is taken in here; they are off before and after. None comes between STI and HLT, so none
/// is slept over. (An NMI that the processor lets in there ends STI's delay. The handler of a kernel that takes NMIs from
/// outside returns behind the HLT if it interrupted one.)
#[inline(always)]
pub fn sleep_with_irqs_off() {
    // SAFETY: waits, with interrupts on. Not `nomem`: handlers run in between.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Registers: an offset in the xAPIC's page; in x2APIC mode MSR 0x800 + offset / 16.
const EOI: u32 = 0x0b0;
const LDR: u32 = 0x0d0;
const DFR: u32 = 0x0e0;
const ICR: u32 = 0x300;
const ICR_HIGH: u32 = 0x310;

/// ICR: a fixed interrupt (000 in 10:8), asserted.
const ASSERT: u64 = 1 << 14;
const LOGICAL: u64 = 1 << 11;
const ALL_BUT_SELF: u64 = 0b11 << 18;
/// ICR of the xAPIC: the last interrupt is still being sent.
const PENDING: u32 = 1 << 12;

/// How many CPUs a flat logical destination of the xAPIC can tell apart.
const FLAT: u64 = 8;

/// A vector, and the local APIC that sends it.
///
/// [`Bare`](crate::Bare) rings by it. A kernel that has its own entry for the interrupt, and its own acknowledgement, may send by itself:
///
/// ```
/// use smpcall_bare::arch::Doorbell;
///
/// let mut page = [0_u32; 1024]; // memory, in the place of the APIC's registers
/// let doorbell = Doorbell::new(0xf3);
/// // SAFETY: as good as mapped; and it outlives the doorbell's use.
/// unsafe { doorbell.use_xapic(page.as_mut_ptr()) };
/// doorbell.publish(); // what the other CPU is to see was written before
/// doorbell.ring(2)?;
/// assert!(doorbell.ring_all_others());
/// // The command register has the last: asserted, to all but oneself, that vector.
/// assert_eq!(page[0x300 / 4], 0b11 << 18 | 1 << 14 | 0xf3);
/// # Ok::<(), smpcall::RingError>(())
/// ```
#[derive(Debug)]
pub struct Doorbell {
    vector: u8,
    /// The xAPIC's page, the same address on all CPUs; null: x2APIC mode.
    page: AtomicPtr<u32>,
}

impl Doorbell {
    /// The interrupt with that vector, 32 to 255; in x2APIC mode unless told.
    ///
    /// # Panics
    ///
    /// If vectors below 32 are asked for: those are the processor's exceptions.
    pub const fn new(vector: u8) -> Self {
        assert!(vector >= 32, "the processor's exceptions have the vectors below 32");
        Self { vector, page: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The APICs of this machine are in xAPIC mode, their registers at `page`. Before the first CPU joins.
    ///
    /// # Safety
    ///
    /// `page` maps the local APIC's page of whichever CPU accesses it, uncached, for ever.
    ///
    /// Example: `kernel/src/arch/x86_64/apic.rs`, in the repository.
    pub unsafe fn use_xapic(&self, page: *mut u32) {
        // Relaxed: CPUs that start later are started, and so synchronised with, by the caller.
        self.page.store(page, Ordering::Relaxed);
    }

    /// Prepares this CPU's APIC for logical destinations. Each CPU, before it joins with `id`.
    pub fn prepare(&self, id: HardwareId) {
        // In x2APIC mode the logical id follows from the id, and cannot be written.
        if let Some(page) = self.page() {
            write(page, DFR, u32::MAX);
            // The others have none, whatever the firmware left there.
            write(page, LDR, if id < FLAT { 1 << (24 + id) } else { 0 });
        }
    }

    fn page(&self) -> Option<*mut u32> {
        // Relaxed: as in `use_xapic`.
        let page = self.page.load(Ordering::Relaxed);
        (!page.is_null()).then_some(page)
    }

    /// Orders what this CPU wrote before the interrupts that it sends. The xAPIC's page is uncached: its stores stay behind
    /// earlier ones by themselves.
    pub fn publish(&self) {
        if self.page().is_none() {
            // SAFETY: fences.
            unsafe { asm!("mfence", "lfence", options(nostack)) };
        }
    }

    /// Interrupts the CPU whose APIC has that id. Interrupts are off, but for NMIs.
    ///
    /// # Errors
    ///
    /// None.
    pub fn ring(&self, id: HardwareId) -> Result<(), RingError> {
        self.send(id, ASSERT);
        Ok(())
    }

    /// x2APIC: a cluster is 16 CPUs. xAPIC: the first eight CPUs are one flat group, every other one is alone.
    pub(crate) fn place_of(&self, id: HardwareId) -> (u64, u32) {
        match self.page() {
            None => (id >> 4, (id & 0xf) as u32),
            Some(_) if id < FLAT => (0, id as u32),
            Some(_) => (id, 0),
        }
    }

    /// Interrupts the CPUs of `mask` in that group.
    pub(crate) fn ring_group(&self, group: u64, mask: u64) -> Result<(), RingError> {
        match self.page() {
            None => self.send(group << 16 | mask, ASSERT | LOGICAL),
            Some(_) if group < FLAT => self.send(mask, ASSERT | LOGICAL),
            Some(_) => self.send(group, ASSERT),
        }
        Ok(())
    }

    /// Interrupts all others, by the shorthand "all excluding self", and returns true. CPUs that never started wait for a start-up
    /// interrupt, and take no other. Context: as for [`ring`](Self::ring).
    pub fn ring_all_others(&self) -> bool {
        self.send(0, ASSERT | ALL_BUT_SELF);
        true
    }

    fn send(&self, destination: u64, command: u64) {
        let command = command | u64::from(self.vector);
        let Some(page) = self.page() else {
            return write_msr(ICR, destination << 32 | command);
        };
        // Two registers, and an NMI that comes in between may send as well: it puts back what it found. (Interrupts are off.)
        let found = read(page, ICR_HIGH);
        wait_until_sent(page);
        write(page, ICR_HIGH, (destination << 24) as u32);
        write(page, ICR, command as u32);
        wait_until_sent(page);
        write(page, ICR_HIGH, found);
    }

    /// Tells the APIC that the interrupt was heard: the next one with this vector is a new one.
    pub(crate) fn acknowledge(&self) {
        match self.page() {
            None => write_msr(EOI, 0),
            Some(page) => write(page, EOI, 0),
        }
    }
}

/// The interrupt has left this APIC. That is a matter of the bus, not of the target.
fn wait_until_sent(page: *mut u32) {
    while read(page, ICR) & PENDING != 0 {
        relax();
    }
}

fn read(page: *mut u32, register: u32) -> u32 {
    // SAFETY: `use_xapic` promised the page.
    unsafe { page.byte_add(register as usize).read_volatile() }
}

fn write(page: *mut u32, register: u32, value: u32) {
    // SAFETY: `use_xapic` promised the page.
    unsafe { page.byte_add(register as usize).write_volatile(value) };
}

fn write_msr(register: u32, value: u64) {
    let msr = 0x800 + (register >> 4);
    // SAFETY: a register of the x2APIC, which is what this machine has. Not `nomem`: stores stay in front of it.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: u8 = 0xf0;

    /// A doorbell whose APIC is a page of plain memory.
    fn on_memory(page: &mut [u32; 1024]) -> Doorbell {
        let doorbell = Doorbell::new(VECTOR);
        // SAFETY: plain memory, which takes any access, and outlives the doorbell.
        unsafe { doorbell.use_xapic(page.as_mut_ptr()) };
        doorbell
    }

    fn icr(page: &[u32; 1024]) -> (u32, u32) {
        (page[ICR as usize / 4], page[ICR_HIGH as usize / 4])
    }

    #[test]
    fn x2apic_clusters_are_of_sixteen() {
        let doorbell = Doorbell::new(VECTOR);
        assert_eq!([0, 15, 16, 255].map(|id| doorbell.place_of(id)), [(0, 0), (0, 15), (1, 0), (15, 15)]);
    }

    #[test]
    fn the_first_eight_of_an_xapic_are_a_group_and_the_others_are_alone() {
        let mut page = [0; 1024];
        let doorbell = on_memory(&mut page);
        assert_eq!([0, 7, 8, 63].map(|id| doorbell.place_of(id)), [(0, 0), (0, 7), (8, 0), (63, 0)]);
        doorbell.prepare(3);
        assert_eq!((page[DFR as usize / 4], page[LDR as usize / 4]), (u32::MAX, 1 << 27));
    }

    #[test]
    fn p9_what_an_interrupted_sender_wrote_is_put_back() {
        let mut page = [0; 1024];
        // A sender whom this one interrupts has just written its destination.
        page[ICR_HIGH as usize / 4] = 5 << 24;
        let doorbell = on_memory(&mut page);
        doorbell.ring(9).unwrap();
        assert_eq!(icr(&page), ((ASSERT as u32) | u32::from(VECTOR), 5 << 24));
        doorbell.ring_group(0, 0b101).unwrap();
        assert_eq!(icr(&page), ((ASSERT | LOGICAL) as u32 | u32::from(VECTOR), 5 << 24));
        assert!(doorbell.ring_all_others());
        assert_eq!(icr(&page), ((ASSERT | ALL_BUT_SELF) as u32 | u32::from(VECTOR), 5 << 24));
    }
}
