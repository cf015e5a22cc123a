//! A short text with no allocator: what does not fit is cut off.

use core::fmt;

/// Up to `N` bytes of text.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// What `args` says, as far as it fits.
    pub(crate) fn of(args: fmt::Arguments<'_>) -> Self {
        let mut text = Self::new();
        // Never an error: `write_str` cuts off instead, and what implements Debug here does not fail by itself.
        let _ = fmt::Write::write_fmt(&mut text, args);
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        // `write_str` cuts at a character's boundary, so this is always text.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut take = more.len().min(N - self.len);
        while !more.is_char_boundary(take) {
            take -= 1;
        }
        self.bytes[self.len..self.len + take].copy_from_slice(&more.as_bytes()[..take]);
        self.len += take;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn what_does_not_fit_is_cut_off_between_characters() {
        assert_eq!(Text::<8>::of(format_args!("{}-{}", 12, "ab")).as_str(), "12-ab");
        assert_eq!(Text::<4>::of(format_args!("abcdef")).as_str(), "abcd");
        assert_eq!(Text::<4>::of(format_args!("abc\u{e9}")).as_str(), "abc", "a half character is none");
        assert_eq!(Text::<4>::of(format_args!("abc{}", "\u{e9}z")).as_str(), "abc");
    }
}
