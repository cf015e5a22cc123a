//! `models`: the loom models of the core, and the settings that the mutants share with them.

use crate::sh::{self, Cmd};
use anyhow::{Result, bail};

/// Runs all models, or those whose name contains `name`, each named as it ends.
pub(crate) fn run(name: Option<&str>) -> Result<()> {
    let mut cmd = with_loom(Cmd::cargo("test --release -p smpcall --all-features --test loom"))
        .env("CARGO_TARGET_DIR", sh::target_dir().join("loom"));
    // One model is run to be looked at: with LOOM_LOG=trace its steps are what one wants to see. Of all of them
    // one wants a line each.
    if let Some(name) = name {
        cmd = cmd.args("--").arg(name).args("--nocapture");
    }
    // A filter that matches nothing, or a `cfg` that lost its way, makes libtest succeed with no test at all.
    match sh::tests_passed(&cmd.tee()?) {
        0 => {
            bail!("no model ran{}", name.map(|n| format!(": none has `{n}` in its name")).unwrap_or_default())
        }
        count => {
            println!("{count} models hold with at most {} preemptions", preemptions());
            Ok(())
        }
    }
}

/// The environment in which the core is built for loom. Optimised, because models are slow, but quick to build and
/// with the debug assertions that guard each hand-over.
pub(crate) fn with_loom(cmd: Cmd) -> Cmd {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    cmd.env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start())
        .env("LOOM_MAX_PREEMPTIONS", preemptions())
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
}

/// How often loom may take a thread off its CPU in one execution: 3 unless LOOM_MAX_PREEMPTIONS says otherwise.
pub(crate) fn preemptions() -> String {
    std::env::var("LOOM_MAX_PREEMPTIONS").unwrap_or_else(|_| "3".to_owned())
}
