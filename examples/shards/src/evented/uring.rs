//! Sockets by an io_uring: accepting, receiving and sending are submissions, which go with the next wait in one system call. A ring of
//! the doorbell is a completion as any other.
//!
//! Each socket has at most one receive and one send under way, with buffers of its own, so that the replies that come meanwhile
//! collect. Needs Linux 6.1.
//!
//! # Invariants
//!
//! - The kernel has a socket's `input` while `receiving`, and its `output` while `sending`: until then nobody touches what they point to.

use super::{Happened, Read, Sleep, Sockets};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use nix::sys::eventfd::EventFd;
use smpcall_host::MsgRing;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Submissions that are taken down before they are handed over.
const ENTRIES: u32 = 256;
/// Bytes that are received at once.
const INPUT: usize = 16 << 10;

/// What completions are of, if of no socket. Those of sockets are `(number << 1) + IS_SEND`.
const BELL: u64 = u64::MAX;
const ACCEPT: u64 = u64::MAX - 1;
const CANCEL: u64 = u64::MAX - 2;
const EVENT: u64 = u64::MAX - 3;
const IS_SEND: u64 = 1;

pub(crate) struct Uring {
    ring: IoUring,
    listener: Option<TcpListener>,
    /// What wakes the loop, if no doorbell does. Nobody has to read it: each write completes once.
    event: Option<Arc<EventFd>>,
    /// Nobody can be accepted now, for want of file descriptors perhaps: to be tried again when something else has happened.
    starved: bool,
    /// Submissions that have not completed.
    under_way: usize,
}

pub(crate) struct Socket {
    stream: TcpStream,
    input: Vec<u8>,
    receiving: bool,
    /// What was received, and not read: so many bytes of `input`, or its end.
    received: Option<usize>,
    output: Vec<u8>,
    sending: bool,
    /// What a send has said.
    failed: Option<io::Error>,
}

pub(crate) struct Ready {
    is_send: bool,
    result: io::Result<usize>,
}

impl Uring {
    /// # Errors
    ///
    /// The kernel has no io_uring, or an old one.
    pub(crate) fn new(listener: Option<TcpListener>) -> io::Result<Self> {
        // What completes is looked at by this thread as it waits, and not in between.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .dontfork()
            .build(ENTRIES)?;
        let mut new = Self { ring, listener, event: None, starved: false, under_way: 0 };
        if let Some(listener) = &new.listener {
            // A submission for a socket that does not block ends at once.
            listener.set_nonblocking(false)?;
            new.accept()?;
        }
        Ok(new)
    }

    /// A doorbell that wakes this loop.
    ///
    /// # Errors
    ///
    /// The kernel sends no messages to rings.
    pub(crate) fn doorbell(&self) -> io::Result<MsgRing> {
        // SAFETY: the ring is there until the doorbell has its own descriptor.
        let ring = unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) };
        MsgRing::new(ring, BELL)
    }

    /// Has that descriptor wake this loop.
    pub(crate) fn watch(&mut self, event: Arc<EventFd>) -> io::Result<()> {
        self.event = Some(event);
        self.poll()
    }

    fn poll(&mut self) -> io::Result<()> {
        let Some(event) = &self.event else { return Ok(()) };
        let fd = types::Fd(event.as_raw_fd());
        let poll = opcode::PollAdd::new(fd, nix::libc::POLLIN as u32).multi(true).build();
        // SAFETY: it points to nothing.
        unsafe { self.push(&poll.user_data(EVENT)) }
    }

    fn accept(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let fd = types::Fd(listener.as_raw_fd());
        let accept = opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut());
        let accept = accept.flags(nix::libc::SOCK_CLOEXEC).build();
        // SAFETY: it points to nothing.
        unsafe { self.push(&accept.user_data(ACCEPT)) }
    }

    /// # Safety
    ///
    /// What it points to is the kernel's until it has completed.
    unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's promise.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // The kernel takes all, or says why.
            self.ring.submit()?;
        }
        self.under_way += 1;
        Ok(())
    }

    /// Hands over what was taken down, and waits for so many completions.
    fn enter(&mut self, completions: usize) -> io::Result<()> {
        match self.ring.submit_and_wait(completions) {
            // A signal; or there are more completions than fit, which are taken now.
            Err(why) if matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::ResourceBusy) => Ok(()),
            entered => entered.map(drop),
        }
    }

    fn completions(&mut self, happened: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        let (mut accepts, mut polls) = (std::mem::take(&mut self.starved), false);
        for entry in self.ring.completion() {
            let result = result(&entry);
            let is_last = entry.user_data() != BELL && !cqueue::more(entry.flags());
            self.under_way -= usize::from(is_last);
            match entry.user_data() {
                // There may have been nothing to cancel.
                BELL | CANCEL => {}
                EVENT => polls |= is_last,
                ACCEPT => match result {
                    Ok(fd) => {
                        accepts = true;
                        // SAFETY: it was just made, for us.
                        let stream = unsafe { OwnedFd::from_raw_fd(fd as i32) };
                        happened.push(Happened::Accepted(stream.into()));
                    }
                    Err(why) if why.kind() == ErrorKind::ConnectionAborted => accepts = true,
                    Err(_) => self.starved = true,
                },
                of => {
                    let ready = Ready { is_send: of & IS_SEND != 0, result };
                    happened.push(Happened::Ready((of >> 1) as usize, ready));
                }
            }
        }
        if polls {
            self.poll()?;
        }
        if accepts { self.accept() } else { Ok(()) }
    }
}

