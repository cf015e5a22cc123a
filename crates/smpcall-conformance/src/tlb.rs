//! One translation that each CPU keeps by itself: what broadcasts are tried on. [`ToyTlb`] is one without hardware.

use crate::sync::{AtomicU32, Ordering};

/// How far the hardware reaches.
///
/// ```
/// use smpcall_conformance::Reach;
///
/// assert!(Reach::Even.includes(2) && !Reach::Even.includes(3) && !Reach::Nobody.includes(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To all CPUs.
    All,
    /// To those with an even number.
    Even,
    /// To none: a broadcast is refused.
    Nobody,
}

impl Reach {
    /// Whether it reaches that CPU.
    pub fn includes(self, cpu: u32) -> bool {
        match self {
            Self::All => true,
            Self::Even => cpu % 2 == 0,
            Self::Nobody => false,
        }
    }
}

/// A page that can be mapped and unmapped, as each CPU sees it.
///
/// ```
/// use smpcall_conformance::{Reach, Tlb, TlbFault, ToyTlb};
///
/// let tlb = ToyTlb::new();
/// tlb.map(5);
/// assert_eq!((tlb.read(0), tlb.read(1)), (Some(5), Some(5))); // both CPUs have it,
/// tlb.unmap();
/// assert_eq!(tlb.read(1), Some(5)); // and keep it,
/// assert!(tlb.broadcast());
/// assert_eq!(tlb.read(1), None); // until it is thrown out.
///
/// tlb.map(6);
/// assert!(tlb.set_reach(Reach::Even)); // what hardware cannot be told
/// assert_eq!((tlb.read(0), tlb.read(1), tlb.left_out(0, 0b11)), (Some(6), Some(6), 0b10));
/// tlb.unmap();
/// assert!(tlb.broadcast());
/// tlb.drop_here(1); // CPU 1 is called
/// assert_eq!((tlb.read(0), tlb.read(1)), (None, None));
///
/// // One that does not work, to see a suite fail.
/// let broken = ToyTlb::with_fault(TlbFault::Misses);
/// broken.map(7);
/// assert_eq!(broken.read(1), Some(7));
/// broken.unmap();
/// assert!(broken.broadcast());
/// assert_eq!(broken.read(1), Some(7));
/// ```
pub trait Tlb: Sync {
    /// Maps the page, with `value`, not 0, in it. Nobody has it.
    fn map(&self, value: u32);

    /// Unmaps it. Whoever has it keeps it, until it is thrown out there.
    fn unmap(&self);

    /// Returns what the CPU that runs the caller, `cpu`, finds there; `None`: it is not mapped. The CPU has it from now on.
    ///
    /// Context: any but an NMI.
    fn read(&self, cpu: u32) -> Option<u32>;

    /// Has that CPU, which runs the caller, throw out what it has.
    fn drop_here(&self, cpu: u32);

    /// Says how far broadcasts reach from now on; `false` if the hardware is what it is.
    fn set_reach(&self, reach: Reach) -> bool {
        let _ = reach;
        false
    }
}

/// What is wrong with a [`ToyTlb`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlbFault {
    /// Nothing.
    None,
    /// A broadcast does not come to CPU 1, and says that it has.
    Misses,
    /// A broadcast returns before it is done: the next one does it.
    IsLate,
    /// One who is called throws nothing out.
    KeepsItHere,
}

/// As many CPUs as it has entries for; the others keep nothing.
const ENTRIES: usize = 64;
/// An entry that is not there, and one that is being looked up.
const NONE: u32 = 0;
const WALKS: u32 = u32::MAX;

/// An emulated TLB: a table of one page, and for each CPU what it has of it.
///
/// Example: [`Tlb`].
pub struct ToyTlb {
    page: AtomicU32,
    entries: [AtomicU32; ENTRIES],
    reach: AtomicU32,
    fault: TlbFault,
}

impl ToyTlb {
    /// Makes it: nothing is mapped, and broadcasts reach all CPUs.
    #[expect(clippy::new_without_default, reason = "it says that nothing is wrong")]
    pub const fn new() -> Self {
        Self::with_fault(TlbFault::None)
    }

