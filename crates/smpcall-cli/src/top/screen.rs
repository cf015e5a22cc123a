//! The terminal: its other screen, keys one by one, and signals as something to read. Dropped, it is as it was.

use super::view::View;
use crate::output::printed;
use anyhow::{Context, Result};
use console::Term;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Ctrl-C, which makes no signal here.
const CTRL_C: u8 = 3;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Redraw,
}

/// A terminal that is ours for a while.
pub(super) struct Screen {
    before: Termios,
    signals: SignalFd,
    /// How many rows are above the window.
    scrolled: usize,
    /// As many as can be, so that the last is at the end.
    scrolled_max: usize,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // An error: the terminal has gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}

impl Screen {
    /// Takes the terminal; `None` where there is none, or one that only prints.
    pub(super) fn open() -> Result<Option<Self>> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if is_dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let mut signals = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH]
            .into_iter()
            .for_each(|signal| signals.add(signal));
        signals.thread_block().context("cannot block signals")?;
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .context("cannot read signals")?;
        let before = tcgetattr(io::stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        // From here on it is put back, whatever comes.
        let screen = Self { before, signals, scrolled: 0, scrolled_max: 0 };
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &raw).context("cannot change the terminal's settings")?;
        put(ENTER)?;
        Ok(Some(screen))
    }

    /// Draws as much of it as there is room for.
    pub(super) fn draw(&mut self, view: &View) -> Result<()> {
        let (height, width) = Term::stdout().size();
        let (frame, scrolled_max) = frame(view, height.into(), width.into(), self.scrolled);
        self.scrolled_max = scrolled_max;
        self.scrolled = self.scrolled.min(scrolled_max);
        put(&frame)
    }

    /// Waits for a key or a signal; `None` when the time is up.
    pub(super) fn wait(&mut self, at_most: Duration) -> Result<Option<Key>> {
        let stdin = io::stdin();
        let mut ready = [
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        let millis = at_most.as_millis().saturating_add(1).min(i32::MAX as u128) as i32;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        // An error is a signal's that nobody reads: as if the time were up.
        poll(&mut ready, timeout).unwrap_or(0);
        let (has_key, has_signal) = (ready[0].any() == Some(true), ready[1].any() == Some(true));
        if has_signal {
            return Ok(Some(self.signalled()));
        }
        if !has_key {
            return Ok(None);
        }
        let mut bytes = [0; 16];
        // Not through std's buffer, which `poll` does not see.
        let len = nix::unistd::read(stdin.as_fd(), &mut bytes).context("cannot read the terminal")?;
        Ok(Some(self.pressed(&bytes[..len])))
    }

    fn signalled(&mut self) -> Key {
        let mut key = Key::Redraw;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo != Signal::SIGWINCH as u32 {
                key = Key::Quit;
            }
        }
        key
    }

    fn pressed(&mut self, bytes: &[u8]) -> Key {
        match bytes {
            // The terminal has gone.
            [] => return Key::Quit,
            [b'q' | b'Q' | CTRL_C, ..] => return Key::Quit,
            b"\x1b[A" | b"k" => self.scrolled = self.scrolled.saturating_sub(1),
            b"\x1b[B" | b"j" => self.scrolled = (self.scrolled + 1).min(self.scrolled_max),
            b"\x1b[5~" => self.scrolled = self.scrolled.saturating_sub(10),
            b"\x1b[6~" => self.scrolled = (self.scrolled + 10).min(self.scrolled_max),
            _ => {}
        }
        Key::Redraw
    }
}

fn put(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What is written for one picture; and how far it can be scrolled.
fn frame(view: &View, height: usize, width: usize, scrolled: usize) -> (String, usize) {
    let room = height.saturating_sub(view.head.len() + 1).max(1);
    let scrolled_max = view.rows.len().saturating_sub(room);
    let scrolled = scrolled.min(scrolled_max);
    let below = view.rows.len() - view.rows.len().min(scrolled + room);
    let help = match (scrolled, below) {
        (0, 0) => "q: end".to_owned(),
        (above, below) => format!("q: end   up, down: {above} rows above, {below} below"),
    };
    let cut = |line: &str| line.chars().take(width).collect::<String>();
    let mut frame = String::from("\x1b[H");
    for (at, line) in view.head.iter().enumerate() {
        // The table's header stands out.
        let is_header = at + 1 == view.head.len();
        let (on, off) = if is_header { ("\x1b[7m", "\x1b[0m") } else { ("", "") };
        frame.push_str(&format!("{on}{}{off}\x1b[K\r\n", cut(line)));
    }
    for line in view.rows.iter().skip(scrolled).take(room) {
        frame.push_str(&format!("{}\x1b[K\r\n", cut(line)));
    }
    frame.push_str(&format!("{}\x1b[K\x1b[J", cut(&help)));
    (frame, scrolled_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_scrolled_to() {
        let rows = (0..20).map(|row| format!("row {row} and more")).collect();
        let view = View { head: vec!["a machine".to_owned(), "HEADER".to_owned()], rows };
        let (first, most) = frame(&view, 10, 6, 0);
        assert_eq!(most, 13);
        assert!(first.contains("row 0 ") || first.contains("row 0\x1b"), "{first:?}");
        assert!(
            first.contains("\x1b[7mHEADER") && !first.contains("row 7 ") && !first.contains("and"),
            "{first:?}"
        );
        let (last, _) = frame(&view, 10, 80, 99);
        assert!(last.contains("row 19") && last.contains("13 rows above, 0 below"), "{last:?}");
        assert!(frame(&view, 1, 80, 0).0.contains("row 0"), "one row at least");
        assert!(frame(&view, 40, 80, 0).0.contains("q: end\x1b"));
    }
}
