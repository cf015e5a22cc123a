//! Where the cases put what other CPUs will reach: csds, counts, closures. Memory that is handed in, used once, and never
//! given back.
//!
//! A csd must be `&'static` while it is queued, and a case that failed may leave one queued. So nothing here is ever
//! freed or used twice: what a late function reaches is always still there, and that needs no argument about when. A
//! run of the suite takes some kilobytes for each CPU ([`memory_bytes`]); a second run takes a second memory.
//!
//! One of the three modules of this crate that have `unsafe` in them; the others are [`crate::once`] and [`crate::waker`].
//!
//! # Invariants
//!
//! - **A1** The arena owns the memory it was filled with for ever: it came as `&'static mut`, and is not handed on.
//! - **A2** Each byte is given out at most once: `used` only grows, by read-modify-writes.
//! - **A3** A `Shared<T>`'s first field is the type of what follows, and it is published complete.

use core::any::TypeId;
use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Returns how much memory a run with that many CPUs takes at most, in bytes.
///
/// Example: [`Memory`].
pub const fn memory_bytes(cpus: u32) -> usize {
    64 * 1024 + cpus as usize * 64 * 1024
}

/// Memory for one run, as a `static`: see [`Rig::memory`](crate::Rig::memory).
///
/// ```
/// use smpcall_conformance::{Memory, memory_bytes};
///
/// static MEMORY: Memory<{ memory_bytes(4) }> = Memory::new();
/// assert_eq!(MEMORY.take().map(|memory| memory.len()), Some(memory_bytes(4)));
/// assert!(MEMORY.take().is_none(), "it is there once");
/// ```
#[repr(align(128))]
pub struct Memory<const BYTES: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; BYTES]>,
    taken: AtomicBool,
}

// SAFETY: the bytes are reached only through the one exclusive reference that `take` hands out.
unsafe impl<const BYTES: usize> Sync for Memory<BYTES> {}

impl<const BYTES: usize> Memory<BYTES> {
    /// Makes it; in a `static` it takes no room in the program's file.
    pub const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([const { MaybeUninit::uninit() }; BYTES]),
            taken: AtomicBool::new(false),
        }
    }

    /// Hands it out, the first time.
    #[expect(clippy::mut_from_ref, reason = "the cell is what makes it mutable, and it is handed out once")]
    pub fn take(&'static self) -> Option<&'static mut [MaybeUninit<u8>]> {
        // Relaxed: only chooses who gets it; there is nothing in it yet.
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: `taken` was false, so this is the one reference there will ever be.
        Some(unsafe { &mut *self.bytes.get() })
    }
}

impl<const BYTES: usize> Default for Memory<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> core::fmt::Debug for Memory<BYTES> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Memory").field("bytes", &BYTES).finish_non_exhaustive()
    }
}

/// The memory was too small: see [`memory_bytes`].
#[derive(Debug)]
pub(crate) struct Full;

/// Gives out memory, and never takes it back.
pub(crate) struct Arena {
    base: AtomicPtr<MaybeUninit<u8>>,
    len: AtomicUsize,
    used: AtomicUsize,
}

impl Arena {
    /// An arena with nothing in it.
    pub(crate) const fn new() -> Self {
        Self { base: AtomicPtr::new(null_mut()), len: AtomicUsize::new(0), used: AtomicUsize::new(0) }
    }

    /// Gives it its memory. Called once, before anything is asked of it.
    pub(crate) fn fill(&self, memory: &'static mut [MaybeUninit<u8>]) {
        // Relaxed: whoever asks for memory does so behind a barrier that follows this.
        self.base.store(memory.as_mut_ptr(), Ordering::Relaxed);
        // Release: publishes the base to those who see the length; pairs with `bytes`.
        self.len.store(memory.len(), Ordering::Release);
    }

    /// Returns how many bytes are in use.
    pub(crate) fn used(&self) -> usize {
        // Relaxed: a figure for the reader.
        self.used.load(Ordering::Relaxed)
    }

