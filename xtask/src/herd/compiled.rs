//! `herd`, second part: the compiled code. Each probe of xtask/litmus/compiled is a race of two threads that enter the core by its own
//! functions. It is compiled among the core's sources, as these are built for users, for four machines; the instructions that come
//! of it are followed along every path ([`path`]), and two paths that end in what must never come about are handed to herd7 as their
//! accesses to memory, under that machine's own model: the compiler's fences, orderings and pairs, none copied by hand.
//!
//! Then the same with each mutant of the sources that the probe names: on the machines that it lists the outcome must come about,
//! and on the others it must not: there the instruction is the stronger one anyway.
//!
//! An instruction that nobody has said the meaning of ends the run, as does a call out of the core.

mod arm;
mod asm;
mod build;
mod litmus;
mod path;
mod probe;
mod riscv;
mod x86;

use self::asm::Code;
use self::build::{Build, Target};
use self::litmus::{Machine, Place};
use self::path::{Path, Probe as Threads};
use self::probe::{Outcome, Probe};
use super::{Verdict, herd, verdict};
use crate::mutants::table::{Mutant, Table};
use crate::parallel::{cores, in_parallel};
use crate::sh;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;
use std::time::Instant;

const FOLDER: &str = "xtask/litmus/compiled";

/// Why it cannot run, if it cannot.
pub(super) fn missing() -> Option<String> {
    build::missing()
}

/// Every probe on every machine, as the sources are and with each of its mutants.
pub(super) fn run() -> Result<()> {
    let root = sh::root();
    let table = Table::read(&root)?;
    let probes = read(&root, &table)?;
    let start = Instant::now();
    let lines = in_parallel(cores(), Target::ALL.to_vec(), |target| on(target, &probes, &table))?;
    let mut checked = 0;
    for (target, mutants) in lines {
        println!("  {target:<12} {} races of compiled code never, {mutants} mutants seen", probes.len());
        checked += mutants;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "compiled code: {} probes, {checked} mutants seen on their machines  {seconds:.1} s",
        probes.len()
    );
    Ok(())
}

fn read(root: &FilePath, table: &Table) -> Result<Vec<Probe>> {
    let machines = Target::ALL.map(Target::name);
    let mut probes = Vec::new();
    for file in fs::read_dir(root.join(FOLDER)).context(FOLDER)? {
        let file = file?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "prelude" {
            let probe = Probe::parse(&name, &fs::read_to_string(&file)?, &machines);
            probes.push(probe.with_context(|| format!("{FOLDER}/{name}.rs"))?);
        }
    }
    ensure!(!probes.is_empty(), "{FOLDER} has no probe");
    probes.sort_by(|a, b| a.name.cmp(&b.name));
    for id in probes.iter().flat_map(|probe| &probe.mutants).flat_map(|seen| &seen.ids) {
        find(table, id)?;
    }
    Ok(probes)
}

fn find<'a>(table: &'a Table, id: &str) -> Result<&'a Mutant> {
    table.mutants.iter().find(|mutant| mutant.id == id).with_context(|| format!("{FOLDER}: no mutant `{id}`"))
}

/// All of one machine; how many mutants were seen there.
fn on(target: Target, probes: &[Probe], table: &Table) -> Result<(&'static str, usize)> {
    let name = target.name();
    let build = Build::new(target, probes).with_context(|| name.to_owned())?;
    let code = build.sound().with_context(|| name.to_owned())?;
    for probe in probes {
        let seen = judge(target, probe, &code).with_context(|| format!("{name}: {}", probe.name))?;
        ensure!(seen == Verdict::Never, "{name}: {}: {seen:?}, and never is right", probe.name);
    }
    // One build for each, also of those that several probes name.
    let mut by_mutant: BTreeMap<&str, Vec<(&Probe, bool)>> = BTreeMap::new();
    for probe in probes {
        for seen in &probe.mutants {
            for id in &seen.ids {
                by_mutant.entry(id).or_default().push((probe, seen.on.contains(name)));
            }
        }
    }
    let mut seen = 0;
    for (id, probes) in by_mutant {
        let mutant = find(table, id)?;
        if target.is_as_strong(mutant) {
            ensure!(probes.iter().all(|(_, on)| !on), "{name}: {id} changes no instruction there");
            continue;
        }
        let code = build.with(mutant).with_context(|| format!("{name}: {id}"))?;
        for (probe, on) in probes {
            let verdict =
                judge(target, probe, &code).with_context(|| format!("{name}: {}: {id}", probe.name))?;
            let expected = if on { Verdict::Sometimes } else { Verdict::Never };
            ensure!(verdict == expected, "{name}: {}: {id}: {verdict:?}, and not {expected:?}", probe.name);
            seen += usize::from(on);
        }
    }
    Ok((name, seen))
}

