//! Lines on the serial port, each in one piece.

use crate::arch;
use crate::idle::relax;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use smpcall_bare::arch::{irq_restore, irq_save};

/// Whether a CPU is writing a line.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Set when a CPU panics: it writes, whoever else does.
static SEIZED: AtomicBool = AtomicBool::new(false);

/// Writes a line.
macro_rules! println {
    ($($arg:tt)*) => { $crate::console::line(format_args!($($arg)*)) };
}
pub(crate) use println;

/// Writes a line. From any context but an NMI.
pub(crate) fn line(what: fmt::Arguments<'_>) {
    let irqs = irq_save();
    // Acquire: pairs with the release below, so that lines come one after the other. Relaxed: `seize` is for good.
    while TAKEN.swap(true, Ordering::Acquire) && !SEIZED.load(Ordering::Relaxed) {
        relax();
    }
    // The serial port cannot fail.
    let _ = fmt::write(&mut Serial, format_args!("{what}\n"));
    // Release: pairs with the acquire above.
    TAKEN.store(false, Ordering::Release);
    irq_restore(irqs);
}

/// Lets this CPU write whoever holds the console: for a panic.
pub(crate) fn seize() {
    // Relaxed: it is for good, and orders nothing.
    SEIZED.store(true, Ordering::Relaxed);
}

/// A writer for who hands in text bit by bit; a line is complete when it is ended.
pub(crate) struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Serial.write_str(text)
    }
}

struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        arch::write_console(text.as_bytes());
        Ok(())
    }
}
