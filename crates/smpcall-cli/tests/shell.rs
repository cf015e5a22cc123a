//! Completions, manual pages, and colours.

use nix::pty::openpty;
use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

const SUBCOMMANDS: [&str; 9] =
    ["run", "torture", "sim", "litmus", "trace", "report", "top", "completions", "man"];

fn smpcall(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smpcall"));
    command.args(arguments);
    command
}

#[test]
fn completions_know_every_subcommand_and_bash_reads_its_own() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = smpcall(&["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{shell}");
        for name in SUBCOMMANDS.iter().chain(&["onoff-interval"]) {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    let script = smpcall(&["completions", "bash"]).output().unwrap().stdout;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smpcall.bash");
    fs::write(&file, script).unwrap();
    // What bash would offer behind `smpcall tor`.
    let ask = format!(
        "source {} && COMP_WORDS=(smpcall tor) COMP_CWORD=1 && _smpcall smpcall tor smpcall && echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    match Command::new("bash").args(["--norc", "-c", &ask]).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "torture", "{output:?}"),
        Err(why) => eprintln!("SKIPPED: no bash: {why}"),
    }
}

#[test]
fn each_subcommand_has_a_page_with_its_flags_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let output = smpcall(&["man", "--out", folder.path().to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut pages: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let mut wanted: Vec<_> = SUBCOMMANDS.iter().map(|name| format!("smpcall-{name}.1")).collect();
    wanted.extend(["smpcall.1", "smpcall-sim-merge.1"].map(str::to_owned));
    wanted.sort();
    assert_eq!(pages, wanted);
    for page in &pages {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(
            text.contains(".TH ") && text.contains("Exit codes:") && text.contains("Examples:"),
            "{page}"
        );
    }
    let torture = fs::read_to_string(folder.path().join("smpcall-torture.1")).unwrap().replace('\\', "");
    assert!(torture.contains("--onoff-interval"), "{torture}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let output = smpcall(&["man", "--out", "no/such/folder"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to no/such/folder"), "{said}");
}

/// What the help looks like on a terminal.
fn on_a_terminal(no_color: Option<&str>) -> String {
    let pty = openpty(None, None).expect("a terminal");
    let mut command = smpcall(&["--help"]);
    command.env_remove("NO_COLOR").env_remove("CLICOLOR").env("TERM", "xterm");
    command.envs(no_color.map(|value| ("NO_COLOR", value)));
    let mut child = command.stdout(Stdio::from(pty.slave)).spawn().expect("it starts");
    // The command holds the other end, and nobody else.
    drop(command);
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    let mut terminal = File::from(pty.master);
    // Its end is an error: there is no other side any more.
    while let Ok(len @ 1..) = terminal.read(&mut part) {
        said.extend(&part[..len]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(said).unwrap()
}

#[test]
fn no_color_is_heeded() {
    let (coloured, plain) = (on_a_terminal(None), on_a_terminal(Some("1")));
    assert!(coloured.contains("torture") && coloured.contains('\x1b'), "{coloured}");
    assert!(plain.contains("torture") && !plain.contains('\x1b'), "{plain}");
}
