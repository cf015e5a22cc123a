//! The console, a line at a time: ArceOS' emergency path, which waits for no worker and allocates nothing.

use core::fmt::{Arguments, Result, Write};

/// The console, as the conformance suite wants it.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> Result {
        self.write_fmt(format_args!("{text}"))
    }

    fn write_fmt(&mut self, text: Arguments<'_>) -> Result {
        ax_runtime::emergency_console::write_fmt(text);
        Ok(())
    }
}

/// Results, which `cargo xtask` reads as it reads those of `kernel/`.
pub type Report = smpcall_conformance::Report<Console>;

/// Writes a line.
pub fn line(text: Arguments<'_>) {
    // The console never fails.
    let _ = Console.write_fmt(format_args!("{text}\n"));
}

/// Writes a line.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => { $crate::console::line(format_args!($($arg)*)) };
}
