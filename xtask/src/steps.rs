//! `test`: the steps in their order, each named and timed; the first failure ends the run, and the last line is
//! always `N passed, M failed`, counted in steps.

use crate::boot::{self, Arch, Boot};
use crate::limit::{self, Killed, limited};
use crate::parallel::{cores, in_parallel};
use crate::sanitize::{self, Sanitizer};
use crate::sh::{self, Cmd};
use crate::{
    docs, fuzz, gate, herd, integrations, kvm, linux, models, msrv, mutants, package, perfetto, report,
    same_code, seeds, setup, shards, spin, tidy,
};
use anyhow::{Result, anyhow};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How much to test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What one runs before a commit.
    Short,
    /// What CI runs.
    Full,
}

/// What a step that did not fail has done.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Skipped(String),
}

struct Step {
    name: &'static str,
    body: Box<dyn FnOnce() -> Result<Verdict>>,
}

/// Runs the steps; success when none failed.
pub(crate) fn run(extent: Extent) -> ExitCode {
    finish(run_steps(plan(extent)))
}

/// On memory as weak as Rust's model has it.
fn weak_seeds() -> Result<()> {
    for seeds in ["--seeds 3000", "--futures --users --meets --seeds 1500"] {
        Cmd::cargo("run -rp smpcall-cli -- sim --memory weak --seed 1 --twice").args(seeds).run()?;
    }
    Ok(())
}

/// What programs have only where it is asked for.
const SIM_MORE: &str = "run -rp smpcall-cli -- sim --users --meets --works --seed 1 --seeds 3000 --twice";

fn plan(extent: Extent) -> Vec<Step> {
    let cargo = |args: &'static str| move || Cmd::cargo(args).run();
    let seeds = match extent {
        Extent::Short => "run --release -p smpcall-cli -- sim --seed 1 --seeds 7000 --twice",
        Extent::Full => "run --release -p smpcall-cli -- sim --seed 1 --seeds 20000 --twice",
    };
    let mut plan = vec![
        step("format", || {
            Cmd::cargo("fmt --all --check").run()?;
            Cmd::cargo("fmt --check --manifest-path kernel/Cargo.toml").run()
        }),
        step("clippy", clippy),
        step("tidy", tidy::run),
        step("tests", cargo("test --workspace")),
        step("examples", examples),
        step_unless("perfetto", perfetto::missing, perfetto::run),
        step("docs", docs::check),
        step_unless("book", docs::book::missing, docs::book::run),
        step("same code", same_code::run),
        step("models", || models::run(None)),
        // A fixed set of seeds, each twice: the second run must be the first to its last step.
        step("sim", cargo(seeds)),
        step("sim (futures)", cargo("run -rp smpcall-cli -- sim --futures --seed 1 --seeds 6000 --twice")),
        step("sim (more)", cargo(SIM_MORE)),
        step("sim (weak)", weak_seeds),
    ];
    if extent == Extent::Short {
        plan.push(step("litmus (short)", cargo("run --release -p smpcall-cli -- litmus --posts 200000")));
        let torture = "run --release -p smpcall-cli -- torture --seconds 5 --cpus 4 --onoff-interval 20";
        plan.push(step("torture (short)", cargo(torture)));
        return plan;
    }
    plan.insert(0, step("setup", setup::run));
    plan.push(step("package", package::run));
    plan.push(step_unless("msrv", msrv::missing, msrv::run));
    plan.push(step_unless("report", report::missing, report::run));
    plan.push(step_unless("gate", gate::missing, gate::step));
    plan.push(step_unless("herd", herd::missing, herd::run));
    plan.push(step_unless("spin", spin::missing, spin::run));
    plan.push(step_or_skipped("seeds", seeds::step));
    plan.push(step("mutants", || mutants::run(None, None, mutants::Asks::Caught)));
    for (name, which) in [("sanitize asan", Sanitizer::Asan), ("sanitize tsan", Sanitizer::Tsan)] {
        plan.push(step_unless(name, move || sanitize::missing(which), move || sanitize::run(Some(which))));
    }
    for (name, which) in [("fuzz asan", Sanitizer::Asan), ("fuzz tsan", Sanitizer::Tsan)] {
        plan.push(step_unless(name, move || sanitize::missing(which), move || fuzz::short(which)));
    }
    plan.push(step_or_skipped("boot (build)", boot::build));
    for arch in Arch::ALL {
        plan.push(kernel(arch));
    }
    plan.push(kernel_on_newer());
    plan.push(runtimes_step());
    plan.push(step_unless("shards", shards::missing, shards::step));
    plan.push(step_unless("kvm", kvm::missing, kvm::step));
    plan.push(step("peers", cargo("test -p peers -- --ignored")));
    plan.push(step_unless("linux", linux::missing, linux::step));
    plan.push(step_unless("integrations arceos", integrations::arceos_missing, integrations::arceos_step));
    plan.push(step_unless("integrations ostd", integrations::ostd_missing, integrations::ostd_step));
    plan.push(step_or_skipped("integrations hermit", integrations::hermit_step));
    plan.push(step_unless("integrations compio", integrations::compio_missing, integrations::compio_step));
    plan.push(step("litmus", cargo("run --release -p smpcall-cli -- litmus")));
    plan.push(step("torture", torture));
    plan.push(step("sim (long)", sim_long));
    plan
}

