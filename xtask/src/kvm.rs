//! `kvm`: vCPUs as CPUs, where there is KVM: more kicks than the tests make by themselves, the example, and the rival once.

use crate::sh::Cmd;
use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use std::fs::File;

/// How much.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Calls to guests that sleep in the kernel; those that compute get a twentieth of it, or a tenth
    #[arg(long, default_value_t = KICKS)]
    kicks: u64,
}

/// About ten seconds' worth.
const KICKS: u64 = 100_000;

/// Why no vCPU runs here.
pub(crate) fn missing() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the guests are x86-64's".to_owned());
    }
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    kvm.err().map(|why| format!("/dev/kvm: {why}"))
}

pub(crate) fn step() -> Result<()> {
    run(KICKS)
}

pub(crate) fn verb(args: &Args) -> Result<()> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    run(args.kicks)
}

fn run(kicks: u64) -> Result<()> {
    Cmd::cargo("test --release -p smpcall-kvm --test kvm -- --nocapture --test-threads 1")
        .env("SMPCALL_KVM_KICKS", kicks.to_string())
        .env("SMPCALL_TEST_BOUND", "1400")
        .run()?;
    Cmd::cargo("run --release -p smpcall-kvm --example kick").run()?;
    Cmd::cargo("run --release -p smpcall-kvm --example latency -- 300").run()
}
