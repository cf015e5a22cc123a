//! A shard's loop on epoll: accepts, reads, runs, asks other shards, writes. How shards reach each other is its [`Transport`].
//!
//! A turn: what is ready is read and run; then what was asked is sent, and what other shards have sent is run or delivered; then each
//! connection that has complete replies writes them at once. A connection that waits for a shard writes when the answer is there,
//! all together, or when there is much.

use crate::counting::Counter;
use crate::session::{Ask, Session, Shard};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};

/// What epoll says is ready, if it is no connection.
const LISTENER: Token = Token(usize::MAX);
/// The same, of what wakes the loop for other shards.
pub(crate) const BELL: Token = Token(usize::MAX - 1);
/// Bytes that are sent although replies that follow them wait.
const MUCH: usize = 16 << 10;

/// Turns in a row that do not ask epoll, since other shards have sent.
const TURNS: u32 = 4;

/// The connection that asks, on its shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    connection: u32,
    /// Tells it from one that has its number later.
    serial: u32,
}

/// What has come from other shards, for this one's connections.
pub(crate) enum Arrived<'a> {
    /// The answer to a question.
    Answer { asker: Asker, reply: u64, text: &'a [u8] },
    /// A connection that another shard has accepted.
    Connection(TcpStream),
}

/// What a loop may do that finds nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    Allowed,
    /// A connection is to be looked at again.
    Not,
}