/// A minute of processor time, from seeds that are drawn: a run for each core.
fn sim_long() -> Result<()> {
    let jobs = cores();
    let seconds = 60_usize.div_ceil(jobs);
    in_parallel(jobs, vec![(); jobs], |()| {
        Cmd::cargo("run --release -p smpcall-cli -- sim --seconds").arg(seconds.to_string()).run()
    })
    .map(drop)
}

/// No lint may speak.
fn clippy() -> Result<()> {
    Cmd::cargo("clippy --workspace --all-targets -- -D warnings").run()?;
    // The workspace has all features; what is left without them stands by itself.
    for plain in ["smpcall", "smpcall-host"] {
        let args = "--no-default-features --all-targets -- -D warnings";
        Cmd::cargo("clippy -p").arg(plain).args(args).run()?;
    }
    // For this machine's architecture: there clippy needs no other compiler.
    let kernel = "clippy --release --locked --manifest-path kernel/Cargo.toml --target-dir";
    Cmd::cargo(kernel).arg(sh::target_dir().join("kernel-clippy")).args("-- -D warnings").run()
}

/// Runs the examples of the core and of the host: each ends by itself, and asserts what it shows. Built at once, most of them as the tests
/// have built them.
fn examples() -> Result<()> {
    Cmd::cargo("build --workspace --examples").run()?;
    for package in ["smpcall", "smpcall-host"] {
        let mut examples = Vec::new();
        for file in std::fs::read_dir(sh::root().join("crates").join(package).join("examples"))? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "rs") {
                examples.extend(file.file_stem().map(|name| name.to_owned()));
            }
        }
        examples.sort();
        anyhow::ensure!(!examples.is_empty(), "{package} has no examples");
        for example in examples {
            Cmd::new(sh::target_dir().join("debug/examples").join(example), "").run()?;
        }
    }
    Ok(())
}

/// Runtimes whose threads are CPUs, in a workspace of their own. Those on io_uring are skipped, and said to be, where the kernel
/// has it switched off.
fn runtimes_step() -> Step {
    const RINGS: [&str; 4] = ["compio", "compio_loop", "glommio", "monoio"];
    // Kernels before 6.6 have no such switch.
    let switch = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let off = !matches!(switch.trim(), "" | "0");
    let body = move || {
        // What brings its own pender goes without embassy's.
        let pender = ("pender", "--no-default-features --bin");
        let rings = RINGS.into_iter().filter(|_| !off);
        for (runtime, how) in ["embassy"].into_iter().chain(rings).map(|name| (name, "--bin")).chain([pender])
        {
            Cmd::cargo("run --locked --manifest-path integrations/runtimes/Cargo.toml --target-dir")
                .arg(sh::target_dir().join("runtimes"))
                .args(how)
                .arg(runtime)
                .run()?;
        }
        Ok(if off { Verdict::Skipped(format!("{RINGS:?}: io_uring is off")) } else { Verdict::Passed })
    };
    Step { name: "runtimes", body: Box::new(body) }
}

/// The kernel in QEMU, where that and a compiler can be had.
fn kernel(arch: Arch) -> Step {
    let name = match arch {
        Arch::X86_64 => "boot x86_64",
        Arch::Riscv64 => "boot riscv64",
        Arch::Aarch64 => "boot aarch64",
        Arch::Loongarch64 => "boot loongarch64",
    };
    let runs = move || -> Result<()> {
        boot::run(&Boot { icount: true, ..Boot::new(arch, 4, "conformance") })?;
        boot::run(&Boot::new(arch, 4, "conformance"))?;
        boot::run(&Boot::new(arch, 4, "checks"))?;
        boot::run(&Boot { seconds: Some(10), ..Boot::new(arch, 4, "torture") })?;
        let x2apic = Boot { x2apic: true, ..Boot::new(arch, 4, "conformance") };
        if arch == Arch::X86_64 && boot::missing(&x2apic).is_none() {
            boot::run(&x2apic)?;
        }
        if arch == Arch::Riscv64 {
            let machine = Some("aia=aplic-imsic".to_owned());
            let imsic = |what| Boot { machine: machine.clone(), ..Boot::new(arch, 4, what) };
            boot::run(&Boot { seconds: Some(5), ..imsic("torture") })?;
            boot::run(&Boot { sockets: 2, ..imsic("checks") })?;
        }
        boot::gate(arch)?;
        boot::broken(arch)
    };
    step_unless(name, move || boot::missing(&Boot::new(arch, 1, "")), runs)
}

