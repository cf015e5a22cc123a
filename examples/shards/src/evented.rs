//! A shard's loop: accepts, reads, runs, asks other shards, writes. How shards reach each other is its [`Transport`]; how it waits for
//! sockets, reads and writes are its [`Sockets`]: by epoll, or by an io_uring.
//!
//! A turn: what is ready is read and run; then what was asked is sent, and what other shards have sent is run or delivered; then each
//! connection that has complete replies writes them at once. A connection that waits for a shard writes when the answer is there,
//! all together, or when there is much.

mod connections;
pub(crate) mod epoll;
pub(crate) mod uring;

use self::connections::Connections;
use crate::counting::Counter;
use crate::session::{Ask, Shard};
use std::io;
use std::net::TcpStream;

/// Turns in a row that do not ask the system, since other shards have sent.
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
    /// Has the loop wait, once: without a sleep if another shard has sent, which otherwise ends that sleep.
    fn wait<R>(&mut self, sleep: Sleep, wait: impl FnOnce(Sleep) -> R) -> R;
    /// Whether other shards have sent something.
    fn has_arrived(&mut self) -> bool;
    /// Whether the server ends.
    fn is_over(&self) -> bool;
}

/// What a loop's sockets have to say.
pub(crate) enum Happened<R> {
    /// Somebody has connected.
    Accepted(TcpStream),
    /// Something of the socket with that number.
    Ready(usize, R),
}

/// What there is to read.
pub(crate) enum Read<'a> {
    Bytes(&'a [u8]),
    /// Nothing now: it will be [ready](Happened::Ready).
    Later,
    /// No more: the client has said so, or is gone.
    End,
}

/// How a loop waits for its sockets, and what it does with them.
pub(crate) trait Sockets {
    type Socket;
    /// What happened to one.
    type Ready;
    /// Makes a connection one of this loop's. Its number is free.
    fn add(&mut self, key: usize, stream: TcpStream) -> io::Result<Self::Socket>;
    /// Takes note of what happened to a socket.
    fn ready(&mut self, socket: &mut Self::Socket, what: Self::Ready);
    /// Reads; to be called until there is nothing.
    fn read<'a>(&'a mut self, key: usize, socket: &'a mut Self::Socket) -> Read<'a>;
    /// Sends what goes now, and takes that out. If some is left, the socket will be ready.
    fn write(&mut self, key: usize, socket: &mut Self::Socket, out: &mut Vec<u8>) -> io::Result<()>;
    /// Whether a socket that nobody needs any more can be removed. If not, it will be ready.
    fn ends(&mut self, socket: &mut Self::Socket) -> bool;
    /// Removes one that has ended.
    fn remove(&mut self, socket: Self::Socket);
    /// Begins what reads and writes have left to be begun, and says what happened, as far as that is known without asking the system.
    fn look(&mut self, happened: &mut Vec<Happened<Self::Ready>>) -> io::Result<()>;
    /// The same, and asks it; if nothing has happened and it may, sleeps until something does.
    fn wait(&mut self, sleep: Sleep, happened: &mut Vec<Happened<Self::Ready>>) -> io::Result<()>;
    /// Ends what is under way of all sockets: nothing happens any more but what this says.
    fn end(&mut self, happened: &mut Vec<Happened<Self::Ready>>) -> io::Result<()>;
}

/// A shard, until the server ends. The one that accepts does so for all, and deals out what comes.
pub(crate) fn run<S: Sockets>(
    shard: &mut Shard,
    shards: u32,
    sockets: S,
    counter: &Counter,
    transport: &mut impl Transport,
) -> io::Result<()> {
    let mut connections = Connections::new(sockets);
    let (mut happened, mut next, mut turns) = (Vec::new(), 0, 0);
    while !transport.is_over() {
        if turns < TURNS && transport.has_arrived() {
            turns += 1;
            connections.sockets.look(&mut happened)?;
        } else {
            turns = 0;
            transport.wait(connections.sleep(), |sleep| connections.sockets.wait(sleep, &mut happened))?;
        }
        for what in happened.drain(..) {
            match what {
                Happened::Accepted(stream) => {
                    let to = next % shards;
                    next += 1;
                    if to == shard.number {
                        connections.add(stream, shard, transport);
                    } else {
                        transport.give(to, stream);
                    }
                }
                Happened::Ready(key, what) => connections.ready(key, what, shard, transport),
            }
        }
        transport.send();
        transport.receive(shard, &mut |arrived, shard, transport| match arrived {
            Arrived::Answer { asker, reply, text } => connections.answer(asker, reply, text),
            Arrived::Connection(stream) => connections.add(stream, shard, transport),
        });
        connections.finish(shard, transport);
        transport.send();
        counter.show(shard);
    }
    connections.end(&mut happened)
}
