//! How the command ends: its exit codes, where nobody reads what it prints, where a disk is full, where no thread can be
//! started, and by ctrl-C; and what it says where there is only one core.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{AT_MOST, Running, output, smpcall, text};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::{Pid, geteuid};
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, pipe};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a shell says of a program that SIGPIPE has ended.
const CLOSED_PIPE: i32 = 141;
/// Every subcommand, short; `{}` is a folder.
const ALL: [&str; 10] = [
    "run --seconds 0.1 --cpus 2",
    "--seconds 0.1 --cpus 2",
    "litmus --posts 1000",
    "torture --seconds 0.2 --cpus 2",
    "sim --seeds 2",
    "sim --scale=2",
    "trace --seconds 0.02 --out {}/trace.json",
    "report --seconds 0.1 --rounds 1 --posts 1000 --out {}/report.html",
    "completions bash",
    "man --out {}",
];
const HELP: [&str; 12] = [
    "--help",
    "-h",
    "--version",
    "run --help",
    "litmus --help",
    "torture --help",
    "sim --help",
    "trace --help",
    "report --help",
    "top --help",
    "completions --help",
    "man --help",
];

impl Running {
    /// It takes ctrl-C, as from a terminal: what a shell starts in the background ignores SIGINT, and so would its children.
    fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let takes_interrupts = || {
            // SAFETY: no handler is installed, and the default one is sound anywhere.
            unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }?;
            Ok(())
        };
        // SAFETY: between fork and exec it makes one system call, which is async-signal-safe; and it allocates nothing.
        unsafe { command.pre_exec(takes_interrupts) };
        Self(command.spawn().expect("the command starts"))
    }

    /// Its first line on standard output, of which nothing else is read.
    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.0.stdout.as_mut().expect("it is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        line
    }

    /// Nobody reads its standard output any more.
    fn close(&mut self) {
        drop(self.0.stdout.take());
    }

    /// Waits until it has started a thread.
    fn until_it_works(&mut self) {
        let tasks = format!("/proc/{}/task", self.0.id());
        let since = Instant::now();
        while fs::read_dir(&tasks).expect("it is there").count() < 2 {
            assert!(since.elapsed() < AT_MOST && self.0.try_wait().unwrap().is_none(), "it does not work");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn interrupt(&self) {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGINT).expect("it is there");
    }

    fn end(mut self) -> (ExitStatus, String) {
        let status = self.wait();
        let mut complaints = String::new();
        self.0.stderr.take().expect("it is a pipe").read_to_string(&mut complaints).expect("it is text");
        (status, complaints)
    }
}

#[test]
fn every_print_to_a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ALL.into_iter().chain(HELP) {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let arguments = arguments.replace("{}", folder.path().to_str().unwrap());
        let ended = output(smpcall(&arguments).stdout(writer));
        assert_eq!(
            (ended.status.code(), text(&ended.stderr)),
            (Some(CLOSED_PIPE), String::new()),
            "{arguments}"
        );
    }
}

#[test]
fn every_print_to_a_full_disk_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ALL.into_iter().chain(HELP) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let arguments = arguments.replace("{}", folder.path().to_str().unwrap());
        let ended = output(smpcall(&arguments).stdout(full));
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(
            stderr.starts_with("error: cannot write to standard output: ") && stderr.lines().count() == 1,
            "{arguments}: {stderr}"
        );
    }
}

#[test]
fn complaints_that_cannot_be_printed_change_no_exit_code() {
    for (arguments, code) in [("--cpus 0", 2), ("sim --seed 5 --seeds 100 --steps-max 50 --keep-going", 1)] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = output(smpcall(arguments).stderr(full));
        assert_eq!(ended.status.code(), Some(code), "{arguments}");
    }
}

