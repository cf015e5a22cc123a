//! The gate on what calls cost: virtual time counts instructions, so the same kernel takes the same time in every run, and a path
//! that grows shows. The figures that were accepted are in `xtask/icount.toml`.

use super::{Arch, Boot};
use crate::sh;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;

/// How much a figure may differ from the accepted one: compilers differ a little.
const TOLERANCE_PERCENT: u64 = 25;

type Figures = BTreeMap<String, u64>;

/// Runs the bench twice, and demands the same figures, near those that were accepted.
pub(crate) fn gate(arch: Arch) -> Result<()> {
    let boot = Boot { icount: true, ..Boot::new(arch, 4, "bench") };
    let (first, second) = (figures(&super::run(&boot)?)?, figures(&super::run(&boot)?)?);
    if first != second {
        bail!("two runs that count instructions differ: {first:?} and {second:?}");
    }
    let path = sh::root().join("xtask/icount.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut accepted: BTreeMap<String, Figures> = toml::from_str(&text)?;
    let accepted = accepted.remove(arch.name()).unwrap_or_default();
    let off = strays(&first, &accepted);
    for (name, ns) in &first {
        println!("  {name:<24} {ns:>8} ns, accepted {:>8}", accepted.get(name).copied().unwrap_or(0));
    }
    if !off.is_empty() {
        bail!(
            "more than {TOLERANCE_PERCENT} % off what xtask/icount.toml has for {}: {}",
            arch.name(),
            off.join(", ")
        );
    }
    Ok(())
}

/// `ok NAME: 123 ns (...)`, for each result.
fn figures(log: &str) -> Result<Figures> {
    let read = |line: &str| {
        let (name, rest) = line.trim_end().strip_prefix("ok ")?.split_once(": ")?;
        Some((name.to_owned(), rest.split_once(" ns")?.0.parse().ok()?))
    };
    let figures: Figures = log.lines().filter_map(read).collect();
    if figures.is_empty() {
        bail!("the bench gave no figures");
    }
    Ok(figures)
}

/// The figures that are missing on either side, or too far from each other.
fn strays(measured: &Figures, accepted: &Figures) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = measured.keys().chain(accepted.keys()).collect();
    let strays = names.into_iter().filter(|name| match (measured.get(*name), accepted.get(*name)) {
        (Some(is), Some(was)) => is.abs_diff(*was) * 100 > was * TOLERANCE_PERCENT,
        _ => true,
    });
    strays.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(figures: &[(&str, u64)]) -> Figures {
        figures.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect()
    }

    #[test]
    fn figures_are_read_from_the_log() {
        let log =
            "smpcall kernel: 2 results\r\nok call: 1200 ns (1200 to 1300)\r\nok busy: 37 ns (30 to 97)\r\n";
        assert_eq!(figures(log).unwrap(), of(&[("call", 1200), ("busy", 37)]));
        assert!(figures("smpcall kernel: passed\n").is_err());
    }

    #[test]
    fn what_is_far_off_or_missing_strays() {
        let accepted = of(&[("call", 100), ("busy", 40)]);
        assert!(strays(&of(&[("call", 125), ("busy", 30)]), &accepted).is_empty());
        assert_eq!(strays(&of(&[("call", 126), ("busy", 40)]), &accepted), ["call"]);
        assert_eq!(strays(&of(&[("call", 100)]), &accepted), ["busy"]);
        assert_eq!(strays(&of(&[("call", 100), ("busy", 40), ("new", 1)]), &accepted), ["new"]);
    }
}
