//! Judges that nobody here wrote: Linux's torture tests of what rides on its call layer, its selftests, stress-ng; and three ends of a
//! kernel's run, in a storm of calls: suspended, replaced, panicked.
//!
//! A judge's verdict is in its own words; besides, a run fails on any warning, stall or hang in its log, as every run does.

use super::tree::Tree;
use super::userland;
use super::verdict::Expected;
use super::{Which, boot_case};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::path::PathBuf;

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judge {
    /// RCU: expedited grace periods and `rcu_barrier` are calls
    Rcutorture,
    /// Locks: their wake-ups go by the same queues
    Locktorture,
    /// What a reader costs under RCU, counters and locks: it ends, with figures
    Refscale,
    /// The call layer's own, as a module
    Scftorture,
    /// Debian's stress-ng: what of a userland makes CPUs call one another
    StressNg,
    /// The kernel's selftests for membarrier, rseq, and CPUs that go and come
    Selftests,
    /// Suspend down to the CPUs and back, in a storm of calls
    Suspend,
    /// Another kernel by kexec, in a storm of calls
    Kexec,
    /// A panic on one CPU, in a storm of calls
    Panic,
}

/// A judge that is a module of Linux's.
struct Torture {
    name: &'static str,
    /// Where it is in a built tree.
    module: &'static str,
    /// The parameter that chooses what is judged; none if there is no choice.
    selector: &'static str,
    kinds: &'static [&'static str],
    /// Its parameters, and words for the kernel that help it.
    words: &'static str,
    onoff: &'static str,
    /// What it says once for each kind when all is well.
    success: &'static str,
    /// A part of the lines with what it counted.
    counts: &'static str,
}

const RCUTORTURE: Torture = Torture {
    name: "rcutorture",
    module: "kernel/rcu/rcutorture.ko",
    selector: "torture_type",
    kinds: &["rcu", "srcu"],
    // As TREE01 to TREE04: grace periods of both sorts, delays in them, callbacks that rcu_barrier waits for.
    words: "rcutorture.gp_exp=1 rcutorture.gp_normal=1 rcutorture.gp_sync=1 rcutorture.gp_poll_exp=1 rcutorture.n_barrier_cbs=4 \
            rcutorture.fwd_progress=0 rcutorture.stat_interval=15 rcutree.gp_preinit_delay=3 rcutree.gp_init_delay=3 \
            rcutree.gp_cleanup_delay=3 rcutree.kthread_prio=2",
    onoff: "rcutorture.onoff_interval=200 rcutorture.onoff_holdoff=1",
    success: "End of test: SUCCESS",
    counts: "rtc: ",
};

const LOCKTORTURE: Torture = Torture {
    name: "locktorture",
    module: "kernel/locking/locktorture.ko",
    selector: "torture_type",
    kinds: &["mutex_lock", "spin_lock", "rwsem_lock", "percpu_rwsem_lock", "rtmutex_lock", "ww_mutex_lock"],
    words: "locktorture.stat_interval=5 locktorture.nwriters_stress=8 locktorture.verbose=1",
    onoff: "locktorture.onoff_interval=200 locktorture.onoff_holdoff=1",
    success: "End of test: SUCCESS",
    counts: "Writes:  Total: ",
};

const REFSCALE: Torture = Torture {
    name: "refscale",
    module: "kernel/rcu/refscale.ko",
    selector: "scale_type",
    kinds: &["rcu", "srcu", "refcnt", "rwlock", "rwsem"],
    words: "refscale.nruns=10 refscale.loops=2000 refscale.shutdown_secs=0 smpcall.ends=END_OF_TEST",
    onoff: "",
    success: "END OF TEST. Calculating average duration per loop (nanoseconds)",
    counts: "",
};

const SCFTORTURE: Torture = Torture {
    name: "scftorture",
    module: "kernel/scftorture.ko",
    selector: "",
    kinds: &["all"],
    words: "scftorture.holdoff=1 scftorture.stat_interval=15 scftorture.verbose=1",
    // Later than it begins: it warns if one of its threads finds its CPU gone before.
    onoff: "scftorture.onoff_holdoff=6 scftorture.onoff_interval=100",
    success: "End of test: SUCCESS",
    counts: "scf_invoked_count VER: ",
};

