//! The flags' values.

use smpcall_sim::{Faults, Memory, kind_name, kind_of};
use std::fmt;
use std::str::FromStr;

/// The most CPUs that a machine can have.
const CPUS_MAX: usize = smpcall_host::smpcall::CPUS_MAX;

/// A seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(pub(super) u64);

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_prefix("0x") {
            Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16),
            _ => text.parse(),
        };
        parsed
            .map(Seed)
            .map_err(|_| "a seed is a number of 64 bits, decimal or 0x and hexadecimal".to_owned())
    }
}

/// How many CPUs: from, to, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cpus {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| {
            let number = text.parse().map_err(|_| format!("`{text}` is not a number of CPUs"))?;
            if (1..=CPUS_MAX).contains(&number) {
                Ok(number)
            } else {
                Err(format!("a machine has 1 to {CPUS_MAX} CPUs, not {number}"))
            }
        };
        let cpus = Self { min: number(min)?, max: number(max)? };
        if cpus.min > cpus.max { Err(format!("`{text}` is an empty range")) } else { Ok(cpus) }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.min, self.max)
    }
}

/// How weak memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryFlag(pub(super) Memory);

impl FromStr for MemoryFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tso" => Ok(Self(Memory::Tso)),
            "weak" => Ok(Self(Memory::Weak)),
            _ => Err("memory is `tso` or `weak`".to_owned()),
        }
    }
}

impl fmt::Display for MemoryFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Memory::Tso => "tso",
            Memory::Weak => "weak",
        })
    }
}

/// A kind of call, by the number of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KindFlag(pub(super) usize);

impl FromStr for KindFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        kind_of(text).map(Self).ok_or_else(|| format!("no kind of call is named `{text}`"))
    }
}

impl fmt::Display for KindFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind_name(self.0))
    }
}

/// Which faults.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FaultFlag {
    On,
    Off,
    Rates(Faults),
}

impl FromStr for FaultFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            rates => rates.parse().map(Self::Rates).map_err(|error| format!("{error} (or `on`, or `off`)")),
        }
    }
}

impl fmt::Display for FaultFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            // Rates that are all 0 cannot be written as a list of those that are not.
            Self::Rates(faults) if *faults == Faults::default() => f.write_str("lost=0"),
            Self::Rates(faults) => faults.fmt(f),
        }
    }
}

/// A share of the seeds: the i-th of n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    pub(super) part: u64,
    pub(super) of: u64,
}

impl Partition {
    /// All of them.
    pub(super) const WHOLE: Self = Self { part: 1, of: 1 };

    pub(super) fn has(self, nth: u64) -> bool {
        nth % self.of == self.part - 1
    }

    /// How many of so many.
    pub(super) fn seeds(self, all: u64) -> u64 {
        all / self.of + u64::from(all % self.of >= self.part)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (part, of) = text.split_once('/').ok_or_else(|| format!("`{text}` is not I/N"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
        let (part, of) = (number(part)?, number(of)?);
        if part >= 1 && part <= of {
            Ok(Self { part, of })
        } else {
            Err(format!("there is no part {part} of {of}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        assert_eq!("18446744073709551615".parse(), Ok(Seed(u64::MAX)));
        assert_eq!("0xff".parse(), Ok(Seed(255)));
        for bad in ["", "x", "0x", "0xg", "0x+1", "-1", "1.5", "18446744073709551616"] {
            assert!(bad.parse::<Seed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cpus_are_a_number_or_a_range() {
        assert_eq!("4".parse(), Ok(Cpus { min: 4, max: 4 }));
        let cpus: Cpus = "2..8192".parse().unwrap();
        assert_eq!((cpus, cpus.to_string().parse()), (Cpus { min: 2, max: 8192 }, Ok(cpus)));
        for bad in ["0", "8193", "0..4", "4..8193", "5..4", "..", "2..", "two", "-1"] {
            assert!(bad.parse::<Cpus>().is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_are_on_off_or_rates() {
        assert_eq!("on".parse(), Ok(FaultFlag::On));
        for text in ["on", "off", "lost=0.5,late=1", "lost=0"] {
            let flag: FaultFlag = text.parse().unwrap();
            assert_eq!(flag.to_string().parse(), Ok(flag), "{text}");
        }
        for bad in ["", "maybe", "lost=2", "lost=-1", "gone=0.1"] {
            assert!(bad.parse::<FaultFlag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_are_disjoint_and_together_all() {
        let parts: Vec<Partition> = ["1/3", "2/3", "3/3"].map(|text| text.parse().unwrap()).to_vec();
        assert!((0..30).all(|nth| parts.iter().filter(|part| part.has(nth)).count() == 1));
        for (all, part) in (0..30).flat_map(|all| parts.iter().map(move |part| (all, part))) {
            assert_eq!(
                part.seeds(all),
                (0..all).filter(|nth| part.has(*nth)).count() as u64,
                "{part} of {all}"
            );
        }
        for bad in ["5/4", "0/4", "1/0", "1", "a/b", "-1/4", "1/4/2", ""] {
            assert!(bad.parse::<Partition>().is_err(), "{bad}");
        }
    }
}
