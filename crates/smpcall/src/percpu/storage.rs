//! Where a machine's CPUs lie.

use super::PerCpu;

/// Memory for a machine's CPUs, handed in by the user. Sealed: it must be the machine's alone, and stay in place.
///
/// `[PerCpu; N]` (a count chosen at compile time), `&'static mut [PerCpu]` (chosen at start, without an allocator), or
/// `Box<[PerCpu]>` (feature `alloc`).
pub trait Storage: sealed::Sealed {
    /// The CPUs, by number.
    fn cpus(&self) -> &[PerCpu];
}

mod sealed {
    pub trait Sealed {
        /// Whether the CPUs lie in the value itself, so that safe code can move them (I13).
        const MOVES: bool;
    }
}

impl<const N: usize> sealed::Sealed for [PerCpu; N] {
    const MOVES: bool = true;
}
impl<const N: usize> Storage for [PerCpu; N] {
    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self
    }
}

impl sealed::Sealed for &'static mut [PerCpu] {
    const MOVES: bool = false;
}
impl Storage for &'static mut [PerCpu] {
    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self
    }
}

#[cfg(feature = "alloc")]
impl sealed::Sealed for alloc::boxed::Box<[PerCpu]> {
    const MOVES: bool = false;
}
#[cfg(feature = "alloc")]
impl Storage for alloc::boxed::Box<[PerCpu]> {
    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self
    }
}
