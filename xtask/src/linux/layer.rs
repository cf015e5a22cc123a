//! Our half: the static object, and what of ours and of Linux's is changed in a source tree.

use super::{Series, cut};
use crate::sanitize;
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

const TARGET: &str = "x86_64-unknown-none";

/// As Linux builds its own Rust: the kernel's addresses, no red zone, marks at the targets of indirect jumps.
const FLAGS: &str = "-Crelocation-model=static -Ccode-model=kernel -Cno-redzone=y -Zcf-protection=branch -Cjump-tables=n \
    -Cforce-unwind-tables=no -Zplt=yes";

/// How the object is built where a kernel has something.
struct LikeLinux {
    /// Its configuration's line
    line: &'static str,
    flags: &'static str,
    /// What the object's folder is called for it
    name: &'static str,
    /// A function of the kernel's that an object calls which was built so, or how its name begins
    calls: &'static str,
}

/// What Linux gives its own Rust where it has these (arch/x86/Makefile, scripts/Makefile.kasan), and for KCSAN, which its Rust has not, its C
/// (scripts/Makefile.kcsan). Under KASAN each access asks Linux first; not of the stack's and of globals: the latter would want constructors,
/// which the merged object has not.
const LIKE_LINUX: [LikeLinux; 4] = [
    LikeLinux {
        line: "CONFIG_MITIGATION_RETPOLINE=y",
        flags: " -Zretpoline-external-thunk",
        name: "-retpoline",
        calls: "__x86_indirect_thunk_",
    },
    LikeLinux {
        line: "CONFIG_MITIGATION_RETHUNK=y",
        flags: " -Zfunction-return=thunk-extern",
        name: "-rethunk",
        calls: "__x86_return_thunk",
    },
    LikeLinux {
        line: "CONFIG_KASAN_GENERIC=y",
        flags: " -Zsanitizer=kernel-address -Zsanitizer-recover=kernel-address -Cllvm-args=-asan-mapping-offset=0xdffffc0000000000 \
                 -Cllvm-args=-asan-instrumentation-with-call-threshold=0 -Cllvm-args=-asan-stack=0 -Cllvm-args=-asan-globals=0",
        name: "-kasan",
        calls: "__asan_load8_noabort",
    },
    LikeLinux {
        line: "CONFIG_KCSAN=y",
        flags: " -Zsanitizer=thread -Cllvm-args=-tsan-distinguish-volatile=1",
        name: "-kcsan",
        calls: "__tsan_atomic64_load",
    },
];

/// From so many possible CPUs on multicasts are relayed.
const RELAYS_CPUS: u32 = 128;

/// Makes the new text of a file from the old.
type Cut = fn(Series, &str) -> Result<String>;

/// Linux's files that are changed, and how.
const CUTS: [(&str, Cut); 3] = [
    ("kernel/smp.c", cut::smp_c),
    ("kernel/cpu.c", |_, text| cut::cpu_c(text)),
    ("kernel/Makefile", |_, text| cut::makefile(text)),
];

/// Why the object cannot be built.
pub(super) fn missing() -> Option<String> {
    sanitize::debian_part_missing()
        .map(|part| format!("no compiler for a kernel: `cargo xtask setup` as root for Debian's (no {part})"))
}

pub(super) fn fetch() -> Result<()> {
    cargo("fetch --quiet --locked", &folder("layer"), &sh::root()).run()
}

/// Puts the layer of these sources into a tree. What has not changed is left alone, so that make does not build it anew.
pub(super) fn put_in(series: Series, tree: &Path, sources: &Path) -> Result<()> {
    let object = object(series, tree, sources)?;
    for (file, cut) in CUTS {
        let (path, stock) = (tree.join(file), tree.join(format!("{file}.stock")));
        if !stock.exists() {
            fs::copy(&path, &stock).with_context(|| format!("no {file} in the sources"))?;
        }
        put(&path, cut(series, &fs::read_to_string(&stock)?)?.as_bytes())?;
    }
    for file in ["smpcall_glue.c", "smpcall_glue.h"] {
        put(&tree.join("kernel").join(file), &fs::read(sources.join("linux/glue").join(file))?)?;
    }
    // With CONFIG_MODVERSIONS modpost reads this of each object: ours exports nothing.
    put(&tree.join("kernel/.smpcall_layer.o.cmd"), b"savedcmd_kernel/smpcall_layer.o := cp\n")?;
    put(&tree.join("kernel/smpcall_layer.o_shipped"), &fs::read(object)?)
}

