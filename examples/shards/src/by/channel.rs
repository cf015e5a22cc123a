//! Shards as threads with a channel each (crossbeam's), and an eventfd: mio's waker, or one of its own in an io_uring.
//!
//! A question is a message, and so is its answer, in the buffer of the question. A shard that has sent wakes the others once a turn,
//! and looks at its own channel once a turn.

use crate::evented::epoll::BELL;
use crate::evented::{Arrived, Asker, Sleep, Transport};
use crate::session::{Ask, Shard};
use crate::store::{Key, Op};
use crossbeam_channel::{Receiver, Sender};
use mio::{Poll, Waker};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

/// Messages that are taken in a turn, so that sockets have theirs.
const TURN: usize = 1024;

/// What shards send each other.
pub(crate) enum Message {
    Question { from: u32, asker: Asker, reply: u64, op: Op, hash: u64, key_len: usize, bytes: Vec<u8> },
    Answer { asker: Asker, reply: u64, bytes: Vec<u8> },
    Connection(TcpStream),
    End,
}

/// How a shard is reached.
#[derive(Clone)]
pub(crate) struct Address {
    sender: Sender<Message>,
    bell: Bell,
}

/// What ends its sleep.
#[derive(Clone)]
enum Bell {
    Mio(Arc<Waker>),
    Event(Arc<EventFd>),
}

impl Address {
    /// Of a shard whose loop is going to be on `poll`.
    pub(crate) fn on_epoll(poll: &Poll) -> io::Result<(Self, Receiver<Message>)> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let bell = Bell::Mio(Arc::new(Waker::new(poll.registry(), BELL)?));
        Ok((Self { sender, bell }, receiver))
    }

    /// Of one whose loop is going to be on an io_uring, and to watch this descriptor.
    pub(crate) fn on_uring() -> io::Result<(Self, Receiver<Message>, Arc<EventFd>)> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let event = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        Ok((Self { sender, bell: Bell::Event(Arc::clone(&event)) }, receiver, event))
    }

    /// Ends its loop.
    pub(crate) fn end(&self) {
        // An error: it has ended.
        let _ = self.sender.send(Message::End);
        self.wake();
    }

    fn wake(&self) {
        match &self.bell {
            // An error: the server ends.
            Bell::Mio(waker) => drop(waker.wake()),
            // An error: nobody has looked for 2^64 writes.
            Bell::Event(event) => drop(event.write(1)),
        }
    }
}

/// One shard's side.
pub(crate) struct Channels {
    number: u32,
    receiver: Receiver<Message>,
    peers: Vec<Address>,
    /// To whom it has sent in this turn.
    sent: Vec<bool>,
    /// Where an answer is written before it goes into the question's buffer.
    text: Vec<u8>,
    over: bool,
}

impl Channels {
    pub(crate) fn new(number: u32, receiver: Receiver<Message>, peers: Vec<Address>) -> Self {
        let sent = vec![false; peers.len()];
        Self { number, receiver, peers, sent, text: Vec::new(), over: false }
    }

    fn send_to(&mut self, shard: u32, message: Message) {
        // An error: that shard has ended, since the server ends.
        let _ = self.peers[shard as usize].sender.send(message);
        self.sent[shard as usize] = true;
    }
}

impl Transport for Channels {
    fn ask(&mut self, asker: Asker, ask: Ask<'_>) {
        let Ask { shard, reply, op, key, value } = ask;
        let mut bytes = Vec::with_capacity(key.text.len() + value.len());
        bytes.extend_from_slice(key.text);
        bytes.extend_from_slice(value);
        self.send_to(
            shard,
            Message::Question {
                from: self.number,
                asker,
                reply,
                op,
                hash: key.hash,
                key_len: key.text.len(),
                bytes,
            },
        );
    }

    fn give(&mut self, shard: u32, connection: TcpStream) {
        self.send_to(shard, Message::Connection(connection));
    }

    fn send(&mut self) {
        for (peer, sent) in self.peers.iter().zip(&mut self.sent) {
            if std::mem::take(sent) {
                peer.wake();
            }
        }
    }

    fn receive(&mut self, shard: &mut Shard, deliver: &mut impl FnMut(Arrived<'_>, &mut Shard, &mut Self)) {
        for _ in 0..TURN {
            match self.receiver.try_recv() {
                Ok(Message::Question { from, asker, reply, op, hash, key_len, mut bytes }) => {
                    let (text, value) = bytes.split_at(key_len);
                    let key = Key { text, hash };
                    shard.store.execute(op, key, value, &mut self.text);
                    bytes.clear();
                    bytes.append(&mut self.text);
                    self.send_to(from, Message::Answer { asker, reply, bytes });
                }
                Ok(Message::Answer { asker, reply, bytes }) => {
                    deliver(Arrived::Answer { asker, reply, text: &bytes }, shard, self);
                }
                Ok(Message::Connection(stream)) => deliver(Arrived::Connection(stream), shard, self),
                Ok(Message::End) => self.over = true,
                Err(_) => return,
            }
        }
    }

    fn wait<R>(&mut self, sleep: Sleep, wait: impl FnOnce(Sleep) -> R) -> R {
        // What comes after this look wakes.
        wait(if self.receiver.is_empty() { sleep } else { Sleep::Not })
    }

    fn has_arrived(&mut self) -> bool {
        !self.receiver.is_empty()
    }

    fn is_over(&self) -> bool {
        self.over
    }
}
