//! Sockets by epoll (mio): each is read until it is empty, and written to until it is full.

use super::{Happened, Read, Sleep, Sockets};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read as _, Write};
use std::time::Duration;

/// What epoll says is ready, if it is no connection.
const LISTENER: Token = Token(usize::MAX);
/// The same, of what wakes the loop for other shards. Its events are edges, so that nobody has to read it.
pub(crate) const BELL: Token = Token(usize::MAX - 1);

pub(crate) struct Epoll {
    poll: Poll,
    events: Events,
    listener: Option<TcpListener>,
    /// What is read goes here first.
    buffer: Box<[u8]>,
}

pub(crate) struct Socket {
    stream: TcpStream,
    /// There may be something to read.
    readable: bool,
    /// The client sends no more: what there is ends with that, and there will be no event for it.
    half_closed: bool,
}

pub(crate) struct Ready {
    readable: bool,
    read_closed: bool,
}

impl Epoll {
    pub(crate) fn new(poll: Poll, listener: Option<std::net::TcpListener>) -> io::Result<Self> {
        let mut listener = listener.map(TcpListener::from_std);
        if let Some(listener) = &mut listener {
            poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        Ok(Self { poll, events: Events::with_capacity(256), listener, buffer: vec![0; 64 << 10].into() })
    }
}

impl Sockets for Epoll {
    type Socket = Socket;
    type Ready = Ready;

    fn add(&mut self, key: usize, stream: std::net::TcpStream) -> io::Result<Socket> {
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(key), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket { stream, readable: true, half_closed: false })
    }

    fn ready(&mut self, socket: &mut Socket, what: Ready) {
        socket.readable |= what.readable;
        socket.half_closed |= what.read_closed;
    }

    fn read<'a>(&'a mut self, _: usize, socket: &'a mut Socket) -> Read<'a> {
        while socket.readable {
            match socket.stream.read(&mut self.buffer) {
                Ok(0) => return Read::End,
                Ok(len) => {
                    // A stream that gives less than was asked for has no more, and says so when it has.
                    socket.readable = len == self.buffer.len() || socket.half_closed;
                    return Read::Bytes(&self.buffer[..len]);
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => socket.readable = false,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Read::End,
            }
        }
        Read::Later
    }

    fn write(&mut self, _: usize, socket: &mut Socket, out: &mut Vec<u8>) -> io::Result<()> {
        while !out.is_empty() {
            match socket.stream.write(out) {
                Ok(len) if len == out.len() => out.clear(),
                Ok(len) => drop(out.drain(..len)),
                // There will be an event.
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn ends(&mut self, _: &mut Socket) -> bool {
        true
    }

    fn remove(&mut self, mut socket: Socket) {
        // It is closed in any case.
        let _ = self.poll.registry().deregister(&mut socket.stream);
    }

    fn look(&mut self, _: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, sleep: Sleep, happened: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        let timeout = if sleep == Sleep::Allowed { None } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut self.events, timeout) {
            // A signal.
            Err(why) if why.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            match event.token() {
                BELL => {}
                LISTENER => accept(self.listener.as_ref(), happened),
                Token(key) => {
                    let read_closed = event.is_read_closed();
                    let readable = event.is_readable() || read_closed || event.is_error();
                    happened.push(Happened::Ready(key, Ready { readable, read_closed }));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Happened<Ready>>) -> io::Result<()> {
        Ok(())
    }
}

/// Accepts all that wait. Those for which there is no file descriptor now come again when there is an event.
fn accept(listener: Option<&TcpListener>, happened: &mut Vec<Happened<Ready>>) {
    let Some(listener) = listener else { return };
    loop {
        match listener.accept() {
            Ok((stream, _)) => happened.push(Happened::Accepted(stream.into())),
            Err(why) if matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(_) => return,
        }
    }
}
