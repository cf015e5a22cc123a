//! A probe's file: the two threads of a race, in Rust, each a function that is compiled among the core's sources, and in front of them
//! a comment that says what must not come about, and which mutants must make it come about on which machines.
//!
//! ```text
//! //! P2: what races with what.
//! //! before: word=257, slot+64=2             (what the arguments hold; else 0)
//! //! never: P0=1 P1=0                        (what the threads return, or what is left in a place: word=0)
//! //! mutant ID, ID: aarch64-lse riscv64      (those on which it is seen; on the others the code allows it no more than before)
//! #[unsafe(no_mangle)]
//! extern "C" fn busy_p0(word: &State, x: &AtomicU32) -> u32 { … }
//! ```

use super::path::APART;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// One file.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) text: String,
    /// The labels of the threads' functions, and the places of their arguments.
    pub(super) threads: [(String, Vec<u64>); 2],
    pub(super) before: BTreeMap<u64, u64>,
    pub(super) never: Vec<Outcome>,
    pub(super) mutants: Vec<Seen>,
    arguments: Vec<String>,
}

/// What comes of both threads together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) returns: [Option<u64>; 2],
    pub(super) left: Vec<(u64, u64)>,
}

/// Mutants, and the machines on which they are seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) ids: Vec<String>,
    pub(super) on: BTreeSet<String>,
}

impl Probe {
    pub(super) fn parse(name: &str, text: &str, machines: &[&str]) -> Result<Probe> {
        let mut arguments = Vec::new();
        let mut thread = |at: usize| -> Result<(String, Vec<u64>)> {
            let function = format!("{}_p{at}", name.replace('-', "_"));
            let (_, rest) =
                text.split_once(&format!("fn {function}(")).context("a thread has no function")?;
            let (list, _) = rest.split_once(')').context("its arguments do not end")?;
            let names = list.split(", ").filter_map(|argument| argument.split_once(':'));
            let places = names.map(|(name, _)| {
                let nth = arguments.iter().position(|of| of == name).unwrap_or_else(|| {
                    arguments.push(name.to_owned());
                    arguments.len() - 1
                });
                (1 + nth as u64) * APART
            });
            Ok((function, places.collect()))
        };
        let threads = [thread(0)?, thread(1)?];
        let mut probe = Probe {
            name: name.to_owned(),
            text: text.to_owned(),
            threads,
            before: BTreeMap::new(),
            never: Vec::new(),
            mutants: Vec::new(),
            arguments,
        };
        for line in text.lines().filter_map(|line| line.strip_prefix("//! ")) {
            if let Some(list) = line.strip_prefix("before: ") {
                for (place, value) in pairs(list, ", ") {
                    probe.before.insert(probe.place(place?)?, value?);
                }
            } else if let Some(list) = line.strip_prefix("never: ") {
                let mut outcome = Outcome::default();
                for (what, value) in pairs(list, " ") {
                    match what? {
                        "P0" => outcome.returns[0] = Some(value?),
                        "P1" => outcome.returns[1] = Some(value?),
                        place => outcome.left.push((probe.place(place)?, value?)),
                    }
                }
                probe.never.push(outcome);
            } else if let Some(row) = line.strip_prefix("mutant ") {
                let (ids, on) = row.split_once(": ").context("a mutant without `: `")?;
                let on: BTreeSet<String> = on.split(' ').map(str::to_owned).collect();
                ensure!(on.iter().all(|name| machines.contains(&name.as_str())), "no machine of {on:?}");
                probe.mutants.push(Seen { ids: ids.split(", ").map(str::to_owned).collect(), on });
            }
        }
        ensure!(!probe.never.is_empty(), "no `never: `");
        ensure!(!probe.mutants.is_empty(), "no mutant: nothing shows that it can fail");
        Ok(probe)
    }

    fn place(&self, text: &str) -> Result<u64> {
        let (name, offset) = text.split_once('+').unwrap_or((text, "0"));
        let nth = self.arguments.iter().position(|of| of == name);
        let nth = nth.with_context(|| format!("no thread has an argument `{name}`"))?;
        Ok((1 + nth as u64) * APART + offset.parse::<u64>()?)
    }

    /// What a place is called: never as an instruction is.
    pub(super) fn name_of(&self, place: u64) -> String {
        let name = &self.arguments[(place / APART) as usize - 1];
        format!("{name}_{}", place % APART)
    }
}

fn pairs<'a>(list: &'a str, between: &'a str) -> impl Iterator<Item = (Result<&'a str>, Result<u64>)> {
    list.split(between).map(|pair| match pair.trim().split_once('=') {
        Some((name, value)) => (Ok(name), value.parse().with_context(|| format!("`{pair}`"))),
        None => (Err(anyhow::anyhow!("`{pair}` has no `=`")), Ok(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! P1: it.\n//! before: a=1, b+8=2\n//! never: P0=1 P1=0 b=3\n//! mutant m, n: arm\n\
                        fn t_p0(a: &A, b: &B) -> u32 {}\nfn t_p1(b: &B) {}\n";

    #[test]
    fn a_probe_is_read() {
        let probe = Probe::parse("t", TEXT, &["arm"]).unwrap();
        assert_eq!(probe.threads[0], ("t_p0".to_owned(), vec![APART, 2 * APART]));
        assert_eq!(probe.threads[1], ("t_p1".to_owned(), vec![2 * APART]));
        assert_eq!(probe.before, BTreeMap::from([(APART, 1), (2 * APART + 8, 2)]));
        assert_eq!(probe.never, [Outcome { returns: [Some(1), Some(0)], left: vec![(2 * APART, 3)] }]);
        assert_eq!(probe.mutants[0].ids, ["m", "n"]);
        assert_eq!((probe.name_of(APART), probe.name_of(2 * APART + 8)), ("a_0".into(), "b_8".into()));
    }

    #[test]
    fn what_can_show_nothing_is_refused() {
        for (from, to) in
            [("mutant", "mutants"), ("never", "ever"), (": arm", ": vax"), ("t_p1", "u"), ("a=1", "c=1")]
        {
            assert!(Probe::parse("t", &TEXT.replace(from, to), &["arm"]).is_err(), "{from}");
        }
    }
}
