//! A compiler that is newer than this machine's: kernels follow the language's nightly builds, and their crates use what is unstable.
//! Debian's, unpacked into the target folder, with its libraries and the sources of the language's own crates.

use crate::debian::Unpacked;
use crate::sh::Cmd;
use anyhow::Result;
use std::path::Path;

/// One version: what is unstable differs from one to the next. It moves from one suite to the other.
const RUST: Unpacked = Unpacked {
    folder: "rust-newer",
    suite: "experimental sid",
    packages: "rustc=1.98.* libstd-rust-1.98 libstd-rust-dev=1.98.* rust-src=1.98.* libllvm22 libc6 libgcc-s1 libstdc++6 libz3-4 \
        libzstd1 zlib1g libffi8 libedit2 libbsd0 libmd0 libtinfo6 libxml2-16",
};

/// Why it is not to be had, if it is not.
pub(crate) fn missing() -> Option<String> {
    let sources = RUST.root().join("usr/lib/rustlib/src/rust/library/Cargo.lock");
    let there = RUST.compiler().exists() && sources.exists();
    (!there).then(|| "no Rust 1.98: `cargo xtask setup` fetches Debian's".to_owned())
}

/// Fetches it, once.
pub(crate) fn fetch() -> Result<()> {
    RUST.fetch_compiler()
}

/// Debian's cargo in that folder, with this compiler.
pub(super) fn cargo(verb: &str, folder: &Path) -> Cmd {
    Cmd::debian_cargo(verb).dir(folder).env("RUSTC", RUST.compiler())
}
