//! Lines of different writers, kept apart.

use crate::sync::const_unless_loom;

/// What keeps lines of different writers apart: two 64-byte lines, since some CPUs fetch pairs.
#[repr(align(128))]
pub(crate) struct Line<T>(T);

impl<T> Line<T> {
    const_unless_loom! {
        pub(crate) fn new(content: T) -> Self { Self(content) }
    }
}

impl<T> core::ops::Deref for Line<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