fn result(entry: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(entry.result()).map_err(|_| io::Error::from_raw_os_error(-entry.result()))
}

impl Sockets for Uring {
    type Socket = Socket;
    type Ready = Ready;

    fn add(&mut self, _: usize, stream: TcpStream) -> io::Result<Socket> {
        let (input, output) = (vec![0; INPUT], Vec::new());
        Ok(Socket { stream, input, receiving: false, received: None, output, sending: false, failed: None })
    }

    fn ready(&mut self, socket: &mut Socket, what: Ready) {
        match (what.is_send, what.result) {
            (false, result) => {
                socket.receiving = false;
                // Nothing comes any more, for whatever reason.
                socket.received = Some(result.unwrap_or(0));
            }
            (true, Ok(len)) => {
                socket.sending = false;
                socket.output.drain(..len);
            }
            (true, Err(why)) => {
                socket.sending = false;
                socket.output.clear();
                socket.failed = Some(why);
            }
        }
    }

    fn read<'a>(&'a mut self, key: usize, socket: &'a mut Socket) -> Read<'a> {
        match socket.received.take() {
            Some(0) => return Read::End,
            Some(len) => return Read::Bytes(&socket.input[..len]),
            None if socket.receiving => return Read::Later,
            None => {}
        }
        let fd = types::Fd(socket.stream.as_raw_fd());
        let receive = opcode::Recv::new(fd, socket.input.as_mut_ptr(), socket.input.len() as u32);
        // SAFETY: by the invariant; a socket that is dropped meanwhile leaves its buffers to the kernel.
        let pushed = unsafe { self.push(&receive.build().user_data((key as u64) << 1)) };
        socket.receiving = pushed.is_ok();
        if pushed.is_ok() { Read::Later } else { Read::End }
    }

    fn write(&mut self, key: usize, socket: &mut Socket, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(why) = socket.failed.take() {
            return Err(why);
        }
        if socket.sending {
            return Ok(());
        }
        // The rest of the last one goes first.
        if socket.output.is_empty() {
            std::mem::swap(&mut socket.output, out);
        }
        if socket.output.is_empty() {
            return Ok(());
        }
        let fd = types::Fd(socket.stream.as_raw_fd());
        let send = opcode::Send::new(fd, socket.output.as_ptr(), socket.output.len() as u32);
        // SAFETY: as in `read`.
        unsafe { self.push(&send.build().user_data((key as u64) << 1 | IS_SEND))? };
        socket.sending = true;
        Ok(())
    }

    fn ends(&mut self, socket: &mut Socket) -> bool {
        if socket.sending {
            return false;
        }
        if socket.receiving {
            // Ends that. An error: the client is gone, and it ends as well.
            let _ = socket.stream.shutdown(Shutdown::Both);
        }
        !socket.receiving
    }

    fn remove(&mut self, socket: Socket) {
        drop(socket);
    }

    fn look(&mut self, happened: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        let asks = {
            let queue = self.ring.submission();
            !queue.is_empty() || queue.taskrun()
        };
        if asks {
            self.enter(0)?;
        }
        self.completions(happened)
    }

    fn wait(&mut self, sleep: Sleep, happened: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        match sleep {
            Sleep::Allowed => self.enter(1)?,
            Sleep::Not => return self.look(happened),
        }
        self.completions(happened)
    }

    fn end(&mut self, happened: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        // So that they are not asked once more.
        let _watched = (self.listener.take(), self.event.take());
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        // SAFETY: it points to nothing.
        unsafe { self.push(&cancel.user_data(CANCEL))? };
        while self.under_way > 0 {
            self.enter(1)?;
            self.completions(happened)?;
        }
        Ok(())
    }
}

impl Drop for Socket {
    /// What the kernel still has is left to it: that is so only after an error of the ring.
    fn drop(&mut self) {
        if self.receiving {
            std::mem::forget(std::mem::take(&mut self.input));
        }
        if self.sending {
            std::mem::forget(std::mem::take(&mut self.output));
        }
    }
}
