//! A connection without its socket: bytes in, commands, replies in order. All three servers have it.

use crate::replies::Replies;
use crate::resp::{self, Parsed};
use crate::store::{Key, Op, Router, Store};
use std::ops::Range;

/// Replies that may wait on one connection before its next request is looked at.
const WAITING_MAX: usize = 256;
/// Bytes that may wait to be sent before its next request is looked at.
const BYTES_MAX: usize = 256 << 10;

/// A shard, as its connections see it.
#[derive(Debug)]
pub struct Shard {
    /// Its number.
    pub number: u32,
    /// Which keys are its own.
    pub router: Router,
    /// Those.
    pub store: Store,
    /// How many commands it has taken from its connections.
    pub requests: u64,
    /// For how many keys it has asked other shards.
    pub foreign: u64,
}

impl Shard {
    /// An empty one.
    pub fn new(number: u32, router: Router) -> Self {
        Self { number, router, store: Store::default(), requests: 0, foreign: 0 }
    }
}

/// A question to another shard.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whose key it is.
    pub shard: u32,
    /// The number of the reply that waits for the answer.
    pub reply: u64,
    /// What is to be done
    pub op: Op,
    /// to that,
    pub key: Key<'a>,
    /// with that.
    pub value: &'a [u8],
}

/// One client's requests and replies.
#[derive(Debug, Default)]
pub struct Session {
    /// What was read and is no whole request yet, or has to wait.
    input: Vec<u8>,
    args: Vec<Range<usize>>,
    /// What is to be sent.
    pub replies: Replies,
    /// What was read has to wait for room.
    stopped: bool,
    closing: bool,
}

