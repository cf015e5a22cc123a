//! What calls cost on the stock kernel and on ours, side by side.

use super::accel::Accel;
use super::guest::Guest;
use super::tree::Tree;
use super::{Config, Series, Variant, layer, verdict};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// A case's name, and what it is.
const CASES: [(&str, &str); 12] = [
    ("dry", "dry run: the loop alone"),
    ("self", "self, waiting"),
    ("normal", "another CPU, waiting"),
    ("broadcast", "all others, waiting"),
    ("broadcast-lock", "… each takes a lock"),
    ("normal-nowait", "another CPU, without waiting"),
    ("async", "csd to another CPU, until it begins"),
    ("async-self", "csd to oneself"),
    ("any", "`smp_call_function_any`, waiting"),
    ("many-two", "two of a mask, waiting"),
    ("each", "`on_each_cpu`, waiting"),
    ("busy", "csd that is queued: -EBUSY"),
];

/// Boots both kernels, in virtual time, and on threads in so many rounds (or none), in each of which one follows the other; prints the table.
pub(super) fn run(series: Series, config: Config, cpus: u32, rounds: u32) -> Result<()> {
    let stock = Tree::build(series, Variant::Stock, config)?;
    let ours = Tree::build(series, Variant::Ours, config)?;
    let log = bench(&ours, cpus, Accel::Icount)?;
    let virtual_ns = [read(&bench(&stock, cpus, Accel::Icount)?)?, read(&log)?];
    let again = read(&bench(&ours, cpus, Accel::Icount)?)?;
    let threads =
        (0..rounds).map(|round| on_threads(&stock, &ours, cpus, round)).collect::<Result<Vec<_>>>()?;
    table(cpus, &virtual_ns, &threads).iter().for_each(|line| println!("{line}"));
    let apart = virtual_ns[1].iter().zip(&again).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
    println!("\ntwo runs of ours in virtual time: {:.1} % apart at most", apart * 100.0);
    sizes(&stock, &ours, per_cpu(&log)?)
}

/// The lines of the table: stock's virtual time and ours; beside it, if there were rounds on threads, what they took.
fn table(cpus: u32, virtual_ns: &[Vec<f64>; 2], threads: &[[Vec<f64>; 2]]) -> Vec<String> {
    let mut lines = vec![format!("\n{cpus} CPUs, ns per call")];
    let (mut head, mut rule) = ("| | stock | ours | ratio |".to_owned(), "|---|---|---|---|".to_owned());
    if !threads.is_empty() {
        lines[0] += &format!("; on threads medians of {} alternating boots of each", threads.len());
        head += " stock, threads | ours, threads | ratio | least, most |";
        rule += "---|---|---|---|";
    }
    lines.extend([head, rule]);
    for (at, (_, what)) in CASES.iter().enumerate() {
        let [a, b] = [virtual_ns[0][at], virtual_ns[1][at]];
        let mut line = format!("| {what} | {a:.0} | {b:.0} | {:.2} |", b / a);
        if !threads.is_empty() {
            let of = |figure: &dyn Fn(&[Vec<f64>; 2]) -> f64| spread(threads.iter().map(figure).collect());
            let ([_, c, _], [_, d, _]) = (of(&|pair| pair[0][at]), of(&|pair| pair[1][at]));
            let [least, ratio, most] = of(&|pair| pair[1][at] / pair[0][at]);
            line += &format!(" {c:.0} | {d:.0} | {ratio:.2} | {least:.2}, {most:.2} |");
        }
        lines.push(line);
    }
    lines
}

/// A boot of each, stock's first in every other round: what each case took on stock, and on ours.
fn on_threads(stock: &Tree, ours: &Tree, cpus: u32, round: u32) -> Result<[Vec<f64>; 2]> {
    let time = |tree| read(&bench(tree, cpus, Accel::Threads)?);
    if round.is_multiple_of(2) {
        let stock = time(stock)?;
        return Ok([stock, time(ours)?]);
    }
    let ours = time(ours)?;
    Ok([time(stock)?, ours])
}

/// The least, the median, and the most; of figures that are there.
fn spread(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [figures[0], figures[figures.len() / 2], figures[figures.len() - 1]]
}

/// The log of one run.
fn bench(tree: &Tree, cpus: u32, accel: Accel) -> Result<String> {
    let words = "nohz=off smpcall.args=calls=100,rounds=100";
    let seconds = 240;
    let log =
        Guest { tree, cpus, what: "bench", words, seconds, accel, case: None, files: Vec::new() }.boot()?;
    verdict::judge(tree.variant, "bench", &[verdict::Expected::text("smpcall-bench: end")], &log)?;
    Ok(log)
}

