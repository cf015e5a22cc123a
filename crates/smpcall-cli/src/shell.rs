//! `smpcall completions`, `smpcall man`: what shells and `man` show, made of the description that parses the flags.

use crate::Cli;
use crate::output::{Folder, count_of, say};
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man as Page;
use std::path::PathBuf;

/// For the help.
pub(crate) const COMPLETIONS: &[(&str, &str)] = &[
    ("smpcall completions bash", "to ~/.local/share/bash-completion/completions/smpcall"),
    ("smpcall completions zsh", "to a file `_smpcall` in a folder of $fpath"),
    ("smpcall completions fish", "to ~/.config/fish/completions/smpcall.fish"),
];
pub(crate) const MAN: &[(&str, &str)] =
    &[("smpcall man --out man1", "then `man -l man1/smpcall.1`, `man -l man1/smpcall-sim.1`")];

/// Whose completions.
#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Where to.
#[derive(clap::Args)]
pub(crate) struct Man {
    /// The folder that the pages are written to; it must be there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Prints them.
pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "smpcall", &mut script);
    say!("{}", String::from_utf8(script)?.trim_end())
}

/// Writes `smpcall.1`, and `smpcall-NAME.1` for each subcommand, and theirs.
pub(crate) fn man(args: &Man) -> Result<()> {
    let folder =
        Folder::open(&args.out).with_context(|| format!("cannot write to {}", args.out.display()))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![command];
    let mut next = 0;
    while let Some(above) = pages.get(next) {
        let named = |below: &Command| {
            let name = format!("{}-{}", above.get_name(), below.get_name());
            below.clone().name(name.clone()).display_name(name)
        };
        let below: Vec<_> = above.get_subcommands().map(named).collect();
        pages.extend(below);
        next += 1;
    }
    for page in &pages {
        let mut text = Vec::new();
        Page::new(page.clone()).render(&mut text)?;
        folder.replace(&args.out.join(format!("{}.1", page.get_name())), &text)?;
    }
    say!("{} in {}", count_of(pages.len() as u64, "page"), args.out.display())
}
