//! A program in Hermit's kernel, with smpcall in place of the kernel's inter-processor interrupts.
//!
//! What it runs is a word of its command line, `what=`: `cargo xtask integrations hermit` patches the kernel, builds both, starts them in
//! uhyve, and reads what they say.
//!
//! | module | what |
//! |---|---|
//! | [`port`] | the `Platform`: where Hermit and smpcall meet |
//! | [`layer`] | Hermit's TLB shootdown and its wake-ups, on the core |
//! | [`bringup`] | a task on each CPU, which joins; each doorbell is tried once |
//! | [`conformance`], [`bench`] | what it runs |

#![no_std]
#![no_main]

/// Writes a line.
macro_rules! println {
    ($($arg:tt)*) => { hermit::console::_print(format_args!("{}\n", format_args!($($arg)*))) };
}

mod bench;
mod bringup;
mod conformance;
mod layer;
mod port;
mod tasks;

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU32, Ordering};

/// What it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Conformance,
    Bench,
    Deaf,
}

impl What {
    const ALL: [(&'static str, Self); 3] =
        [("conformance", Self::Conformance), ("bench", Self::Bench), ("deaf", Self::Deaf)];

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, what)| *what == self).map_or("", |(name, _)| name)
    }
}

static WHAT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn what() -> What {
    // Relaxed: written before there are other tasks.
    What::ALL[WHAT.load(Ordering::Relaxed) as usize].1
}

/// Hermit starts its program here, in a task of CPU 0.
#[unsafe(no_mangle)]
extern "C" fn main(argc: i32, argv: *const *const c_char, _env: *const *const c_char) {
    let words = (0..usize::try_from(argc).unwrap_or(0)).map(|at| {
        // SAFETY: Hermit hands over so many strings.
        unsafe { CStr::from_ptr(*argv.add(at)) }.to_str().unwrap_or_default()
    });
    let word = words.filter_map(|word| word.strip_prefix("what=")).last().unwrap_or("conformance");
    let Some(what) = What::ALL.iter().position(|(name, _)| *name == word) else {
        println!("smpcall kernel: cannot run `{word}`");
        end(false)
    };
    // Relaxed: the other tasks start after this.
    WHAT.store(what as u32, Ordering::Relaxed);
    port::ask_hermit();
    println!("smpcall kernel: hermit, x2APIC");
    println!("smpcall kernel: {} CPUs, {}", port::cpus(), crate::what().name());
    let passed = match bringup::first_cpu() {
        Ok(()) => match crate::what() {
            What::Conformance => conformance::run(),
            What::Bench => bench::run(),
            What::Deaf => bench::waits_for_the_deaf(),
        },
        Err(why) => {
            println!("smpcall kernel: {why}");
            false
        }
    };
    end(passed)
}

/// Says the last word, and ends the machine.
pub(crate) fn end(passed: bool) -> ! {
    println!("smpcall kernel: {}", if passed { "passed" } else { "failed" });
    hermit::ipi::exit(if passed { 0 } else { 1 })
}

/// What the task of each other CPU does.
pub(crate) fn other_cpu() {
    match what() {
        // Each reports; the reader has only CPU 0's summary.
        What::Conformance => _ = conformance::run(),
        What::Bench if port::here() == 1 => bench::serve(),
        What::Bench if port::here() == 2 => bench::sleep(),
        What::Bench => {}
        // It must not look by itself either.
        What::Deaf => loop {
            port::sleep();
        },
    }
    port::serve_until(|| false);
}