/// Puts back what was changed in a tree that had ours, so that make builds the stock kernel of it.
pub(super) fn take_out(tree: &Path) -> Result<()> {
    for (file, _) in CUTS {
        let (path, stock) = (tree.join(file), tree.join(format!("{file}.stock")));
        put(&path, &fs::read(&stock).with_context(|| format!("no {} to put back", stock.display()))?)?;
        fs::remove_file(&stock)?;
    }
    Ok(())
}

/// How the object is built for a kernel of that configuration: with its mitigations and sanitizer, and with what only many CPUs need.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    flags: String,
    features: Vec<&'static str>,
    name: String,
    calls: Vec<&'static str>,
}

impl Built {
    /// What it is built for: rustc offers its thread sanitizer only for targets with threads of their own, so that for KCSAN, which has that one's
    /// interface, the target is one that says that it has it.
    fn target(&self, folder: &Path) -> Result<PathBuf> {
        if !self.flags.contains("-Zsanitizer=thread") {
            return Ok(PathBuf::from(TARGET));
        }
        let mut target: serde_json::Value = serde_json::from_str(
            &Cmd::debian_rustc("-Zunstable-options --print target-spec-json --target").arg(TARGET).read()?,
        )?;
        let sanitizers =
            target["supported-sanitizers"].as_array_mut().context("a target without sanitizers")?;
        sanitizers.push("thread".into());
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{TARGET}-kcsan.json"));
        put(&path, target.to_string().as_bytes())?;
        Ok(path)
    }
}

fn built(series: Series, config: &str) -> Built {
    let has = |line: &str| config.lines().any(|has| has == line);
    let cpus = config.lines().find_map(|line| line.strip_prefix("CONFIG_NR_CPUS=")?.parse::<u32>().ok());
    let mut built =
        Built { flags: FLAGS.to_owned(), features: Vec::new(), name: "layer".to_owned(), calls: Vec::new() };
    for like in LIKE_LINUX {
        if has(like.line) {
            built.flags += like.flags;
            built.name += like.name;
            built.calls.push(like.calls);
        }
    }
    if cpus.is_some_and(|cpus| cpus >= RELAYS_CPUS) {
        built.features.push("relays");
    }
    if series == Series::L7_3 {
        built.features.push("cpu-number");
        // Its waiting calls are preempted, where anything is; 6.12's never are.
        if has("CONFIG_PREEMPTION=y") {
            built.features.push("preemptible");
        }
    }
    for feature in &built.features {
        built.name += &format!("-{feature}");
    }
    built
}