/// How much memory a CPU takes, as the boot line of ours has it.
fn per_cpu(log: &str) -> Result<u64> {
    let line = log.lines().find(|line| line.contains("smpcall: call layer ")).context("no boot line")?;
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [.., bytes, cpus] = numbers[..] else { bail!("no figures in `{line}`") };
    Ok(bytes / cpus)
}

/// ns for each case.
fn read(log: &str) -> Result<Vec<f64>> {
    let figure = |name: &str| -> Result<f64> {
        let line = log.lines().find_map(|line| line.split_once(&format!("smpcall-bench: case {name} ")));
        let (_, rest) = line.with_context(|| format!("no case `{name}` in the log"))?;
        let picoseconds = rest.strip_suffix(" ps").unwrap_or(rest).trim();
        Ok(picoseconds.parse::<f64>().with_context(|| format!("`{rest}` is no figure"))? / 1000.0)
    };
    if log.lines().any(|line| line.contains("smpcall-bench: a csd")) {
        bail!("a case did not do what it is to measure");
    }
    CASES.iter().map(|(name, _)| figure(name)).collect()
}

/// The layer's text, and what it takes for 64 possible CPUs.
fn sizes(stock: &Tree, ours: &Tree, per_cpu: u64) -> Result<()> {
    let stock_text = text(&stock.path.join("kernel/smp.o"))? - text(&ours.path.join("kernel/smp.o"))?;
    let ours_text = text(&layer::object(ours.series, &ours.path, &sh::root())?)?
        + text(&ours.path.join("kernel/smpcall_glue.o"))?;
    println!("text of the layer: stock {stock_text} bytes, ours {ours_text} bytes");
    // Each CPU, once it was online: a csd for each CPU, two masks, a csd of its own, and the head of its queue, in a line each.
    let stock_memory = 64 * (64 * 32 + 2 * 8 + 24 + 64 + 64);
    println!("memory for 64 CPUs: stock {stock_memory} bytes, ours {} bytes", 64 * per_cpu);
    Ok(())
}

fn text(object: &Path) -> Result<i64> {
    let said = Cmd::new("size", "-A").arg(object).read()?;
    let sizes = said.lines().filter(|line| line.starts_with(".text") || line.starts_with(".noinstr.text"));
    Ok(sizes.filter_map(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_boot_line() {
        let line =
            "[    0.1] smpcall: call layer 0.1.0 in the place of kernel/smp.c's: 2560 bytes for 4 CPUs";
        assert_eq!(per_cpu(line).unwrap(), 640);
        assert!(per_cpu("nothing").is_err());
    }

    #[test]
    fn a_median_lies_between_the_least_and_the_most() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0, 9.0, 0.5]), [0.5, 2.0, 9.0]);
        assert_eq!(spread(vec![7.0]), [7.0; 3]);
    }

    #[test]
    fn without_rounds_the_table_is_of_virtual_time_alone() {
        let virtual_ns = [vec![2.0; 12], vec![3.0; 12]];
        let lines = table(4, &virtual_ns, &[]);
        assert_eq!(lines.len(), 3 + 12);
        assert_eq!(lines[3], "| dry run: the loop alone | 2 | 3 | 1.50 |");
        let lines = table(4, &virtual_ns, &[[vec![10.0; 12], vec![5.0; 12]]]);
        assert!(lines[0].ends_with("medians of 1 alternating boots of each"), "{}", lines[0]);
        assert_eq!(lines[3], "| dry run: the loop alone | 2 | 3 | 1.50 | 10 | 5 | 0.50 | 0.50, 0.50 |");
        let columns = |line: &String| line.matches('|').count();
        assert!(lines[1..].iter().all(|line| columns(line) == 9), "{lines:?}");
    }

    #[test]
    fn figures_are_read_and_a_missing_one_is_named() {
        let all = |name: &str| format!("[  1.0] smpcall-bench: case {name} 1500 ps\n");
        let log: String = CASES.iter().map(|(name, _)| all(name)).collect();
        assert_eq!(read(&log).unwrap(), [1.5; 12]);
        let why = read(&log.replace("case any", "case none")).unwrap_err().to_string();
        assert!(why.contains("`any`"), "{why}");
        assert!(read(&(log + "smpcall-bench: a csd that is queued was not busy\n")).is_err());
    }
}