/// Whether what must never come about does, in this code.
fn judge(target: Target, probe: &Probe, code: &Code) -> Result<Verdict> {
    let machine = target.machine();
    let threads =
        Threads { isa: machine, code, threads: probe.threads.clone(), initial: probe.before.clone() };
    let paths = threads.paths()?;
    ensure!(!paths.places.is_empty(), "the threads have no place in memory in common");
    let places: BTreeMap<u64, Place> = paths
        .places
        .iter()
        .map(|(&place, &bytes)| {
            let initial = probe.before.get(&place).copied().unwrap_or(0);
            (place, Place { name: probe.name_of(place), bytes, initial })
        })
        .collect();
    let mut asked = 0;
    for outcome in &probe.never {
        let of = |at: usize| {
            paths.threads[at]
                .iter()
                .filter(move |path: &&Path| outcome.returns[at].is_none_or(|value| path.returns == value))
        };
        for first in of(0) {
            for second in of(1) {
                asked += 1;
                if first.goes_with(second, &probe.before)
                    && is_possible(machine, target.name(), probe, outcome, [first, second], &places)?
                {
                    return Ok(Verdict::Sometimes);
                }
            }
        }
    }
    // Paths that return those values, of which memory decides whether they go together: without any the race is none.
    ensure!(asked > 0, "no paths of the threads end so: the code is another than the probe is for");
    Ok(Verdict::Never)
}

fn is_possible(
    machine: &dyn Machine,
    target: &str,
    probe: &Probe,
    outcome: &Outcome,
    paths: [&Path; 2],
    places: &BTreeMap<u64, Place>,
) -> Result<bool> {
    let left: Vec<_> = outcome.left.iter().map(|&(place, value)| (probe.name_of(place), value)).collect();
    let text = litmus::litmus(machine, &probe.name, paths, places, &left)?;
    let file = build::folder().join(format!("{target}.litmus"));
    fs::write(&file, &text)?;
    let said = herd("-speedcheck true -model").arg(machine.herd().1).arg(&file).capture()?;
    ensure!(said.ok, "{}\n{text}", said.stderr.trim());
    Ok(match verdict(&said.stdout).with_context(|| text.clone())? {
        Verdict::Never => false,
        Verdict::Sometimes => true,
        Verdict::Undefined => bail!("a race of plain accesses, of which a machine has none"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_probes_fit_the_table_of_mutants() {
        let root = sh::root();
        let probes = read(&root, &Table::read(&root).unwrap()).unwrap();
        for target in Target::ALL {
            let name = target.name();
            let mut seen = probes.iter().flat_map(|probe| &probe.mutants);
            assert!(seen.any(|seen| seen.on.contains(name)), "{name}: no probe can fail there");
        }
    }

    /// A compare-and-swap of 1 for 2 that says whether it went through, against an exchange for 4.
    fn paths(target: Target, first: &str, second: &str) -> Result<path::Paths> {
        let code = Code::of(&format!("p0:\n{first}\np1:\n{second}\n"));
        let threads = [("p0".to_owned(), vec![path::APART]), ("p1".to_owned(), vec![path::APART])];
        let initial = BTreeMap::from([(path::APART, 1)]);
        Threads { isa: target.machine(), code: &code, threads, initial }.paths()
    }

    #[test]
    fn code_is_followed_along_every_path_on_each_machine() {
        let lse = "mov w8, #1\nmov w9, #2\ncasl w8, w9, [x0]\ncmp w8, #1\ncset w0, eq\nret";
        let pair = ".La:\nldxr w8, [x0]\ncmp w8, #1\nb.ne .Lb\nmov w9, #2\nstlxr w10, w9, [x0]\ncbnz w10, .La\n\
                    mov w0, #1\nret\n.Lb:\nclrex\nmov w0, wzr\nret";
        let riscv = "li a1, 1\nli a2, 2\n.La:\nlr.w a3, (a0)\nbne a3, a1, .Lb\nsc.w.rl a4, a2, (a0)\nbnez a4, .La\n\
                     .Lb:\nxor a3, a3, a1\nseqz a0, a3\nret";
        let x86 =
            "movl $1, %eax\nmovl $2, %ecx\nlock cmpxchgl %ecx, (%rdi)\nsete %al\nmovzbl %al, %eax\nretq";
        for (target, first, second) in [
            (Target::ArmLse, lse, "mov w8, #4\nswpal w8, w0, [x0]\nret"),
            (Target::Arm, pair, "mov w8, #4\nswpal w8, w0, [x0]\nret"),
            (Target::RiscV, riscv, "li a1, 4\namoswap.w.aqrl a0, a1, (a0)\nret"),
            (Target::X86, x86, "movl $4, %eax\nxchgl %eax, (%rdi)\nretq"),
        ] {
            let found = paths(target, first, second).unwrap();
            assert_eq!(found.places, BTreeMap::from([(path::APART, 4)]), "{target:?}");
            let returns =
                |at: usize| found.threads[at].iter().map(|path| path.returns).collect::<BTreeSet<_>>();
            assert_eq!((returns(0), returns(1)), ([0, 1].into(), [1, 2].into()), "{target:?}");
            // It went through, and the exchange found what was there before it; or the other way round.
            let initial = BTreeMap::from([(path::APART, 1)]);
            for first in &found.threads[0] {
                for second in &found.threads[1] {
                    let expected = (first.returns == 1) == (second.returns == 2);
                    assert_eq!(
                        first.goes_with(second, &initial),
                        expected,
                        "{target:?} {first:?} {second:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_nobody_has_said_the_meaning_of_ends_the_run() {
        for (target, instr) in [
            (Target::Arm, "ldp q0, q1, [x0]"),
            (Target::Arm, "bl memcpy"),
            (Target::RiscV, "amomax.w a0, a1, (a0)"),
            (Target::X86, "vmovups (%rdi), %ymm0"),
        ] {
            let why = format!("{:#}", paths(target, instr, "ret").err().unwrap());
            assert!(why.contains("p0"), "{why}");
        }
    }
}