impl Session {
    /// Takes what was read, and runs its requests. `ask` is called for keys of other shards.
    pub fn feed(&mut self, read: &[u8], shard: &mut Shard, ask: &mut impl FnMut(Ask<'_>)) {
        if self.input.is_empty() {
            let used = self.run(read, shard, ask);
            self.input.extend_from_slice(&read[used..]);
        } else {
            self.input.extend_from_slice(read);
            self.resume(shard, ask);
        }
    }

    /// Runs requests that had to wait for the replies of others.
    pub fn resume(&mut self, shard: &mut Shard, ask: &mut impl FnMut(Ask<'_>)) {
        let mut input = std::mem::take(&mut self.input);
        let used = self.run(&input, shard, ask);
        input.drain(..used);
        self.input = input;
    }

    /// Returns whether more may be read: there is room for replies.
    pub fn has_room(&self) -> bool {
        !self.closing && self.replies.waiting() < WAITING_MAX && self.replies.bytes() < BYTES_MAX
    }

    /// Returns whether requests that were read wait for [room](Self::has_room): they are to be [resumed](Self::resume). The beginning of
    /// one waits for nothing but the rest.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The client sends no more.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Returns whether the connection is to be closed, now that its last reply was sent.
    pub fn is_over(&self) -> bool {
        self.closing && self.replies.waiting() == 0
    }

    /// Runs the requests at the beginning of `input`, as long as there is room for replies. Returns how many bytes they were.
    fn run(&mut self, input: &[u8], shard: &mut Shard, ask: &mut impl FnMut(Ask<'_>)) -> usize {
        let mut used = 0;
        while used < input.len() && self.has_room() {
            match resp::parse(&input[used..], &mut self.args) {
                Ok(Parsed::Request(len)) => {
                    let input = &input[used..];
                    let args = std::mem::take(&mut self.args);
                    self.command(input, &args, shard, ask);
                    self.args = args;
                    used += len;
                }
                Ok(Parsed::Partial) => break,
                Err(why) => {
                    self.replies.add(|out| resp::error(out, why.message()));
                    self.closing = true;
                }
            }
        }
        self.stopped = used < input.len() && !self.closing && !self.has_room();
        // Nothing that comes after the end is kept.
        if self.closing { input.len() } else { used }
    }

    fn command(
        &mut self,
        input: &[u8],
        args: &[Range<usize>],
        shard: &mut Shard,
        ask: &mut impl FnMut(Ask<'_>),
    ) {
        let Some((name, args)) = args.split_first() else { return };
        let (name, arg) = (&input[name.clone()], |index: usize| &input[args[index].clone()]);
        shard.requests += 1;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match args.len() {
            1 if is("get") => self.one(Op::Get, arg(0), b"", shard, ask),
            2 if is("set") => self.one(Op::Set, arg(0), arg(1), shard, ask),
            1 if is("incr") => self.one(Op::Incr, arg(0), b"", shard, ask),
            1.. if is("mget") => {
                // Its elements are the replies of so many GETs.
                self.replies.add(|out| resp::array(out, args.len()));
                (0..args.len()).for_each(|index| self.one(Op::Get, arg(index), b"", shard, ask));
            }
            1.. if is("del") => self.delete((0..args.len()).map(arg), shard, ask),
            0 if is("ping") => self.replies.add(|out| out.extend_from_slice(b"+PONG\r\n")),
            1 if is("ping") => self.replies.add(|out| resp::bulk(out, arg(0))),
            // There is no configuration. redis-benchmark asks for some.
            2 if is("config") && arg(0).eq_ignore_ascii_case(b"get") => self.replies.add(|out| {
                resp::array(out, 2);
                resp::bulk(out, arg(1));
                resp::bulk(out, b"");
            }),
            _ if is("command") => self.replies.add(|out| resp::array(out, 0)),
            _ if ["get", "set", "incr", "mget", "del", "ping", "config"].into_iter().any(is) => self
                .replies
                .add(|out| resp::error(out, "wrong number of arguments, or an option that is not supported")),
            _ => self.replies.add(|out| resp::error(out, "unknown command")),
        }
    }

    fn one(&mut self, op: Op, key: &[u8], value: &[u8], shard: &mut Shard, ask: &mut impl FnMut(Ask<'_>)) {
        let key = shard.router.key(key);
        let of = shard.router.shard(key);
        if of == shard.number {
            return self.replies.add(|out| shard.store.execute(op, key, value, out));
        }
        shard.foreign += 1;
        ask(Ask { shard: of, reply: self.replies.wait(), op, key, value });
    }

    fn delete<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
        shard: &mut Shard,
        ask: &mut impl FnMut(Ask<'_>),
    ) {
        let (mut foreign, mut deleted) = (0, 0);
        for key in keys.clone() {
            let key = shard.router.key(key);
            if shard.router.shard(key) == shard.number {
                deleted += i64::from(shard.store.delete(key));
            } else {
                foreign += 1;
            }
        }
        if foreign == 0 {
            return self.replies.add(|out| resp::integer(out, deleted));
        }
        shard.foreign += u64::from(foreign);
        let reply = self.replies.wait_for_sum(foreign, deleted);
        for key in keys {
            let key = shard.router.key(key);
            let of = shard.router.shard(key);
            if of != shard.number {
                ask(Ask { shard: of, reply, op: Op::Del, key, value: b"" });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one shard alone answers to these pieces.
    fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
        let (mut session, mut shard) = (Session::default(), Shard::new(0, Router::new(1)));
        let mut sent = Vec::new();
        for piece in pieces {
            session.feed(piece, &mut shard, &mut |_| unreachable!("there is no other shard"));
            sent.append(session.replies.out());
            assert!(session.input.len() <= resp::REQUEST_MAX, "what is kept has a bound");
        }
        (sent, session.closing)
    }

    #[test]
    fn any_bytes_are_answered_the_same_in_pieces_and_never_by_a_panic() {
        let mut good = Vec::new();
        for words in
            [&["SET", "k", "5"][..], &["INCR", "k"], &["MGET", "k", "l"], &["DEL", "k", "l"], &["PING"], &[]]
        {
            resp::array(&mut good, words.len());
            words.iter().for_each(|word| resp::bulk(&mut good, word.as_bytes()));
        }
        let (mut random, mut closed) = (fastrand::Rng::with_seed(7), 0);
        for _ in 0..5_000 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(0..bytes.len());
                match random.u32(0..4) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes[at] = *random.choice(b"*$\r\n0129-").expect("there are some"),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at + 1),
                }
            }
            let whole = answers([&bytes[..]]);
            assert_eq!(answers(bytes.chunks(1)), whole, "{}", bytes.escape_ascii());
            assert_eq!(answers(bytes.chunks(random.usize(1..50))), whole, "{}", bytes.escape_ascii());
            closed += u32::from(whole.1);
        }
        assert!(closed > 500 && closed < 4_500, "{closed}");
        assert_eq!(answers([&good[..]]).0, b"+OK\r\n:6\r\n*2\r\n$1\r\n6\r\n$-1\r\n:1\r\n+PONG\r\n");
    }
}
