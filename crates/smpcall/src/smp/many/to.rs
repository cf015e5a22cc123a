//! Whom a multicast is for, and whom it reached.

use crate::mask::CpuMask;

/// Whom a multicast is for. CPUs that are offline are left out, and counted.
///
/// ```
/// use smpcall::{CpuSet, ManyError, Platform, Reached, Smp, Storage, To};
///
/// fn some<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<[Reached; 2], ManyError> {
///     let mut mask = CpuSet::<1>::new();
///     mask.insert(3);
///     let odd = smp.call_many(To::If(&mut |cpu| cpu % 2 == 1), || ())?;
///     Ok([odd, smp.call_many(To::Mask(&mask), || ())?])
/// }
/// ```
pub enum To<'a> {
    /// All CPUs but the caller's.
    Others,
    /// All CPUs. The caller's own runs last, inline.
    All,
    /// The CPUs of a mask; the caller's own last.
    Mask(&'a CpuMask),
    /// Each CPU for which this says yes. It is asked on the caller, once for each CPU, interrupts on; the caller's own last.
    If(&'a mut dyn FnMut(u32) -> bool),
}

impl core::fmt::Debug for To<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Others => f.write_str("Others"),
            Self::All => f.write_str("All"),
            Self::Mask(mask) => mask.fmt(f),
            Self::If(_) => f.write_str("If"),
        }
    }
}

/// Whom the caller of a multicast waits for ([`Smp::many_copied`](crate::Smp::many_copied)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// All that are meant, until they have run the function.
    Everybody,
    /// Nobody.
    Nobody,
}

/// Whom a multicast reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// CPUs that have run the function, or, if the caller did not wait, will.
    pub ran: u32,
    /// CPUs that were meant, and offline: there it does not run (P8).
    pub offline: u32,
    /// CPUs that were meant, and left out because they were busy ([`Smp::call_many_idle`](crate::Smp::call_many_idle) only).
    pub busy: u32,
}

impl Reached {
    /// Both together, of which `own_part` is the caller's CPU.
    pub(super) fn and(self, own_part: Self) -> Self {
        Self { ran: self.ran + own_part.ran, offline: self.offline + own_part.offline, ..self }
    }
}