/// How it is to be run.
pub(crate) struct Asked {
    pub(crate) seconds: u32,
    /// While CPUs go and come.
    pub(crate) onoff: bool,
    /// Instead of all kinds that the judge knows.
    pub(crate) kinds: Vec<String>,
}

/// Lets a judge judge.
pub(super) fn run(judge: Judge, which: &Which, asked: &Asked) -> Result<()> {
    refuse(judge, which, asked)?;
    match judge {
        Judge::Rcutorture => torture(&RCUTORTURE, which, asked),
        Judge::Locktorture => torture(&LOCKTORTURE, which, asked),
        Judge::Refscale => torture(&REFSCALE, which, asked),
        Judge::Scftorture => torture(&SCFTORTURE, which, asked),
        Judge::StressNg => stress_ng(which, asked),
        Judge::Selftests => selftests(which, asked.seconds),
        Judge::Suspend => suspend(which, asked.seconds),
        Judge::Kexec => kexec(which, asked.seconds),
        Judge::Panic => {
            let panic = [Expected::panic("planted by the checks")];
            let log = boot_case(which, "panic", asked.seconds, "", &panic, Vec::new())?;
            let line = log.lines().find(|line| line.contains("Kernel panic")).unwrap_or_default();
            println!("  it went down by that panic, and by itself: {}", line.trim());
            Ok(())
        }
    }
}

/// What cannot be had, before anything is built.
fn refuse(judge: Judge, which: &Which, asked: &Asked) -> Result<()> {
    let config = which.config;
    if !config.has_judges() {
        bail!(
            "`--config {}` has scftorture built in, which starts first and keeps other judges out: `--config judges`",
            config.name()
        );
    }
    let hotplugs =
        ![Judge::Refscale, Judge::Selftests, Judge::Suspend, Judge::Kexec, Judge::Panic].contains(&judge);
    ensure!(hotplugs || !asked.onoff, "this judge does not let CPUs go and come: without `--onoff`");
    let has_kinds = [Judge::Rcutorture, Judge::Locktorture, Judge::Refscale].contains(&judge);
    ensure!(has_kinds || asked.kinds.is_empty(), "this judge has no kinds to choose from");
    Ok(())
}

fn torture(torture: &Torture, which: &Which, asked: &Asked) -> Result<()> {
    let kinds = if asked.kinds.is_empty() { torture.kinds.join(",") } else { asked.kinds.join(",") };
    let count = kinds.split(',').count();
    ensure!(asked.seconds as usize >= 5 * count, "{count} kinds want 5 s each at least");
    let mut words = format!(
        "smpcall.judge={} smpcall.seconds={} smpcall.kinds={kinds} {}",
        torture.name, asked.seconds, torture.words
    );
    if !torture.selector.is_empty() {
        words += &format!(" smpcall.selector={}", torture.selector);
    }
    if asked.onoff {
        words += &format!(" {}", torture.onoff);
    }
    let tree = Tree::build(which.series, which.variant, which.config)?;
    let files = vec![(tree.module("kernel/torture.ko")?, "torture.ko"), (tree.module(torture.module)?, "")];
    let log = boot_case(which, "torture", asked.seconds, &words, &[], files)?;
    succeeded(torture, &kinds, &log)?;
    let counted = |line: &&str| !torture.counts.is_empty() && line.contains(torture.counts);
    for line in log.lines().filter(counted).collect::<Vec<_>>().iter().rev().take(count).rev() {
        println!("  {}", line.trim());
    }
    println!("  {}: {} of {count} kinds say so: {}", torture.name, count, torture.success);
    Ok(())
}