fn put(path: &Path, new: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() != Some(new) {
        fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Builds the object: of the static library only our own, with what it reaches, in sections that the kernel's linker knows.
pub(super) fn object(series: Series, tree: &Path, sources: &Path) -> Result<PathBuf> {
    let config = fs::read_to_string(tree.join(".config")).context("the kernel is not configured")?;
    let built = built(series, &config);
    // Apart, or cargo would take what it made of the others for today's.
    let of_root = sources == sh::root();
    let folder = folder(&format!("{}{}", built.name, if of_root { "" } else { "-other" }));
    let target = built.target(&folder)?;
    cargo("build --release --quiet --locked", &folder, sources)
        .arg(format!("--features={}", built.features.join(",")))
        .args(if target.extension().is_some() { "-Zjson-target-spec" } else { "" })
        .arg("--target")
        .arg(&target)
        .env("RUSTFLAGS", &built.flags)
        .run()?;
    let library = folder.join(target.file_stem().unwrap_or_default()).join("release/libsmpcall_linux.a");
    let parts = folder.join("parts");
    let _ = fs::remove_dir_all(&parts);
    fs::create_dir_all(&parts)?;
    Cmd::new("ar", "x").arg(&library).dir(&parts).read()?;
    let mut ours = Vec::new();
    for part in fs::read_dir(&parts)? {
        let part = part?.path();
        if part.file_name().is_some_and(|name| name.to_string_lossy().starts_with("smpcall_linux")) {
            ours.push(part);
        }
    }
    let object = folder.join("smpcall_layer.o");
    let script = sh::root().join("linux/layer/merge.ld");
    let mut link = Cmd::new("ld", "-r --gc-sections -T").arg(script).arg("-o").arg(&object);
    let called = called()?;
    for name in &called {
        link = link.arg("-u").arg(name);
    }
    for part in ours {
        link = link.arg(part);
    }
    link.read()?;
    let reached = Cmd::new("nm", "-u").arg(&object).read()?;
    for calls in built.calls {
        ensure!(
            reached.contains(calls),
            "the object was not built as its kernel is: it never calls `{calls}`"
        );
    }
    Ok(object)
}

/// What the glue calls: the functions of its header's first half.
fn called() -> Result<Vec<String>> {
    let header = fs::read_to_string(sh::root().join("linux/glue/smpcall_glue.h"))?;
    let called = names(&header);
    if called.is_empty() {
        bail!("the glue's header names none of the core's functions");
    }
    Ok(called)
}

fn names(header: &str) -> Vec<String> {
    let word = |text: &str| text.rsplit([' ', '*']).next().unwrap_or_default().to_owned();
    let declared = header.lines().filter_map(|line| line.split_once('(')).map(|(before, _)| word(before));
    declared.filter(|name| name.starts_with("smpcall_") && !name.starts_with("smpcall_glue_")).collect()
}

/// The text of what is ours in C.
pub(super) fn glue() -> Result<String> {
    Ok(fs::read_to_string(sh::root().join("linux/glue/smpcall_glue.c"))?)
}

fn cargo(verb: &str, folder: &Path, sources: &Path) -> Cmd {
    Cmd::debian_cargo(verb)
        .env("CARGO_TARGET_DIR", folder)
        .args("-Zbuild-std=core,compiler_builtins")
        .dir(&sources.join("linux/layer"))
}

/// A folder of the layer's, whole: cargo is told of it in another one.
pub(super) fn folder(name: &str) -> PathBuf {
    let at = sh::target_dir().join("linux").join(name);
    std::path::absolute(&at).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_put_back() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("kernel")).unwrap();
        assert!(take_out(tree.path()).is_err(), "nothing was changed in it");
        for (file, _) in CUTS {
            fs::write(tree.path().join(file), "cut").unwrap();
            fs::write(tree.path().join(format!("{file}.stock")), "whole").unwrap();
        }
        take_out(tree.path()).unwrap();
        for (file, _) in CUTS {
            assert_eq!(fs::read_to_string(tree.path().join(file)).unwrap(), "whole");
            assert!(!tree.path().join(format!("{file}.stock")).exists(), "the next copy is cut anew");
        }
    }

    #[test]
    fn the_object_has_the_kernels_mitigations_and_no_more() {
        let plain = built(Series::L6_12, "# CONFIG_CPU_MITIGATIONS is not set\nCONFIG_NR_CPUS=64\n");
        assert_eq!((plain.flags.as_str(), plain.name.as_str()), (FLAGS, "layer"));
        assert!(plain.features.is_empty());
        let wide = built(
            Series::L6_12,
            "CONFIG_MITIGATION_RETPOLINE=y\nCONFIG_MITIGATION_RETHUNK=y\nCONFIG_NR_CPUS=128\n",
        );
        assert!(wide.flags.contains("retpoline") && wide.flags.contains("thunk-extern"), "{wide:?}");
        assert_eq!((wide.features, wide.name.as_str()), (vec!["relays"], "layer-retpoline-rethunk-relays"));
        let kasan = built(Series::L7_3, "CONFIG_KASAN_GENERIC=y\nCONFIG_NR_CPUS=64\n");
        assert!(kasan.flags.contains("-Zsanitizer=kernel-address"), "{kasan:?}");
        assert_eq!(kasan.name, "layer-kasan-cpu-number");
        assert_eq!(kasan.calls, ["__asan_load8_noabort"]);
        let kcsan = built(Series::L7_3, "CONFIG_KCSAN=y\nCONFIG_NR_CPUS=64\n");
        assert!(kcsan.flags.contains("-Zsanitizer=thread"), "{kcsan:?}");
        assert_eq!((kcsan.name.as_str(), kcsan.calls.len()), ("layer-kcsan-cpu-number", 1));
        let newer = |config| built(Series::L7_3, config).features;
        assert_eq!(newer("CONFIG_NR_CPUS=64\n"), ["cpu-number"]);
        assert_eq!(newer("CONFIG_PREEMPTION=y\n"), ["cpu-number", "preemptible"]);
        assert!(
            built(Series::L6_12, "CONFIG_PREEMPTION=y\n").features.is_empty(),
            "6.12's waits are not preemptible"
        );
    }

    #[test]
    fn the_header_names_what_is_linked() {
        let header = "/* (a comment) */\nconst char *smpcall_version(void);\nbool smpcall_has_work(void);\n\
                      void smpcall_glue_ring(u32 cpu);\n";
        assert_eq!(names(header), ["smpcall_version", "smpcall_has_work"]);
        let called = called().unwrap();
        assert!(called.contains(&"smpcall_flush".to_owned()) && called.len() >= 12, "{called:?}");
    }
}
