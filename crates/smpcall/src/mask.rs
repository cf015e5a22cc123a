//! Sets of CPUs, in memory of the caller's.

use core::ops::{Deref, DerefMut};

const BITS: usize = usize::BITS as usize;

/// A set of CPUs, by number: one bit each, in words that somebody else owns. As a `str` is to a `String`, this is to
/// [`CpuSet`]; a kernel may also lay it over words of its own.
#[repr(transparent)]
#[derive(PartialEq, Eq)]
pub struct CpuMask([usize]);

impl CpuMask {
    /// Lays a mask over `words`: CPU `n` is bit `n % usize::BITS` of word `n / usize::BITS`.
    ///
    /// ```
    /// use smpcall::CpuMask;
    ///
    /// let mask = CpuMask::from_words(&[0b101]);
    /// assert!(mask.contains(0) && mask.contains(2) && mask.len() == 2);
    /// ```
    pub const fn from_words(words: &[usize]) -> &Self {
        // SAFETY: `repr(transparent)`: a mask is its words, and every value of them is a mask.
        unsafe { &*(core::ptr::from_ref(words) as *const Self) }
    }

    /// As [`Self::from_words`], to be changed.
    ///
    /// ```
    /// use smpcall::CpuMask;
    ///
    /// let mut words = [0]; // a kernel's own
    /// CpuMask::from_words_mut(&mut words).insert(3);
    /// assert_eq!(words, [0b1000]);
    /// ```
    pub fn from_words_mut(words: &mut [usize]) -> &mut Self {
        // SAFETY: as in `from_words`; the borrow is exclusive and stays so.
        unsafe { &mut *(core::ptr::from_mut(words) as *mut Self) }
    }

    /// Returns how many CPUs there is room for.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// assert_eq!(CpuSet::<2>::new().capacity(), 2 * usize::BITS);
    /// ```
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.0.len() * BITS).unwrap_or(u32::MAX)
    }

    /// Returns whether `cpu` is in the set; `false` for one past its room.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// let set = CpuSet::<1>::from_iter([3]);
    /// assert!(set.contains(3) && !set.contains(4) && !set.contains(5_000));
    /// ```
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / BITS).is_some_and(|word| word >> (cpu as usize % BITS) & 1 != 0)
    }

    /// The bits of the CPUs from `first` to the end of its word; 0 past the room.
    pub(crate) fn word(&self, first: u32) -> usize {
        self.0.get(first as usize / BITS).map_or(0, |word| word >> (first as usize % BITS))
    }

    /// Adds a CPU; returns whether it was new.
    ///
    /// # Panics
    ///
    /// If there is no room for that number.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// let mut set = CpuSet::<2>::new(); // room for 128 CPUs
    /// set.insert(3);
    /// set.insert(100);
    /// set.remove(3);
    /// assert!(set.contains(100) && !set.contains(3) && set.len() == 1);
    /// assert_eq!(set.iter().collect::<Vec<_>>(), [100]);
    /// ```
    pub fn insert(&mut self, cpu: u32) -> bool {
        let bit = 1 << (cpu as usize % BITS);
        let word = &mut self.0[cpu as usize / BITS];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes a CPU out; returns whether it was there.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// let mut set = CpuSet::<1>::from_iter([3, 5]);
    /// set.remove(3);
    /// assert_eq!(set, CpuSet::from_iter([5]));
    /// ```
    pub fn remove(&mut self, cpu: u32) -> bool {
        let there = self.contains(cpu);
        if there {
            self.0[cpu as usize / BITS] &= !(1 << (cpu as usize % BITS));
        }
        there
    }

    /// Takes all out.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// let mut set = CpuSet::<1>::from_iter([3, 5]);
    /// set.clear();
    /// assert!(set.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Returns whether nobody is in the set.
    ///
    /// Example: [`CpuMask::clear`](crate::CpuMask::clear).
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Returns the highest number in the set.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// assert_eq!(CpuSet::<2>::from_iter([3, 70]).highest(), Some(70));
    /// assert_eq!(CpuSet::<2>::new().highest(), None);
    /// ```
    pub fn highest(&self) -> Option<u32> {
        let at = self.0.iter().rposition(|word| *word != 0)?;
        Some(at as u32 * usize::BITS + self.0[at].ilog2())
    }

    /// Returns whether anybody from `first` on is in the set.
    #[inline]
    pub(crate) fn has_from(&self, first: u32) -> bool {
        let (at, bit) = ((first / usize::BITS) as usize, first % usize::BITS);
        let Some([first, rest @ ..]) = self.0.get(at..) else { return false };
        first >> bit != 0 || rest.iter().any(|word| *word != 0)
    }

    /// Returns how many are in the set.
    ///
    /// Example: [`CpuMask::from_words`].
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Returns the numbers in the set, lowest first.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// let set = CpuSet::<2>::from_iter([70, 3]);
    /// assert_eq!(set.iter().collect::<Vec<_>>(), [3, 70]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.0).flat_map(|(at, word)| bits_of(*word).map(move |bit| at * usize::BITS + bit))
    }
}