/// Whether each kind was judged, and found well.
fn succeeded(torture: &Torture, kinds: &str, log: &str) -> Result<()> {
    if let Some(line) = log.lines().find(|line| line.contains("Refusing ")) {
        bail!("{} refused to start, since another judge runs: {}", torture.name, line.trim());
    }
    for kind in kinds.split(',') {
        for state in ["begins", "is over"] {
            let line = format!("smpcall-init: {} {kind} {state}\n", torture.name);
            ensure!(log.contains(&line), "the log lacks `{}`", line.trim());
        }
    }
    let (said, count) = (log.matches(torture.success).count(), kinds.split(',').count());
    ensure!(said == count, "{}: {said} of {count} kinds ended with `{}`", torture.name, torture.success);
    Ok(())
}

/// What of stress-ng makes CPUs call one another, or wake each other's tasks; it has more that does not. (Its `numa` finds no node in this guest, also where there
/// are two, and gives up.)
const STRESSORS: &str = "--tlb-shootdown,2,--membarrier,2,--rseq,1,--switch,2,--mutex,2,--futex,2,--sigq,1,--icache,1,\
                         --mprotect,1,--timer,1";
/// It demands that each CPU that was there stays.
const AFFINITY_STRESSOR: &str = ",--affinity,1";

fn stress_ng(which: &Which, asked: &Asked) -> Result<()> {
    let onoff = if asked.onoff { " smpcall.onoff=1" } else { "" };
    let affinity = if asked.onoff { "" } else { AFFINITY_STRESSOR };
    let words = format!("smpcall.seconds={} smpcall.args={STRESSORS}{affinity}{onoff}", asked.seconds);
    let files = vec![(userland::stress_ng()?, "stress")];
    let mut expected = vec![Expected::text("smpcall-init: stress-ng: exit 0\n")];
    if asked.onoff {
        expected.push(Expected::text("smpcall-init: switched CPUs "));
    }
    let log = boot_case(which, "stress", asked.seconds, &words, &expected, files)?;
    let told = |line: &&str| {
        ["stress-ng: metrc: ", "will be skipped", "smpcall-init: switched CPUs"]
            .iter()
            .any(|text| line.contains(text))
    };
    log.lines().filter(told).for_each(|line| println!("  {}", line.trim()));
    let failed =
        log.lines().find(|line| line.contains("stress-ng: fail:") || line.contains("metrics untrustworthy"));
    ensure!(failed.is_none(), "stress-ng: {}", failed.unwrap_or_default().trim());
    ensure!(log.contains("successful run completed"), "stress-ng does not call its run successful");
    Ok(())
}

fn selftests(which: &Which, seconds: u32) -> Result<()> {
    let tree = Tree::build(which.series, which.variant, which.config)?;
    let (folder, names) = userland::selftests(&tree)?;
    let log = boot_case(which, "selftests", seconds, "", &[], vec![(folder, "tests")])?;
    let ends = selftests_end(&names, &log)?;
    for (name, code) in &ends {
        println!(
            "  {name}: {}",
            match code {
                0 => "passed",
                4 => "skipped by itself",
                _ => "failed",
            }
        );
    }
    let bad: Vec<_> = ends.iter().filter(|(_, code)| ![0, 4].contains(code)).map(|(name, _)| *name).collect();
    ensure!(bad.is_empty(), "selftests failed: {}", bad.join(", "));
    ensure!(ends.iter().any(|(_, code)| *code == 0), "every selftest skipped itself");
    Ok(())
}

/// With which code each ended.
fn selftests_end<'a>(names: &[&'a str], log: &str) -> Result<Vec<(&'a str, i32)>> {
    let end = |name: &&'a str| -> Result<(&'a str, i32)> {
        let said = log.split_once(&format!("smpcall-init: selftest {name}: exit "));
        let (before, rest) = said.with_context(|| format!("the selftest {name} did not end"))?;
        let code: i32 = rest
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .parse()
            .with_context(|| format!("the selftest {name} ended without a code"))?;
        let own =
            before.rsplit_once(&format!("smpcall-init: selftest {name} begins")).map_or("", |(_, own)| own);
        // Not each ends with a code that says so.
        let denied = own.lines().filter(|line| line.starts_with("not ok ")).count();
        Ok((*name, if denied > 0 && code == 0 { 1 } else { code }))
    };
    names.iter().map(end).collect()
}

