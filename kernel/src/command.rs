//! The command line: words, each `name=value`.

use crate::idle;
use crate::programs::Program;
use core::fmt;
use core::str::FromStr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What the kernel was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    pub(crate) what: Program,
    /// How long, where that can be chosen.
    pub(crate) seconds: u32,
    /// How often, where that can be chosen.
    pub(crate) rounds: u32,
    /// What random numbers begin with.
    pub(crate) seed: u64,
    /// Whether the CPUs take turns on one core.
    pub(crate) shared_core: bool,
}

/// A word that cannot be used.
#[derive(Debug)]
pub(crate) enum BadWord<'a> {
    NoValue(&'a str),
    UnknownName(&'a str),
    BadNumber(&'a str),
    UnknownWhat(&'a str),
}

impl fmt::Display for BadWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(word) => write!(f, "`{word}` has no value; words are name=value"),
            Self::UnknownName(name) => {
                write!(
                    f,
                    "unknown word `{name}`; there are what, seconds, rounds, seed, shared-core, apic=xapic"
                )
            }
            Self::BadNumber(text) => write!(f, "`{text}` is no number"),
            Self::UnknownWhat(name) => {
                write!(f, "cannot run `{name}`; there are")?;
                Program::ALL.iter().try_for_each(|what| write!(f, " {}", what.name()))
            }
        }
    }
}

impl Command {
    pub(crate) fn parse(line: &str) -> Result<Self, BadWord<'_>> {
        let mut command =
            Self { what: Program::Conformance, seconds: 10, rounds: 10, seed: 1, shared_core: false };
        for word in line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').ok_or(BadWord::NoValue(word))?;
            match name {
                "what" => command.what = Program::named(value).ok_or(BadWord::UnknownWhat(value))?,
                "seconds" => command.seconds = number(value)?,
                "rounds" => command.rounds = number(value)?,
                "seed" => command.seed = number(value)?,
                "shared-core" => command.shared_core = number::<u8>(value)? != 0,
                // x86-64 looks for this by itself, earlier: interrupts by the xAPIC, though there is an x2APIC.
                "apic" if value == "xapic" => {}
                _ => return Err(BadWord::UnknownName(name)),
            }
        }
        Ok(command)
    }

    /// Makes it known to all CPUs, which start later.
    pub(crate) fn install(self) {
        // Relaxed, here and below: the other CPUs start after this, and a start synchronises.
        WHAT.store(self.what as u32, Ordering::Relaxed);
        SECONDS.store(self.seconds, Ordering::Relaxed);
        ROUNDS.store(self.rounds, Ordering::Relaxed);
        SEED.store(self.seed, Ordering::Relaxed);
        if self.shared_core {
            idle::share_the_core();
        }
    }

    /// What was installed.
    pub(crate) fn get() -> Self {
        Self {
            // Relaxed: see `install`.
            what: Program::ALL[WHAT.load(Ordering::Relaxed) as usize],
            seconds: SECONDS.load(Ordering::Relaxed),
            rounds: ROUNDS.load(Ordering::Relaxed),
            seed: SEED.load(Ordering::Relaxed),
            shared_core: idle::core_is_shared(),
        }
    }
}

static WHAT: AtomicU32 = AtomicU32::new(0);
static SECONDS: AtomicU32 = AtomicU32::new(0);
static ROUNDS: AtomicU32 = AtomicU32::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);

fn number<N: FromStr>(text: &str) -> Result<N, BadWord<'_>> {
    text.parse().map_err(|_| BadWord::BadNumber(text))
}
