//! A server as a process: it says where it listens, answers each line with what it has counted, and ends with its input.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// How long it may take to end.
const END: Duration = Duration::from_secs(30);

pub(super) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    port: u16,
}

/// What it has counted since its start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) allocations: u64,
    pub(super) cpu_us: u64,
}

impl Server {
    pub(super) fn start(program: &Path, args: &str, shards: u32) -> Result<Self> {
        let mut child = Command::new(program)
            .args(args.split(' '))
            .args(["--shards", &shards.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let input = child.stdin.take();
        let output =
            BufReader::new(child.stdout.take().context("a child without the pipe that was asked for")?);
        let mut server = Self { child, input, output, port: 0 };
        let line = server.line()?;
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        server.port = port.with_context(|| format!("it says no port: {line}"))?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process's number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn counts(&mut self) -> Result<Counts> {
        self.input.as_mut().context("it has ended")?.write_all(b"\n")?;
        let line = self.line()?;
        Counts::read(&line).with_context(|| format!("no counts: {line}"))
    }

    pub(super) fn end(mut self) -> Result<()> {
        drop(self.input.take());
        match self.child.wait_timeout(END)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("a server ended with {status}"),
            None => bail!("a server does not end"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Server {
    /// After an error: nothing is left running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Counts {
    fn read(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split(' ').collect();
        let of = |name: &str| words.chunks(2).find(|pair| pair[0] == name)?.get(1)?.parse().ok();
        Some(Self { requests: of("requests")?, allocations: of("allocations")?, cpu_us: of("cpu_us")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_by_their_names() {
        let line = "requests 5 foreign 2 allocations 7 cpu_us 11 switches 1";
        assert_eq!(Counts::read(line), Some(Counts { requests: 5, allocations: 7, cpu_us: 11 }));
        assert_eq!(Counts::read("requests 5 allocations"), None);
    }
}
