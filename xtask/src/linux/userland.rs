//! Programs that nobody here wrote, for the guest: Debian's stress-ng with its libraries, and the kernel's selftests.

use super::tree::{Tree, phase};
use crate::debian::Unpacked;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// stress-ng, and what it is linked with, from this Debian.
const STRESS_NG: Unpacked = Unpacked {
    folder: "stress-ng",
    suite: "bookworm",
    packages: "stress-ng libc6 libapparmor1 libbsd0 libcrypt1 libegl1 libgbm1 libgles2 libipsec-mb1 libjpeg62-turbo \
               libjudydebian1 libkmod2 libsctp1 libxxhash0 zlib1g libmd0 libglvnd0 libdrm2 libexpat1 libwayland-server0 \
               libffi8 liblzma5 libssl3 libzstd1 libgcc-s1",
};

/// A folder with the program, its loader as `ld.so`, and the libraries that the loader names.
pub(super) fn stress_ng() -> Result<PathBuf> {
    let folder = absolute("linux/stress-ng");
    if folder.join("stress-ng").exists() {
        return Ok(folder);
    }
    phase("stress-ng", || {
        STRESS_NG.fetch()?;
        let root = STRESS_NG.root();
        let program = root.join("usr/bin/stress-ng");
        let loader = root.join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        let folders = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
        let path = folders.map(|folder| root.join(folder).display().to_string()).join(":");
        let said = Cmd::new(&loader, "--library-path").arg(path).arg("--list").arg(&program).read()?;
        let libraries = libraries(&said);
        // All are those that were unpacked: the machine's own may be others.
        if let Some(foreign) = libraries.iter().find(|library| !library.starts_with(&root)) {
            bail!("{} is not of the packages", foreign.display());
        }
        ensure!(libraries.len() > 5, "the loader names few libraries: {said}");
        let unfinished = absolute("linux/stress-ng.unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished)?;
        fs::copy(&loader, unfinished.join("ld.so"))?;
        for library in &libraries {
            fs::copy(library, unfinished.join(library.file_name().context("a library without a name")?))?;
        }
        fs::copy(&program, unfinished.join("stress-ng"))?;
        fs::rename(&unfinished, &folder).context("cannot move stress-ng into place")
    })?;
    Ok(folder)
}

/// The paths in what a loader lists: `NAME => PATH (ADDRESS)`.
fn libraries(said: &str) -> Vec<PathBuf> {
    let path = |line: &str| line.split_once(" => ")?.1.split(" (").next().map(PathBuf::from);
    said.lines().filter_map(path).collect()
}

/// One of the kernel's selftests.
struct Selftest {
    name: &'static str,
    /// Below tools/testing/selftests; the first names the folder. A script is run as it is.
    sources: &'static [&'static str],
    flags: &'static str,
    args: &'static str,
}

const fn test(
    name: &'static str,
    sources: &'static [&'static str],
    flags: &'static str,
    args: &'static str,
) -> Selftest {
    Selftest { name, sources, flags, args }
}

/// Those that are about CPUs that call one another, end soon under emulation, and are built with nothing but a C library, or are scripts for a small shell.
/// (breakpoint_test and ldt_gdt fail in QEMU's emulation, on stock 7.3 as on ours.)
const SELFTESTS: [Selftest; 8] = [
    test("membarrier_test_single_thread", &["membarrier/membarrier_test_single_thread.c"], "", ""),
    test("membarrier_test_multi_thread", &["membarrier/membarrier_test_multi_thread.c"], "", ""),
    test("membarrier_rseq_stress", &["membarrier/membarrier_rseq_stress.c"], "", ""),
    test("rseq_basic_test", &["rseq/basic_test.c", "rseq/rseq.c"], "", ""),
    test("rseq_spinlock", &["rseq/param_test.c", "rseq/rseq.c"], "", "-T s -r 1000 -t 8"),
    test(
        "rseq_increment",
        &["rseq/param_test.c", "rseq/rseq.c"],
        "-DRSEQ_COMPARE_TWICE",
        "-T i -r 1000 -t 8",
    ),
    test("rseq_membarrier", &["rseq/param_test.c", "rseq/rseq.c"], "", "-T r -r 100 -t 8"),
    test("cpu-on-off-test", &["cpu-hotplug/cpu-on-off-test.sh"], "", "-a"),
];

