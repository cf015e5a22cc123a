//! KCSAN's reports. Linux is not free of data races of its own: a run fails by a report of an access that the call layer makes, what rides on it, or
//! who tests it; of the others it says what they are about.

use super::tree::Tree;
use super::{Config, layer};
use crate::sh;
use anyhow::{Context, Result};
use std::fs;

/// How a report begins; then comes which functions race.
pub(super) const TITLE: &str = "BUG: KCSAN: ";
/// What is before and behind a report.
const RULE: &str = "==========================";

/// Linux's files whose functions are of the layer, ride on it, or test it. (What is inline in a header counts as of the function that it is in.)
const FILES: [&str; 3] = ["kernel/smp.c", "kernel/scftorture.c", "kernel/irq_work.c"];

/// The log without reports that are not about calls. With other configurations there are none.
pub(super) fn sifted(config: Config, tree: &Tree, log: String) -> Result<String> {
    if config != Config::Kcsan {
        return Ok(log);
    }
    let mut sources = layer::glue()?;
    for file in FILES {
        let path = tree.path.join(file);
        sources += &fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    }
    for file in fs::read_dir(sh::root().join("linux/modules"))? {
        sources += &fs::read_to_string(file?.path())?;
    }
    let (kept, mut others) = sift(&log, |function| is_of_layer(function, &sources));
    others.sort();
    let count = others.len();
    others.dedup();
    println!("  KCSAN: {count} reports that are not about calls{}", if count > 0 { ":" } else { "" });
    others.iter().for_each(|what| println!("    {what}"));
    Ok(kept)
}

/// Ours in Rust are the only such functions in that kernel; ours and Linux's in C stand in these sources, each at the beginning of a line.
fn is_of_layer(function: &str, sources: &str) -> bool {
    let is_rust = function.starts_with("_R") || function.starts_with("_ZN");
    // The compiler's own parts of a function: `name.constprop.0`.
    let name = function.split('.').next().unwrap_or(function);
    let defines = |line: &str| {
        let head = line.split_once('(').map_or("", |(head, _)| head);
        let starts = head.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && head.rsplit([' ', '*']).next() == Some(name)
    };
    is_rust || sources.lines().any(defines)
}

/// The log without those reports in which no access is made by one of these functions, and what those were about.
fn sift(log: &str, is_of_layer: impl Fn(&str) -> bool) -> (String, Vec<String>) {
    let (mut kept, mut others) = (String::new(), Vec::new());
    let mut lines = log.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let Some((_, what)) = line.split_once(TITLE) else {
            kept.push_str(line);
            continue;
        };
        let mut report = vec![line];
        for line in lines.by_ref() {
            report.push(line);
            if line.contains(RULE) {
                break;
            }
        }
        // One that the log's end cuts off counts, and one of which nobody can be read.
        let whole = report.last().is_some_and(|line| line.contains(RULE));
        let who: Vec<_> = accessors(&report).collect();
        if whole && !who.is_empty() && !who.into_iter().any(&is_of_layer) {
            others.push(what.trim().to_owned());
        } else {
            kept.extend(report);
        }
    }
    (kept, others)
}

/// Who makes the accesses of a report: of each stack the first.
fn accessors<'a>(report: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let begins = |line: &str| {
        line.contains(" to 0x") && (line.contains(" by task ") || line.contains(" by interrupt "))
    };
    report.windows(2).filter(move |lines| begins(lines[0])).filter_map(|lines| frame(lines[1]))
}

/// The function of a line of a stack: `[    1.5]  function+0x1/0x2 [module]`.
fn frame(line: &str) -> Option<&str> {
    let (function, rest) = line.split_once("] ")?.1.trim_start().split_once("+0x")?;
    (rest.contains("/0x") && !function.contains(' ')).then_some(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULER: &str = "[    2.0] ==================================================================\n";

    fn report(title: &str, frames: &[&str]) -> String {
        let frames: String = frames.iter().map(|name| format!("[    2.1]  {name}+0x1c/0x50\n")).collect();
        format!(
            "{RULER}[    2.0] {TITLE}data-race in {title}\n[    2.0] \n[    2.0] write to 0xff of 4 bytes by task 1 on cpu 0:\n{frames}\n{RULER}"
        )
    }

    fn sift_here(log: &str) -> (String, Vec<String>) {
        sift(log, |function| {
            is_of_layer(function, "static bool scf_run(int a)\nint smp_call_x(void)\n\tother_a(b);\n")
        })
    }

    #[test]
    fn only_what_nobody_of_the_layer_accesses_is_taken_out() {
        let linux = report("tick_a / tick_b", &["tick_a", "scf_run", "do_idle"]);
        for ours in ["scf_run", "smp_call_x", "scf_run.constprop.0", "_RNvNtCs5_7smpcall3smp4call"] {
            let theirs = report("tick_a / x", &[ours, "tick_a", "do_idle"]);
            let (kept, others) = sift_here(&format!("before\n{linux}between\n{theirs}after\n"));
            assert_eq!(others, ["data-race in tick_a / tick_b"], "{ours}");
            assert!(kept.contains("data-race in tick_a / x") && !kept.contains("tick_b"), "{kept}");
            assert!(kept.starts_with("before\n") && kept.contains("between\n") && kept.ends_with("after\n"));
        }
    }

    #[test]
    fn one_access_of_two_is_enough_and_one_that_nobody_makes_counts() {
        let both = report("a / b", &["tick_a"]).replace(
            "\n\n",
            "\n[    2.2] read to 0xff of 4 bytes by interrupt on cpu 1:\n[    2.2]  scf_run+0x1/0x2\n\n",
        );
        assert!(sift_here(&both).1.is_empty(), "{both}");
        let nobody = report("a / b", &[]);
        assert!(sift_here(&nobody).1.is_empty());
    }

    #[test]
    fn a_report_that_was_cut_off_counts() {
        let cut = report("tick_a / tick_b", &["tick_a"]).replacen(RULER, "", 1).replace(RULER, "");
        let (kept, others) = sift_here(&cut);
        assert!(others.is_empty() && kept.contains(TITLE), "{kept}");
    }

    #[test]
    fn a_frame_is_read_and_nothing_else() {
        assert_eq!(
            frame("[    8.69]  smpcall_planted_race+0x2c/0x48 [smpcall_checks]\n"),
            Some("smpcall_planted_race")
        );
        for other in [
            "[    8.69] value changed: 0x0 -> 0x1\n",
            "[    8.69] \n",
            "no bracket+0x1/0x2",
            "[ 1.0] a b+0x1/0x2",
        ] {
            assert_eq!(frame(other), None, "{other}");
        }
    }

    #[test]
    fn what_the_glue_defines_is_found_in_it() {
        let glue = layer::glue().unwrap();
        assert!(is_of_layer("smp_call_function_single", &glue));
        assert!(is_of_layer("generic_smp_call_function_single_interrupt", &glue));
        assert!(!is_of_layer("schedule", &glue));
    }
}