    /// Makes one that does not work.
    pub const fn with_fault(fault: TlbFault) -> Self {
        Self {
            page: AtomicU32::new(NONE),
            entries: [const { AtomicU32::new(NONE) }; ENTRIES],
            reach: AtomicU32::new(Reach::All as u32),
            fault,
        }
    }

    fn reach(&self) -> Reach {
        // Relaxed: set, and asked for, by one CPU.
        [Reach::All, Reach::Even, Reach::Nobody][self.reach.load(Ordering::Relaxed) as usize % 3]
    }

    /// Throws the entry out wherever the hardware reaches; `false`: it reaches nobody.
    pub fn broadcast(&self) -> bool {
        let reach = self.reach();
        let meant =
            |cpu: &usize| reach.includes(*cpu as u32) && !(self.fault == TlbFault::Misses && *cpu == 1);
        if self.fault != TlbFault::IsLate {
            (0..ENTRIES).filter(meant).for_each(|cpu| self.drop_of(cpu));
        }
        reach != Reach::Nobody
    }

    /// Which of the CPUs `first + n`, for each bit `n` of `cpus`, a broadcast leaves out.
    pub fn left_out(&self, first: u32, cpus: usize) -> usize {
        let reach = self.reach();
        let left = |bit: &u32| cpus >> bit & 1 == 1 && !reach.includes(first + bit);
        (0..usize::BITS).filter(left).fold(0, |word, bit| word | 1 << bit)
    }

    fn drop_of(&self, cpu: usize) {
        // AcqRel: a walk that begins after it sees what was unmapped before; one under way does not fill the entry. Pairs with `read`.
        self.entries[cpu].swap(NONE, Ordering::AcqRel);
    }
}

impl Tlb for ToyTlb {
    fn map(&self, value: u32) {
        // Release: a walk that finds it sees what was written before; pairs with `read`.
        self.page.store(value, Ordering::Release);
    }

    fn unmap(&self) {
        // Release: as in `map`.
        self.page.store(NONE, Ordering::Release);
    }

    fn read(&self, cpu: u32) -> Option<u32> {
        // Acquire: pairs with `map` and `unmap`.
        let walk = || self.page.load(Ordering::Acquire);
        let found = |value| if value == NONE { None } else { Some(value) };
        let Some(entry) = self.entries.get(cpu as usize) else { return found(walk()) };
        loop {
            // AcqRel, Acquire: pairs with `drop_of`.
            match entry.compare_exchange(NONE, WALKS, Ordering::AcqRel, Ordering::Acquire) {
                // An interrupt in the middle of a walk: it has a look of its own, and keeps nothing.
                Err(WALKS) => return found(walk()),
                Err(value) => return Some(value),
                Ok(_) => {
                    let value = walk();
                    // AcqRel: as above. Failure Relaxed: it was thrown out meanwhile, and is walked again.
                    if entry.compare_exchange(WALKS, value, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                        return found(value);
                    }
                }
            }
        }
    }

    fn drop_here(&self, cpu: u32) {
        if (cpu as usize) < ENTRIES && self.fault != TlbFault::KeepsItHere {
            self.drop_of(cpu as usize);
        }
    }

    fn set_reach(&self, reach: Reach) -> bool {
        // Relaxed: see `reach`.
        self.reach.store(reach as u32, Ordering::Relaxed);
        true
    }
}

impl core::fmt::Debug for ToyTlb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ToyTlb").field("fault", &self.fault).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_until_it_is_thrown_out() {
        let tlb = ToyTlb::new();
        assert_eq!(tlb.read(0), None);
        tlb.map(5);
        assert_eq!([tlb.read(0), tlb.read(1), tlb.read(99)], [Some(5); 3]);
        tlb.unmap();
        assert_eq!([tlb.read(0), tlb.read(1), tlb.read(2), tlb.read(99)], [Some(5), Some(5), None, None]);
        assert!(tlb.set_reach(Reach::Even) && tlb.broadcast());
        assert_eq!([tlb.read(0), tlb.read(1)], [None, Some(5)]);
        assert_eq!((tlb.left_out(0, 0b111), tlb.left_out(64, 0b110)), (0b010, 0b010));
        tlb.drop_here(1);
        assert_eq!(tlb.read(1), None);
        assert!(tlb.set_reach(Reach::Nobody) && !tlb.broadcast());
    }
}