/// A folder with the programs and their list for init, and their names. A series may lack one.
pub(super) fn selftests(tree: &Tree) -> Result<(PathBuf, Vec<&'static str>)> {
    let folder = tree.folder().join(format!("selftests-{}", tree.variant.name()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let (mut list, mut names) = (String::new(), Vec::new());
    phase("selftests", || {
        tree.make("headers", "headers.log")?;
        for test in &SELFTESTS {
            let sources: Vec<_> = test
                .sources
                .iter()
                .map(|source| tree.path.join("tools/testing/selftests").join(source))
                .collect();
            if let Some(lacks) = sources.iter().find(|source| !source.exists()) {
                println!("  {} has no {}", tree.series.name(), sh::shown(lacks));
                continue;
            }
            let program = build(tree, test, &sources, &folder)?;
            list += &format!("{} {program} {}\n", test.name, test.args);
            names.push(test.name);
        }
        fs::write(folder.join("list"), &list).context("cannot write the list of selftests")
    })?;
    Ok((folder, names))
}

/// How init is to start it.
fn build(tree: &Tree, test: &Selftest, sources: &[PathBuf], folder: &Path) -> Result<String> {
    let source = sources.first().context("a selftest without a source")?;
    let program = folder.join(test.name);
    if source.extension().is_some_and(|extension| extension == "sh") {
        fs::copy(source, &program)?;
        return Ok(format!("sh ./{}", test.name));
    }
    let include = |path: &str| format!("-I{}", tree.path.join(path).display());
    let mut gcc = Cmd::new("gcc", "-static -pthread -O2 -g -w").args(test.flags);
    for path in ["tools/include", "tools/arch/x86/include", "tools/testing/selftests"] {
        gcc = gcc.arg(include(path));
    }
    let own = source.parent().context("a source without a folder")?;
    gcc = gcc.arg(format!("-I{}", own.display())).arg("-isystem").arg(tree.path.join("usr/include"));
    for source in sources {
        gcc = gcc.arg(source);
    }
    gcc.arg("-o")
        .arg(&program)
        .read()
        .with_context(|| format!("the selftest {} does not build", test.name))?;
    Ok(format!("./{}", test.name))
}

/// What loads another kernel, and goes to it.
pub(super) fn kexec(tree: &Tree) -> Result<PathBuf> {
    let program = tree.folder().join("kexec");
    let source = sh::root().join("linux/kexec.c");
    Cmd::new("gcc", "-static -O2 -Wall -Werror").arg(source).arg("-o").arg(&program).read()?;
    Ok(program)
}

fn absolute(folder: &str) -> PathBuf {
    let at = sh::target_dir().join(folder);
    std::path::absolute(&at).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list_is_read() {
        let said = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => a/lib/libc.so.6 (0x2)\n\tld.so (0x3)\n";
        assert_eq!(libraries(said), [PathBuf::from("a/lib/libc.so.6")]);
    }

    #[test]
    #[ignore = "fetches packages"]
    fn stress_ng_runs_with_nothing_but_its_own_libraries() {
        let folder = stress_ng().unwrap();
        let said = Cmd::new(folder.join("ld.so"), "--library-path")
            .arg(&folder)
            .arg(folder.join("stress-ng"))
            .args("--version")
            .read()
            .unwrap();
        assert!(said.starts_with("stress-ng, version "), "{said}");
    }

    #[test]
    fn each_selftest_has_a_name_of_its_own() {
        let mut names: Vec<_> = SELFTESTS.iter().map(|test| test.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SELFTESTS.len());
        assert!(names.iter().all(|name| !name.contains(' ')));
    }
}
