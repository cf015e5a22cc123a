//! The connections of a shard, whatever waits for their sockets.

use super::{Asker, Happened, Read, Sleep, Sockets, Transport};
use crate::session::{Ask, Session, Shard};
use slab::Slab;
use std::io;
use std::net::TcpStream;

/// Bytes that are sent although replies that follow them wait.
const MUCH: usize = 16 << 10;

struct Connection<S> {
    socket: S,
    session: Session,
    serial: u32,
    /// It is among those that are to be looked at when the turn ends.
    listed: bool,
}

pub(super) struct Connections<S: Sockets> {
    pub(super) sockets: S,
    all: Slab<Connection<S::Socket>>,
    serial: u32,
    /// Those that may have something to write, or more to run.
    listed: Vec<usize>,
}

impl<S: Sockets> Connections<S> {
    pub(super) fn new(sockets: S) -> Self {
        Self { sockets, all: Slab::new(), serial: 0, listed: Vec::new() }
    }

    /// Adds one, and reads what there is. One that cannot be watched is closed.
    pub(super) fn add(&mut self, stream: TcpStream, shard: &mut Shard, transport: &mut impl Transport) {
        let entry = self.all.vacant_entry();
        let key = entry.key();
        // Each reply is sent as soon as it can be.
        let socket = stream.set_nodelay(true).and_then(|()| self.sockets.add(key, stream));
        let Ok(socket) = socket else { return };
        self.serial = self.serial.wrapping_add(1);
        entry.insert(Connection { socket, session: Session::default(), serial: self.serial, listed: false });
        self.read(key, shard, transport);
    }

    pub(super) fn ready(
        &mut self,
        key: usize,
        what: S::Ready,
        shard: &mut Shard,
        transport: &mut impl Transport,
    ) {
        if let Some(connection) = self.all.get_mut(key) {
            self.sockets.ready(&mut connection.socket, what);
            self.read(key, shard, transport);
            // It may be that it can be written to, or has ended.
            self.list(key);
        }
    }

    pub(super) fn answer(&mut self, asker: Asker, reply: u64, text: &[u8]) {
        let key = asker.connection as usize;
        if let Some(connection) = self.all.get_mut(key)
            && connection.serial == asker.serial
        {
            connection.session.replies.answer(reply, text);
            self.list(key);
        }
    }

    /// Writes what is complete; runs what waited for room.
    pub(super) fn finish(&mut self, shard: &mut Shard, transport: &mut impl Transport) {
        let mut listed = std::mem::take(&mut self.listed);
        for key in listed.drain(..) {
            let Some(connection) = self.all.get_mut(key) else { continue };
            connection.listed = false;
            connection.write(key, &mut self.sockets);
            let session = &mut connection.session;
            if session.is_over() && session.replies.bytes() == 0 {
                if self.sockets.ends(&mut connection.socket) {
                    self.sockets.remove(self.all.remove(key).socket);
                }
            } else {
                self.read(key, shard, transport);
            }
        }
        // Those that were listed meanwhile come in the next turn.
        listed.append(&mut self.listed);
        self.listed = listed;
    }

    /// What the next turn may do before it begins.
    pub(super) fn sleep(&self) -> Sleep {
        if self.listed.is_empty() { Sleep::Allowed } else { Sleep::Not }
    }

    pub(super) fn end(&mut self, happened: &mut Vec<Happened<S::Ready>>) -> io::Result<()> {
        self.sockets.end(happened)?;
        for what in happened.drain(..) {
            // One that was just accepted is closed.
            if let Happened::Ready(key, what) = what
                && let Some(connection) = self.all.get_mut(key)
            {
                self.sockets.ready(&mut connection.socket, what);
            }
        }
        Ok(())
    }

    /// Reads and runs what there is on a connection, as long as there is room for replies.
    fn read(&mut self, key: usize, shard: &mut Shard, transport: &mut impl Transport) {
        let Some(Connection { socket, session, serial, .. }) = self.all.get_mut(key) else { return };
        let asker = Asker { connection: key as u32, serial: *serial };
        let mut ask = |question: Ask<'_>| transport.ask(asker, question);
        let mut is_news = session.is_stopped() && session.has_room();
        if is_news {
            session.resume(shard, &mut ask);
        }
        while session.has_room() {
            match self.sockets.read(key, socket) {
                Read::Bytes(bytes) => session.feed(bytes, shard, &mut ask),
                Read::Later => break,
                Read::End => session.close(),
            }
            is_news = true;
        }
        if is_news {
            self.list(key);
        }
    }

    fn list(&mut self, key: usize) {
        if let Some(connection) = self.all.get_mut(key)
            && !std::mem::replace(&mut connection.listed, true)
        {
            self.listed.push(key);
        }
    }
}

impl<S> Connection<S> {
    /// Writes, unless it is worth while to wait for the rest.
    fn write(&mut self, key: usize, sockets: &mut impl Sockets<Socket = S>) {
        let waits = self.session.replies.waiting() > 0;
        let out = self.session.replies.out();
        if waits && out.len() < MUCH {
            return;
        }
        if sockets.write(key, &mut self.socket, out).is_err() {
            // Nobody reads any more.
            out.clear();
            self.session.close();
        }
    }
}