/// How a shard reaches the others.
pub(crate) trait Transport {
    /// Takes down a question; it may be sent at once, or with others.
    fn ask(&mut self, asker: Asker, ask: Ask<'_>);
    /// Gives a connection away.
    fn give(&mut self, shard: u32, connection: TcpStream);
    /// Sends what was taken down.
    fn send(&mut self);
    /// Answers the questions that have come, and delivers the rest.
    fn receive(&mut self, shard: &mut Shard, deliver: &mut impl FnMut(Arrived<'_>, &mut Shard, &mut Self));
    /// Looks what is ready; if there is nothing, sleeps until there is, or another shard has sent.
    fn wait(&mut self, poll: &mut Poll, events: &mut Events, sleep: Sleep) -> io::Result<()>;
    /// Whether other shards have sent something.
    fn has_arrived(&mut self) -> bool;
    /// Whether a question was not answered yet.
    fn has_asked(&self) -> bool;
    /// Whether the server ends.
    fn is_over(&self) -> bool;
}

struct Connection {
    stream: TcpStream,
    session: Session,
    serial: u32,
    /// There may be something to read.
    readable: bool,
    /// The client sends no more: what there is ends with that, and there will be no event for it.
    half_closed: bool,
    /// It is among those that are to be looked at when the turn ends.
    listed: bool,
}

/// The connections of a shard.
struct Connections {
    all: Slab<Connection>,
    serial: u32,
    /// Those that may have something to write, or more to run.
    listed: Vec<usize>,
    /// What is read goes here first.
    buffer: Box<[u8]>,
}

impl Connections {
    fn new() -> Self {
        Self { all: Slab::new(), serial: 0, listed: Vec::new(), buffer: vec![0; 64 << 10].into() }
    }

    fn add(&mut self, registry: &Registry, mut stream: TcpStream) -> io::Result<()> {
        let entry = self.all.vacant_entry();
        // Each reply is sent as soon as it can be.
        stream.set_nodelay(true)?;
        registry.register(&mut stream, Token(entry.key()), Interest::READABLE | Interest::WRITABLE)?;
        self.serial = self.serial.wrapping_add(1);
        let session = Session::default();
        let serial = self.serial;
        entry.insert(Connection {
            stream,
            session,
            serial,
            readable: true,
            half_closed: false,
            listed: false,
        });
        Ok(())
    }

    fn list(&mut self, key: usize) {
        if let Some(connection) = self.all.get_mut(key)
            && !std::mem::replace(&mut connection.listed, true)
        {
            self.listed.push(key);
        }
    }

    /// Reads and runs what there is on a connection, as long as there is room for replies.
    fn read(&mut self, key: usize, shard: &mut Shard, transport: &mut impl Transport) {
        let Some(connection) = self.all.get_mut(key) else { return };
        let asker = Asker { connection: key as u32, serial: connection.serial };
        let mut ask = |question: Ask<'_>| transport.ask(asker, question);
        if connection.session.has_input() {
            connection.session.resume(shard, &mut ask);
        }
        while connection.readable && connection.session.has_room() {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => connection.end(),
                Ok(len) => {
                    // A stream that gives less than was asked for has no more, and says so when it has.
                    connection.readable = len == self.buffer.len() || connection.half_closed;
                    connection.session.feed(&self.buffer[..len], shard, &mut ask);
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => connection.readable = false,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => connection.end(),
            }
        }
        self.list(key);
    }

    fn answer(&mut self, asker: Asker, reply: u64, text: &[u8]) {
        let key = asker.connection as usize;
        if let Some(connection) = self.all.get_mut(key)
            && connection.serial == asker.serial
        {
            connection.session.replies.answer(reply, text);
            self.list(key);
        }
    }

    /// Writes what is complete; runs what waited for room.
    fn finish(&mut self, registry: &Registry, shard: &mut Shard, transport: &mut impl Transport) {
        let mut listed = std::mem::take(&mut self.listed);
        for key in listed.drain(..) {
            let Some(connection) = self.all.get_mut(key) else { continue };
            connection.listed = false;
            connection.write();
            let session = &connection.session;
            if session.is_over() && connection.session.replies.bytes() == 0 {
                let mut gone = self.all.remove(key);
                // It is closed in any case.
                let _ = registry.deregister(&mut gone.stream);
            } else if session.has_room() && (connection.readable || session.has_input()) {
                self.read(key, shard, transport);
            }
        }
        // Those that were listed meanwhile come in the next turn.
        listed.append(&mut self.listed);
        self.listed = listed;
    }

    /// What the next turn may do before it begins.
    fn sleep(&self) -> Sleep {
        if self.listed.is_empty() { Sleep::Allowed } else { Sleep::Not }
    }
}

impl Connection {
    fn end(&mut self) {
        self.readable = false;
        self.session.close();
    }

    /// Writes, unless it is worth while to wait for the rest.
    fn write(&mut self) {
        let waits = self.session.replies.waiting() > 0;
        let out = self.session.replies.out();
        if waits && out.len() < MUCH {
            return;
        }
        while !out.is_empty() {
            match self.stream.write(out) {
                Ok(len) if len == out.len() => out.clear(),
                Ok(len) => drop(out.drain(..len)),
                // There will be an event.
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // Nobody reads any more.
                    out.clear();
                    return self.end();
                }
            }
        }
    }
}

/// A shard, until the server ends. The one with the `listener` accepts for all, and deals out what comes.
pub(crate) fn run(
    shard: &mut Shard,
    shards: u32,
    mut poll: Poll,
    mut listener: Option<TcpListener>,
    counter: &Counter,
    transport: &mut impl Transport,
) -> io::Result<()> {
    let mut events = Events::with_capacity(256);
    if let Some(listener) = &mut listener {
        poll.registry().register(listener, LISTENER, Interest::READABLE)?;
    }
    let (mut connections, mut next, mut turns) = (Connections::new(), 0, 0);
    while !transport.is_over() {
        if turns < TURNS && has_arrived(transport) {
            turns += 1;
            events.clear();
        } else {
            turns = 0;
            transport.wait(&mut poll, &mut events, connections.sleep())?;
        }
        for event in &events {
            match event.token() {
                BELL => {}
                LISTENER => accept(listener.as_ref(), |stream| {
                    let to = next % shards;
                    next += 1;
                    if to == shard.number {
                        return connections.add(poll.registry(), stream);
                    }
                    transport.give(to, stream);
                    Ok(())
                }),
                Token(key) => ready(&mut connections, key, event, shard, transport),
            }
        }
        transport.send();
        transport.receive(shard, &mut |arrived, shard, transport| match arrived {
            Arrived::Answer { asker, reply, text } => connections.answer(asker, reply, text),
            Arrived::Connection(stream) => {
                let key = connections.all.vacant_key();
                // What cannot be watched is closed.
                if connections.add(poll.registry(), stream).is_ok() {
                    connections.read(key, shard, transport);
                }
            }
        });
        connections.finish(poll.registry(), shard, transport);
        transport.send();
        counter.show(shard);
    }
    Ok(())
}

/// Whether other shards have sent something; those that are to answer may wait for this core, and then it comes without a sleep.
fn has_arrived(transport: &mut impl Transport) -> bool {
    if !transport.has_arrived() && transport.has_asked() {
        std::thread::yield_now();
    }
    transport.has_arrived()
}

fn ready(
    connections: &mut Connections,
    key: usize,
    event: &Event,
    shard: &mut Shard,
    transport: &mut impl Transport,
) {
    if event.is_readable() || event.is_read_closed() || event.is_error() {
        if let Some(connection) = connections.all.get_mut(key) {
            connection.readable = true;
            connection.half_closed |= event.is_read_closed();
        }
        connections.read(key, shard, transport);
    } else {
        connections.list(key);
    }
}

/// Accepts all that wait. One that cannot be taken is closed, and so are those for which there is no file descriptor now: they come
/// again when there is an event.
fn accept(listener: Option<&TcpListener>, mut take: impl FnMut(TcpStream) -> io::Result<()>) {
    let Some(listener) = listener else { return };
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(take(stream)),
            Err(why) if matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(_) => return,
        }
    }
}
