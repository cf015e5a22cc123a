//! `sanitize`: the tests of the core, of the host port and of vCPUs under AddressSanitizer and ThreadSanitizer. Each is first
//! made to find a defect that we planted ([`proof`]): a sanitizer that reports nothing there says nothing here.

mod proof;

use crate::metadata::{self, Package};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// What the sanitizers look at; the other crates forbid unsafe code.
const PACKAGES: [&str; 3] = ["smpcall", "smpcall-host", "smpcall-kvm"];

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Where a report's addresses get their names.
const SYMBOLIZERS: [&str; 2] = ["/usr/lib/llvm-22/bin/llvm-symbolizer", "/usr/bin/llvm-symbolizer"];

/// The Debian packages that ThreadSanitizer is built with.
pub(crate) const DEBIAN: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// A sanitizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Memory that is used after it was freed, or outside of its bounds
    Asan,
    /// Accesses of two threads that nothing orders
    Tsan,
}

/// Runs one sanitizer, or both.
pub(crate) fn run(which: Option<Sanitizer>) -> Result<()> {
    for sanitizer in which.map_or(vec![Sanitizer::Asan, Sanitizer::Tsan], |one| vec![one]) {
        let tool = Tool::find(sanitizer)?;
        proof::demand_that_it_bites(&tool)?;
        for package in PACKAGES {
            tool.test(package)?;
        }
    }
    Ok(())
}

/// Fuzzes under a sanitizer: `words` are the fuzzer's own.
pub(crate) fn fuzz(sanitizer: Sanitizer, words: &[String]) -> Result<()> {
    let tool = Tool::find(sanitizer)?;
    proof::demand_that_it_bites(&tool)?;
    tool.fuzz(words)
}

/// Why a sanitizer cannot run here, in a line that says how to get what is missing.
pub(crate) fn missing(sanitizer: Sanitizer) -> Option<String> {
    Tool::find(sanitizer).err().map(|why| format!("{why:#}"))
}

/// Fetches the crates that std itself is built from, where it is built anew.
pub(crate) fn fetch(sanitizer: Sanitizer) -> Result<()> {
    match sanitizer {
        Sanitizer::Asan => Ok(()),
        Sanitizer::Tsan => Tool::find(sanitizer)?.cargo("fetch --quiet").run(),
    }
}

/// A sanitizer whose parts were all found.
struct Tool {
    sanitizer: Sanitizer,
    flags: String,
}

impl Tool {
    fn find(sanitizer: Sanitizer) -> Result<Tool> {
        let nightly = nightly()?;
        let flags = match sanitizer {
            Sanitizer::Asan => "-Zsanitizer=address".to_owned(),
            Sanitizer::Tsan => tsan_flags(&nightly)?,
        };
        // What the compile-fail tests need is not built: a fifth of the time.
        Ok(Tool { sanitizer, flags: flags + " --cfg smpcall_sanitized" })
    }

    fn target(&self) -> PathBuf {
        sh::target_dir().join(match self.sanitizer {
            Sanitizer::Asan => "asan",
            Sanitizer::Tsan => "tsan",
        })
    }

    /// A cargo that builds with the sanitizer. The flags go to the target alone, not to build scripts and macros.
    fn cargo(&self, verb: &str) -> Cmd {
        let cmd = match self.sanitizer {
            Sanitizer::Asan => Cmd::toolchain("nightly", "cargo", verb),
            // Sanitizers change the ABI, and nightly's prebuilt std was compiled without: linked all the same, a
            // correct program reports races. Debian's compiler comes with the sources to build std anew.
            Sanitizer::Tsan => Cmd::debian_cargo(verb)
                .env("TSAN_OPTIONS", "halt_on_error=1")
                // Every access is slow: the host's tests go round a tenth as often (`rounds` in their site.rs).
                .env("SMPCALL_TEST_SHRINK", "10")
                .args("-Zbuild-std"),
        };
        cmd.args("--target")
            .arg(TRIPLE)
            .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", &self.flags)
            .env("CARGO_TARGET_DIR", self.target())
            // The workspace's setting, for the planted defects too: with another one std would be built twice.
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            // Kicks of vCPUs: a quarter of what the tests make by themselves.
            .env("SMPCALL_KVM_KICKS", "5000")
            // Tests leak on purpose what must be 'static; what they must not leak, they count.
            .env("ASAN_OPTIONS", "detect_leaks=0")
    }