impl core::fmt::Debug for CpuMask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The bits that are set in a word, lowest first.
pub(crate) fn bits_of(mut word: usize) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// A set of CPUs that owns its `WORDS` words: room for `WORDS * usize::BITS` CPUs.
///
/// ```
/// use smpcall::CpuSet;
///
/// let set: CpuSet<2> = [3, 70].into_iter().collect();
/// assert!(set.contains(70) && !set.contains(4) && set.len() == 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CpuSet<const WORDS: usize>([usize; WORDS]);

impl<const WORDS: usize> CpuSet<WORDS> {
    /// A set that nobody is in.
    ///
    /// ```
    /// use smpcall::CpuSet;
    ///
    /// let mut set = CpuSet::<1>::new(); // room for 64 CPUs on a 64-bit machine
    /// set.insert(3);
    /// assert!(set.contains(3));
    /// ```
    pub const fn new() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> Default for CpuSet<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> Deref for CpuSet<WORDS> {
    type Target = CpuMask;

    fn deref(&self) -> &CpuMask {
        CpuMask::from_words(&self.0)
    }
}

impl<const WORDS: usize> DerefMut for CpuSet<WORDS> {
    fn deref_mut(&mut self) -> &mut CpuMask {
        CpuMask::from_words_mut(&mut self.0)
    }
}

impl<const WORDS: usize> FromIterator<u32> for CpuSet<WORDS> {
    /// # Panics
    ///
    /// If there is no room for a number.
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut set = Self::new();
        for cpu in cpus {
            set.insert(cpu);
        }
        set
    }
}

impl<const WORDS: usize> core::fmt::Debug for CpuSet<WORDS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_its_bits() {
        let mut set = CpuSet::<2>::new();
        assert!(set.is_empty() && set.capacity() == 2 * usize::BITS);
        assert!(set.insert(0) && set.insert(usize::BITS) && !set.insert(0));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, usize::BITS]);
        assert_eq!((set.len(), set.contains(1), set.contains(9999)), (2, false, false));
        assert_eq!((set.highest(), CpuSet::<3>::new().highest()), (Some(usize::BITS), None));
        for (from, has) in
            [(0, true), (1, true), (usize::BITS, true), (usize::BITS + 1, false), (9999, false)]
        {
            assert_eq!(set.has_from(from), has, "from {from} on");
        }
        assert!(set.remove(0) && !set.remove(0) && !set.remove(9999));
        assert_eq!(format!("{set:?}"), format!("{{{}}}", usize::BITS));
        set.clear();
        assert_eq!(set, CpuSet::new());
    }

    #[test]
    fn a_mask_lies_over_words_of_others() {
        let mut words = [0, 5];
        let mask = CpuMask::from_words_mut(&mut words);
        assert!(mask.contains(usize::BITS) && mask.contains(usize::BITS + 2) && mask.insert(1));
        assert_eq!(words, [2, 5]);
        assert!(CpuMask::from_words(&[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn a_number_past_the_room_is_no_member() {
        CpuSet::<1>::new().insert(usize::BITS);
    }
}