    fn bytes(&self, size: usize, align: usize) -> Result<*mut u8, Full> {
        // Acquire: sees the base; pairs with `fill`.
        let len = self.len.load(Ordering::Acquire);
        // Relaxed: seen with the length.
        let base = self.base.load(Ordering::Relaxed);
        // Relaxed: a guess; the exchange below decides.
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let pad = base.wrapping_add(used).addr().wrapping_neg() & (align - 1);
            let begin = used.checked_add(pad).ok_or(Full)?;
            let end = begin.checked_add(size).filter(|end| *end <= len).ok_or(Full)?;
            // Relaxed: no byte was written by another before (A2). Failure Relaxed: somebody else took some; once more.
            match self.used.compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: `begin` is within the memory that the arena owns (A1).
                Ok(_) => return Ok(unsafe { base.add(begin) }.cast()),
                Err(now) => used = now,
            }
        }
    }

    /// Puts a value where it stays for ever.
    pub(crate) fn place<T: 'static>(&self, value: T) -> Result<&'static T, Full> {
        let place = self.bytes(size_of::<T>(), align_of::<T>())?.cast::<T>();
        // SAFETY: by A2 these bytes are ours alone; by A1 they are there for ever; `bytes` has seen to size and alignment.
        unsafe {
            place.write(value);
            Ok(&*place)
        }
    }

    /// Puts `len` values in a row.
    pub(crate) fn row<T: 'static>(
        &self,
        len: u32,
        mut value: impl FnMut(u32) -> T,
    ) -> Result<&'static [T], Full> {
        let bytes = size_of::<T>().checked_mul(len as usize).ok_or(Full)?;
        let row = self.bytes(bytes, align_of::<T>())?.cast::<T>();
        for at in 0..len {
            // SAFETY: as for `place`; `at` is less than `len`.
            unsafe { row.add(at as usize).write(value(at)) };
        }
        // SAFETY: as for `place`; all of them were written.
        Ok(unsafe { core::slice::from_raw_parts(row, len as usize) })
    }
}

/// What one CPU made for all, with its type in front (A3).
#[repr(C)]
struct Shared<T> {
    of: TypeId,
    value: T,
}

/// Where one CPU leaves what it made, and the others find it.
pub(crate) struct Desk(AtomicPtr<TypeId>);

impl Desk {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Leaves `value` for the others.
    pub(crate) fn leave<T: Sync + 'static>(&self, arena: &Arena, value: T) -> Result<&'static T, Full> {
        let shared = arena.place(Shared { of: TypeId::of::<T>(), value })?;
        // Release: publishes what was made (A3); pairs with `find`.
        self.0.store(core::ptr::from_ref(shared).cast_mut().cast(), Ordering::Release);
        Ok(&shared.value)
    }

    /// Finds what was left last; `None` if that is of another type, or if there is nothing.
    pub(crate) fn find<T: Sync + 'static>(&self) -> Option<&'static T> {
        // Acquire: sees what was made; pairs with `leave`.
        let shared = self.0.load(Ordering::Acquire);
        // SAFETY: null, or the first field of a `Shared` that is there for ever (A1, A3).
        let of = unsafe { shared.as_ref() }?;
        // SAFETY: by A3 it is a `Shared<T>`, complete, for ever; `T: Sync`, so any CPU may look at it.
        (*of == TypeId::of::<T>()).then(|| unsafe { &(*shared.cast::<Shared<T>>()).value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Arena {
        static MEMORIES: [Memory<256>; 4] = [const { Memory::new() }; 4];
        let arena = Arena::new();
        arena.fill(MEMORIES.iter().find_map(Memory::take).expect("four tests need one each"));
        arena
    }

    #[test]
    fn nothing_is_given_out_twice_and_all_is_aligned() {
        #[repr(align(64))]
        struct Wide(u8);
        let arena = filled();
        let (a, b) = (arena.place(1_u8).unwrap(), arena.place(Wide(2)).unwrap());
        let row = arena.row(3, |at| at * 10).unwrap();
        assert_eq!((*a, b.0, row), (1, 2, &[0, 10, 20][..]));
        assert_eq!(core::ptr::from_ref(b).addr() % 64, 0);
    }

    #[test]
    fn when_it_is_full_it_says_so() {
        assert!(Arena::new().place(1_u8).is_err(), "never filled");
        let arena = filled();
        assert!(arena.place([0_u8; 300]).is_err());
        assert!(arena.row(u32::MAX, |_| [0_u8; 1 << 20]).is_err());
        assert!(arena.place([0_u8; 256]).is_ok());
        assert!(arena.place(1_u8).is_err());
        assert!(arena.place(()).is_ok(), "nothing takes no room");
        assert_eq!(arena.used(), 256);
    }

    #[test]
    fn the_desk_hands_on_one_type_as_no_other() {
        let (arena, desk) = (filled(), Desk::new());
        assert!(desk.find::<u32>().is_none());
        assert_eq!(desk.leave(&arena, 7_u32).unwrap(), &7);
        assert_eq!(desk.find::<u32>(), Some(&7));
        assert!(desk.find::<i32>().is_none());
    }
}