    /// Builds the fuzzer, and looks for programs that fail. Whose frame a report names decides whether it is known, so
    /// reports name functions.
    fn fuzz(&self, words: &[String]) -> Result<()> {
        let mut cmd = self.cargo("run --quiet -p smpcall-fuzz");
        for symbolizer in SYMBOLIZERS.into_iter().filter(|path| Path::new(path).exists()) {
            cmd = cmd.env("ASAN_SYMBOLIZER_PATH", symbolizer).env("TSAN_SYMBOLIZER_PATH", symbolizer);
        }
        // A process that has found a fault ends with its threads under way.
        cmd = cmd.env("TSAN_OPTIONS", "halt_on_error=1 report_thread_leaks=0").args("-- hunt");
        for word in words {
            cmd = cmd.arg(word);
        }
        cmd.run()
    }

    fn test(&self, package: &str) -> Result<()> {
        let mut cmd = self.cargo("test --lib").arg("-p").arg(package);
        for test in integration_tests(package)? {
            cmd = cmd.args("--test").arg(test);
        }
        if sh::tests_passed(&cmd.tee()?) == 0 {
            bail!("no test of {package} ran");
        }
        Ok(())
    }
}

/// The sysroot of rustup's nightly, which has the runtime archives of both sanitizers.
fn nightly() -> Result<PathBuf> {
    Cmd::toolchain("nightly", "rustc", "--print sysroot")
        .read()
        .map(PathBuf::from)
        .context("no nightly toolchain: `rustup toolchain install nightly --profile minimal`")
}

/// The parts that Debian gives; each file stands for its package.
fn tsan_flags(nightly: &Path) -> Result<String> {
    if let Some(part) = debian_part_missing() {
        bail!("no {part}: `cargo xtask setup` as root, or `apt-get install {}`", DEBIAN.join(" "));
    }
    let runtime = nightly.join(format!("lib/rustlib/{TRIPLE}/lib/librustc-nightly_rt.tsan.a"));
    if !runtime.exists() {
        bail!("no {}: `rustup toolchain install nightly --profile minimal`", runtime.display());
    }
    // GNU ld stumbles over the version of a libc symbol that the runtime intercepts, hence lld.
    Ok(format!(
        "-Zsanitizer=thread -Zexternal-clangrt -Clink-arg=-B/usr/lib/llvm-22/bin -Clink-arg=-fuse-ld=lld \
         -Clink-arg=-Wl,--whole-archive,{},--no-whole-archive \
         -Clink-arg=-lm -Clink-arg=-lpthread -Clink-arg=-ldl -Clink-arg=-lc",
        runtime.display()
    ))
}

/// The first part that is missing of Debian's compiler, its linker, and the sources of the language's own crates.
pub(crate) fn debian_part_missing() -> Option<String> {
    let parts = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/lib/llvm-22/bin/ld.lld"];
    if let Some(part) = parts.into_iter().find(|part| !Path::new(part).exists()) {
        return Some(part.to_owned());
    }
    let sysroot = Cmd::new("/usr/bin/rustc", "--print sysroot").untied().read().unwrap_or_default();
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock");
    (!sources.exists()).then(|| sources.display().to_string())
}

/// A package's integration tests but for the loom models, which need their own build, and the compile-fail tests,
/// which run the compiler.
fn integration_tests(package: &str) -> Result<Vec<String>> {
    test_names(metadata::own_packages()?, package)
}

fn test_names(packages: Vec<Package>, package: &str) -> Result<Vec<String>> {
    let found = packages
        .into_iter()
        .find(|found| found.name == package)
        .with_context(|| format!("no package {package} in the workspace"))?;
    let tests = found.targets.into_iter().filter(|target| target.is("test")).map(|target| target.name);
    Ok(tests
        .filter(|name| name != "loom" && !name.contains("compile_fail") && !name.contains("compile-fail"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loom_and_compile_fail_tests_are_left_out() {
        let metadata = r#"{"packages":[{"name":"smpcall","targets":[
            {"kind":["lib"],"name":"smpcall"}, {"kind":["test"],"name":"loom"},
            {"kind":["test"],"name":"compile_fail"}, {"kind":["test"],"name":"contract"}]}]}"#;
        let packages = || metadata::packages_of(metadata).unwrap();
        assert_eq!(test_names(packages(), "smpcall").unwrap(), ["contract"]);
        assert!(test_names(packages(), "smpcall-host").is_err());
    }
}
