//! A value of one's own for each CPU, reached from call context without a lock.
//!
//! # Invariants
//!
//! - **I22** Who turned `in_use` from 0 to 1 has the value alone until it turns it back.
//!
//! By that alone it is sound, whoever comes: a second machine's CPU of the same number, a function that is called by a
//! function, an NMI. That nobody is ever refused but by such a one is what call context is for: a CPU is in one at a time, and is
//! not preempted there.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | taken | Acquire | given back | a CPU that another thread has become misses what the last one wrote (P11) |
//! | given back | Release | taken | the other half of the same |

use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::smp::Smp;
use crate::sync::{AtomicU32, Ordering, SharedCell, const_unless_loom};
use core::fmt;

/// A value of one CPU: of an array, or a slice, with one for each CPU of a machine. Reached with [`Smp::with_local`].
///
/// ```
/// use smpcall::{LocalError, PerCpuCell, Platform, Smp, Storage};
///
/// static HITS: [PerCpuCell<u64>; 8] = [const { PerCpuCell::new(0) }; 8];
///
/// /// To be called by functions that run on a CPU.
/// fn hit<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u64, LocalError> {
///     smp.with_local(&HITS, |hits| {
///         *hits += 1;
///         *hits
///     })
/// }
/// ```
#[repr(align(128))]
pub struct PerCpuCell<T> {
    in_use: AtomicU32,
    value: SharedCell<T>,
}

// SAFETY: by I22 one at a time has the value, and it may be another thread each time: hence `T: Send`.
unsafe impl<T: Send> Sync for PerCpuCell<T> {}
// SAFETY: it goes with what it holds.
unsafe impl<T: Send> Send for PerCpuCell<T> {}

impl<T> PerCpuCell<T> {
    const_unless_loom! {
        /// A cell with that value.
        pub fn new(value: T) -> Self {
            Self { in_use: AtomicU32::new(0), value: SharedCell::new(value) }
        }
    }

    /// Returns the value of a cell that is the caller's alone.
    ///
    /// ```
    /// use smpcall::PerCpuCell;
    ///
    /// let mut cells = [PerCpuCell::new(1), PerCpuCell::new(2)];
    /// *cells[1].get_mut() += 1;
    /// assert_eq!(cells.each_mut().map(|cell| *cell.get_mut()), [1, 3]);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        let at = self.value.with_mut(|value| value);
        // SAFETY: `&mut self`.
        unsafe { &mut *at }
    }

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, LocalError> {
        // Acquire: sees what the last one wrote; pairs with `GiveBack`.
        if self.in_use.swap(1, Ordering::Acquire) != 0 {
            return Err(LocalError::InUse);
        }
        let _back = GiveBack(&self.in_use);
        // SAFETY: by I22.
        Ok(self.value.with_mut(|value| f(unsafe { &mut *value })))
    }
}

/// Gives a cell back, also when the function panics.
struct GiveBack<'a>(&'a AtomicU32);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        // Release: publishes what was written to the value; pairs with `with`.
        self.0.store(0, Ordering::Release);
    }
}

impl<T> fmt::Debug for PerCpuCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerCpuCell").finish_non_exhaustive()
    }
}

/// Why a CPU's cell was not reached. The function was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalError {
    /// The caller is not in call context on a CPU of this machine: call a CPU, or one's own, and reach for it there.
    NotInCall,
    /// The slice has no cell for this CPU.
    NoCell,
    /// Somebody has it: the function that this one is called by, or a CPU of another machine.
    InUse,
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInCall => "the caller is not in call context",
            Self::NoCell => "there is no cell for this CPU",
            Self::InUse => "the cell of this CPU is in use",
        })
    }
}

impl core::error::Error for LocalError {}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Calls `f` with the value that belongs to the caller's CPU, of a slice with one for each.
    ///
    /// Context: call context of this machine, that is, inside a function that it runs; a call to one's own CPU will do.
    /// Progress: wait-free; one read-modify-write, on a line that only this CPU touches.
    ///
    /// # Errors
    ///
    /// [`LocalError`].
    ///
    /// ```
    /// use smpcall::{LocalError, PerCpuCell, Platform, Smp, Storage};
    ///
    /// static COUNTS: [PerCpuCell<u64>; 8] = [const { PerCpuCell::new(0) }; 8];
    ///
    /// /// In a function that was posted, say.
    /// fn count<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), LocalError> {
    ///     smp.with_local(&COUNTS, |count| *count += 1)
    /// }
    /// ```
    #[inline]
    pub fn with_local<T: Send, R>(
        &self,
        cells: &[PerCpuCell<T>],
        f: impl FnOnce(&mut T) -> R,
    ) -> Result<R, LocalError> {
        // A caller in thread context must not be moved between the two looks.
        let irq = IrqGuard::new(self.platform());
        let here = self.cpu_in_call();
        drop(irq);
        let cpu = here.ok_or(LocalError::NotInCall)?;
        cells.get(cpu as usize).ok_or(LocalError::NoCell)?.with(f)
    }
}
