//! `docs`: what a reader opens. [`run`] builds rustdoc with every warning an error, checks the commands that the documents show
//! ([`commands`]) and that the README's plot is of today's figures ([`plot`]), and builds the book ([`book`]).
//!
//! Links between the documents' sources, and their anchors, are `tidy`'s; here are those of the pages that are built.

pub(crate) mod book;
mod commands;
mod plot;

use crate::sh::Cmd;
use anyhow::{Result, bail};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only draw the README's plot, of the figures in docs/peers.md
    #[arg(long)]
    plot: bool,
}

/// All of it; what only the book needs must be there.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.plot {
        return plot::draw();
    }
    match book::missing() {
        None => book::run()?,
        Some(why) => bail!("the book: {why}"),
    }
    check()
}

/// What needs no tool but cargo.
pub(crate) fn check() -> Result<()> {
    plot::check()?;
    commands::check()?;
    rustdoc()
}

/// Private items first, for the links in the modules' own docs, then what users read: there a link to a private
/// item is a fault. The command is apart, because its program has the name of the core's library.
fn rustdoc() -> Result<()> {
    for what in [
        "-p smpcall-cli --document-private-items",
        "--workspace --exclude smpcall-cli --document-private-items",
        "--workspace --lib",
    ] {
        Cmd::cargo("doc --no-deps").args(what).env("RUSTDOCFLAGS", "-D warnings").run()?;
    }
    Ok(())
}