/// The same kernel on QEMU 11, where that can be had; riscv64 with CPUs switched off above OpenSBI 1.9, too.
fn kernel_on_newer() -> Step {
    let newer = |arch, what| Boot { qemu: Some("11".to_owned()), ..Boot::new(arch, 4, what) };
    let bios = Some(boot::NEWEST_OPENSBI.to_owned());
    let torture = Boot { bios, seconds: Some(5), ..newer(Arch::Riscv64, "torture") };
    let needs = torture.clone();
    let runs = move || -> Result<()> {
        // loongarch64 has been there.
        for arch in [Arch::X86_64, Arch::Riscv64, Arch::Aarch64] {
            boot::run(&newer(arch, "conformance"))?;
        }
        boot::run(&Boot { x2apic: true, ..newer(Arch::X86_64, "checks") })?;
        boot::run(&torture).map(drop)
    };
    step_unless("boot QEMU 11", move || boot::missing(&needs), runs)
}

/// Half a minute on 4 CPUs and as long on 16, while CPUs come and go.
fn torture() -> Result<()> {
    for cpus in ["4", "16"] {
        Cmd::cargo("run --release -p smpcall-cli -- torture --seconds 30 --onoff-interval 20 --cpus")
            .arg(cpus)
            .run()?;
    }
    Ok(())
}

fn step(name: &'static str, body: impl FnOnce() -> Result<()> + 'static) -> Step {
    step_unless(name, || None, body)
}

/// Skipped, and said to be, where what it needs is `missing`; called by itself, as a verb, it fails instead.
fn step_unless(
    name: &'static str,
    missing: impl FnOnce() -> Option<String> + 'static,
    body: impl FnOnce() -> Result<()> + 'static,
) -> Step {
    let body = move || match missing() {
        Some(why) => Ok(Verdict::Skipped(why)),
        None => body().map(|()| Verdict::Passed),
    };
    Step { name, body: Box::new(body) }
}

/// … which the step itself finds out, and returns why.
fn step_or_skipped(name: &'static str, body: impl FnOnce() -> Result<Option<String>> + 'static) -> Step {
    Step { name, body: Box::new(|| Ok(body()?.map_or(Verdict::Passed, Verdict::Skipped))) }
}

/// What became of a step, in the order in which they ran.
struct Done {
    name: &'static str,
    took: Duration,
    outcome: Result<Verdict>,
}

fn run_steps(plan: Vec<Step>) -> Vec<Done> {
    let mut all = Vec::new();
    for Step { name, body } in plan {
        println!("==> {name}");
        let start = Instant::now();
        let (outcome, killed) = limited(limit::STEP, body);
        let outcome = match killed {
            Killed::Nothing => outcome,
            // Whatever came of it: a step that was cut short has not passed.
            Killed::AtTheLimit => Err(anyhow!("it ran for longer than {:?}, and was killed", limit::STEP)),
        };
        let took = start.elapsed();
        let failed = outcome.is_err();
        match &outcome {
            Ok(Verdict::Passed) => println!("<== {name}: passed in {:.1} s", took.as_secs_f64()),
            Ok(Verdict::Skipped(why)) => println!("<== {name}: SKIPPED: {why}"),
            Err(why) => println!("<== {name}: FAILED after {:.1} s: {why:#}", took.as_secs_f64()),
        }
        all.push(Done { name, took, outcome });
        if failed {
            break;
        }
    }
    all
}

fn finish(all: Vec<Done>) -> ExitCode {
    println!("\nsummary");
    for Done { name, took, outcome } in &all {
        let word = match outcome {
            Ok(Verdict::Passed) => "passed".to_owned(),
            Ok(Verdict::Skipped(why)) => format!("skipped: {why}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("  {name:<16} {:>7.1} s  {word}", took.as_secs_f64());
    }
    let (passed, failed) = count(&all);
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn count(all: &[Done]) -> (usize, usize) {
    let passed = all.iter().filter(|done| matches!(done.outcome, Ok(Verdict::Passed))).count();
    (passed, all.iter().filter(|done| done.outcome.is_err()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_the_run_and_is_counted() {
        let skipped = Step { name: "b", body: Box::new(|| Ok(Verdict::Skipped("no tool".into()))) };
        let plan = vec![
            step("a", || Ok(())),
            skipped,
            step("c", || anyhow::bail!("broken")),
            step("d", || panic!("must not run")),
        ];
        let all = run_steps(plan);
        assert_eq!(all.iter().map(|done| done.name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(count(&all), (1, 1));
    }

    #[test]
    fn ci_runs_everything_that_a_short_run_does() {
        let names = |extent| plan(extent).into_iter().map(|step| step.name).collect::<Vec<_>>();
        let full = names(Extent::Full);
        for name in names(Extent::Short) {
            assert!(full.contains(&name.trim_end_matches(" (short)")), "{name}");
        }
        assert!(full.contains(&"mutants") && full.contains(&"sanitize tsan"));
        assert!(full.contains(&"fuzz asan") && full.contains(&"fuzz tsan"));
    }
}