fn suspend(which: &Which, seconds: u32) -> Result<()> {
    let words = format!("smpcall.seconds={seconds} suspend.pm_test_delay=1");
    let online = format!("times, online again 0-{}\n", which.cpus - 1);
    let expected =
        [Expected::text("suspend debug: "), Expected::text(online), Expected::text("smpcall-check: storm: ")];
    let log = boot_case(which, "suspend", seconds, &words, &expected, Vec::new())?;
    let line = log.lines().find(|line| line.contains("smpcall-init: suspended ")).unwrap_or_default();
    ensure!(!line.contains("suspended 0 times"), "it was not suspended once");
    let told =
        |line: &&str| line.contains("smpcall-init: suspended ") || line.contains("smpcall-check: storm: ");
    log.lines().filter(told).for_each(|line| println!("  {}", line.trim()));
    Ok(())
}

fn kexec(which: &Which, seconds: u32) -> Result<()> {
    let tree = Tree::build(which.series, which.variant, which.config)?;
    let files: Vec<(PathBuf, &str)> = vec![(userland::kexec(&tree)?, "kexec"), (tree.image(), "bzImage")];
    let words = format!("smpcall.seconds={}", seconds.min(5));
    let expected = [Expected::text("smpcall-init: the second kernel is up\n")];
    let log = boot_case(which, "kexec", seconds, &words, &expected, files)?;
    let boots = log.matches("Linux version").count();
    ensure!(boots == 2, "{boots} kernels booted, and not 2");
    println!("  the first kernel went in a storm of calls, and the second is up");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(kinds: &[&str]) -> String {
        let mut log = String::new();
        for kind in kinds {
            log += &format!("smpcall-init: locktorture {kind} begins\n");
            log += &format!("[ 9.1] {kind}-torture:--- End of test: SUCCESS [debug]: nwriters_stress=8\n");
            log += &format!("smpcall-init: locktorture {kind} is over\n");
        }
        log
    }

    #[test]
    fn each_kind_must_say_so_itself() {
        let good = ended(&["mutex_lock", "spin_lock"]);
        let why = |log: &str| succeeded(&LOCKTORTURE, "mutex_lock,spin_lock", log).unwrap_err().to_string();
        succeeded(&LOCKTORTURE, "mutex_lock,spin_lock", &good).unwrap();
        assert!(why(&ended(&["mutex_lock"])).contains("spin_lock begins"));
        assert!(why(&good.replacen("SUCCESS", "x", 1)).contains("1 of 2 kinds"));
        let refused = "[ 3.0] torture_init_begin: Refusing mutex_lock init: scftorture running.\n";
        assert!(why(&format!("{refused}{good}")).contains("another judge runs"));
    }

    #[test]
    fn a_selftest_ends_by_its_code() {
        let log = "smpcall-init: selftest a: exit 0\nsmpcall-init: selftest b: exit 4\nsmpcall-init: selftest c: exit \n\
            smpcall-init: selftest e begins\nnot ok 1 Test\nsmpcall-init: selftest e: exit 0\n";
        assert_eq!(selftests_end(&["a", "b"], log).unwrap(), [("a", 0), ("b", 4)]);
        assert_eq!(selftests_end(&["e"], log).unwrap(), [("e", 1)], "whatever its code");
        assert!(selftests_end(&["c"], log).is_err() && selftests_end(&["d"], log).is_err());
    }

    #[test]
    fn the_judges_that_are_modules_know_more_than_one_kind_if_they_can_choose() {
        for torture in [&RCUTORTURE, &LOCKTORTURE, &REFSCALE, &SCFTORTURE] {
            assert_eq!(torture.selector.is_empty(), torture.kinds.len() == 1, "{}", torture.name);
            assert!(torture.module.ends_with(&format!("{}.ko", torture.name)));
            // What is no word of its own is the kernel's or init's.
            assert!(torture.words.contains(&format!("{}.", torture.name)), "{}", torture.words);
        }
    }
}
