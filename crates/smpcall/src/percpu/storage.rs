//! Where a machine's CPUs lie.

use super::PerCpu;

/// Memory for a machine's CPUs, handed in by the user. Sealed: it must be the machine's alone, and stay in place as long as the
/// machine is pinned (P11).
///
/// `[PerCpu; N]` (a count chosen at compile time), `&'static mut [PerCpu]` (chosen at start, without an allocator), or
/// `Box<[PerCpu]>` (feature `alloc`).
///
/// ```
/// use smpcall::{PerCpu, Storage};
///
/// assert_eq!([const { PerCpu::new() }; 4].cpus().len(), 4);
/// ```
pub trait Storage: sealed::Sealed {
    /// The CPUs, by number.
    fn cpus(&self) -> &[PerCpu];
}

mod sealed {
    pub trait Sealed {}
}

impl<const N: usize> sealed::Sealed for [PerCpu; N] {}
impl<const N: usize> Storage for [PerCpu; N] {
    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self
    }
}

impl sealed::Sealed for &'static mut [PerCpu] {}
impl Storage for &'static mut [PerCpu] {
    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self
    }
}

#[cfg(feature = "alloc")]
impl sealed::Sealed for alloc::boxed::Box<[PerCpu]> {}
#[cfg(feature = "alloc")]
impl Storage for alloc::boxed::Box<[PerCpu]> {
    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self
    }
}