#[test]
fn results_are_written_before_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ["run --seconds 0.1 --cpus 1", "litmus --posts 1000", "sim --scale=2"] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let path = folder.path().join("results.json");
        let ended = output(smpcall(arguments).arg("--json").arg(&path).stdout(writer));
        assert_eq!(ended.status.code(), Some(CLOSED_PIPE), "{arguments}");
        let written = fs::read_to_string(&path).expect("the file was written");
        assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{arguments}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_failure_is_told_also_where_nobody_reads_the_rest() {
    let mut sim = Running::start(&mut smpcall("sim --seed 5 --seeds 100 --steps-max 50"));
    assert!(sim.first_line().starts_with("first seed 5; "));
    sim.close();
    let (status, stderr) = sim.end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("seed ") && !stderr.contains("panicked"), "{stderr}");
}

/// It prints again only after ten seconds.
#[test]
fn a_long_torture_ends_when_nobody_reads_it_any_more() {
    let mut torture = Running::start(&mut smpcall("torture --seconds 3600 --cpus 2"));
    assert!(torture.first_line().starts_with("seed "));
    torture.close();
    let (status, stderr) = torture.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(CLOSED_PIPE), ""));
}

/// The number after `--seed` in the command line that is printed first.
fn seed(line: &str) -> u64 {
    let (_, rest) = line.split_once(" --seed ").unwrap_or_else(|| panic!("no seed in {line:?}"));
    rest.split_whitespace().next().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_seed_is_known_from_the_start() {
    for arguments in
        ["torture --seconds 3600 --cpus 2", "sim --seconds 3600", "sim --seeds 1000000000 --partition 1/2"]
    {
        let mut run = Running::start(&mut smpcall(arguments));
        let line = run.first_line();
        run.interrupt();
        let drawn = seed(&line);
        assert!(
            line.starts_with(&format!("seed {drawn}; "))
                || line.starts_with(&format!("first seed {drawn}; "))
        );
        let (_, again) = line.trim_end().split_once("smpcall ").expect("a command line");
        // The line that is printed means the same run.
        let mut repeated = Running::start(&mut smpcall(again));
        assert_eq!(repeated.first_line(), line, "{arguments}");
        repeated.interrupt();
        assert_eq!(run.end().0.signal(), Some(Signal::SIGINT as i32), "{arguments}");
        assert_eq!(repeated.end().0.signal(), Some(Signal::SIGINT as i32), "{arguments}");
    }
}

#[test]
fn a_run_that_is_interrupted_leaves_files_as_they_were() {
    for (arguments, file) in [
        ("run --seconds 3600", "--json"),
        ("litmus --posts 1000000000000", "--json"),
        ("torture --seconds 3600 --cpus 2", "--json"),
        ("sim --seconds 3600", "--json"),
        ("sim --seconds 3600", "--trace"),
        ("trace --seconds 3600", "--out"),
    ] {
        for before in [None, Some("before")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("results.json");
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            let mut run = Running::start(smpcall(arguments).arg(file).arg(&path));
            // Then it has looked at its files.
            if arguments.starts_with("sim") {
                assert!(run.0.stdout.as_mut().expect("a pipe").read(&mut [0]).unwrap() > 0);
            } else {
                run.until_it_works();
            }
            run.interrupt();
            assert_eq!(run.end().0.signal(), Some(Signal::SIGINT as i32), "{arguments}");
            let names = entries(folder.path());
            match before {
                None => assert_eq!(names, [] as [&str; 0], "{arguments} {file}"),
                Some(before) => {
                    assert_eq!(names, ["results.json"], "{arguments} {file}");
                    assert_eq!(fs::read_to_string(&path).unwrap(), before, "{arguments} {file}");
                }
            }
        }
    }
}

/// The command where its user may have only so many threads. Where this user is root, for whom there is no such limit, it is
/// another user.
struct Limited {
    folder: tempfile::TempDir,
    user: Option<String>,
}

impl Limited {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Who has no process; not the same for each test process, or they would count together.
        let user = geteuid().is_root().then(|| (20_000 + std::process::id() % 40_000).to_string());
        // A copy: the other user may not be let into the folders that lead to it.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_smpcall"), folder.path().join("smpcall")).unwrap();
        Self { folder, user }
    }

    /// Without root, the user's other threads count, and not one can be started.
    fn limits(&self) -> RangeInclusive<u32> {
        if self.user.is_some() { 1..=7 } else { 1..=1 }
    }

    fn smpcall(&self, threads: u32, arguments: &str) -> Command {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={threads}:{threads}"));
        if let Some(user) = &self.user {
            command.args(["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.arg(self.folder.path().join("smpcall")).args(arguments.split_whitespace());
        command
    }
}

#[test]
fn where_a_thread_cannot_be_started_the_cause_is_told() {
    let limited = Limited::new();
    for threads in limited.limits() {
        for (arguments, needs) in [
            ("run --seconds 0.1 --cpus 4", 9),
            ("litmus --posts 1000", 2),
            ("torture --seconds 0.2 --cpus 8", 11),
            ("trace --seconds 0.02 --out /dev/null", 6),
        ] {
            let ended = output(&mut limited.smpcall(threads, arguments));
            let (stdout, stderr) = (text(&ended.stdout), text(&ended.stderr));
            let about = format!("{arguments}, {threads} threads: {stdout}{stderr}");
            // Where there are just enough, one that has ended may count still when the next is to start.
            if ended.status.success() {
                assert!(threads >= needs, "{about}");
                continue;
            }
            assert_eq!(ended.status.code(), Some(1), "{about}");
            let said = stderr.strip_prefix("error: cannot start ").unwrap_or_else(|| panic!("{about}"));
            assert!(said.contains("thread") && said.contains("os error 11"), "{about}");
            assert!(stderr.lines().count() == 1 && !stderr.contains("0 errors"), "{about}");
        }
    }
}

/// What the command prints where it has one core.
fn on_one_core(arguments: &str) -> String {
    let core = smpcall_host::allowed_cores()[0].to_string();
    let mut command = Command::new("taskset");
    command.args(["-c", &core, env!("CARGO_BIN_EXE_smpcall")]).args(arguments.split_whitespace());
    let ended = output(&mut command);
    let stdout = text(&ended.stdout);
    assert!(ended.status.success(), "{arguments}: {stdout}{}", text(&ended.stderr));
    stdout
}

#[test]
fn on_one_core_all_sentences_are_true() {
    let run = on_one_core("run --seconds 0.1 --cpus 1");
    assert!(run.starts_with("1 CPU checked; timed between two threads that share core "), "{run}");
    let line = run.lines().find(|line| line.starts_with("  line ")).expect("the floor");
    assert!(line.contains("between the same two threads, which share a core"), "{line}");
    let litmus = on_one_core("litmus --posts 1");
    assert!(
        litmus.starts_with("1 raced post under each protocol\nBoth threads share the one core "),
        "{litmus}"
    );
    for printed in
        [run, litmus, on_one_core("run --seconds 0.1"), on_one_core("torture --seconds 0.5 --cpus 1")]
    {
        for untrue in ["1 CPUs", "1 raced posts", "two cores", "from core", "one call at a time"] {
            assert!(!printed.contains(untrue), "{untrue}: {printed}");
        }
    }
}

#[test]
fn one_thing_is_not_several() {
    let ended = output(&mut smpcall("sim --seed 5 --steps-max 20 --cpus 1"));
    let stderr = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("made small: 1 CPU of 1, "), "{stderr}");
    assert!(stderr.contains("error: 1 of 1 seed failed: [5]"), "{stderr}");
}

#[test]
fn the_help_of_every_subcommand_lists_the_exit_codes() {
    for arguments in HELP.into_iter().filter(|arguments| !arguments.contains("version")) {
        let ended = output(&mut smpcall(arguments));
        let help = text(&ended.stdout);
        assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(0), String::new()), "{arguments}");
        let (_, codes) = help.split_once("\nExit codes:\n").unwrap_or_else(|| panic!("{arguments}: {help}"));
        let listed: Vec<_> =
            codes.lines().map_while(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
        assert_eq!(listed, ["0", "1", "2", "141"], "{arguments}");
    }
}
