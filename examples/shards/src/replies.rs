//! The replies of a connection, in the order of its requests, whatever the order in which shards answer.

use std::collections::VecDeque;
use std::ops::Range;

/// One reply, or an element of one, that cannot be sent yet.
#[derive(Debug)]
enum Place {
    /// A shard is to answer.
    Waiting,
    /// So many are to answer, with integers whose sum is the reply.
    Sum { left: u32, total: i64 },
    /// It is there, and one before it is not.
    Held(Range<usize>),
}

/// What is to be sent on a connection, and what it waits for.
#[derive(Debug, Default)]
pub struct Replies {
    /// Complete, in order.
    out: Vec<u8>,
    /// What [`Place::Held`] is a range of.
    held: Vec<u8>,
    places: VecDeque<Place>,
    /// The number of the first of these.
    first: u64,
}

impl Replies {
    /// Adds a reply that is there.
    pub fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.places.is_empty() {
            return write(&mut self.out);
        }
        let start = self.held.len();
        write(&mut self.held);
        self.places.push_back(Place::Held(start..self.held.len()));
    }

    /// Adds one that a shard will [answer](Self::answer); returns its number.
    pub fn wait(&mut self) -> u64 {
        self.places.push_back(Place::Waiting);
        self.first + self.places.len() as u64 - 1
    }

    /// Adds one that is the sum of `total` and of what will be answered, so many times; returns its number.
    pub fn wait_for_sum(&mut self, left: u32, total: i64) -> u64 {
        self.places.push_back(Place::Sum { left, total });
        self.first + self.places.len() as u64 - 1
    }

    /// The answer of a shard has come. One that nobody waits for is dropped.
    pub fn answer(&mut self, number: u64, reply: &[u8]) {
        let Some(index) = number.checked_sub(self.first) else { return };
        let Some(place) = self.places.get_mut(index as usize) else { return };
        match place {
            Place::Held(_) => return,
            Place::Sum { left, total } => {
                *total += count(reply);
                *left -= 1;
                if *left > 0 {
                    return;
                }
                let total = *total;
                let start = self.held.len();
                crate::resp::integer(&mut self.held, total);
                *place = Place::Held(start..self.held.len());
            }
            Place::Waiting if index == 0 => {
                self.out.extend_from_slice(reply);
                self.step();
            }
            Place::Waiting => {
                let start = self.held.len();
                self.held.extend_from_slice(reply);
                *place = Place::Held(start..self.held.len());
            }
        }
        while let Some(Place::Held(range)) = self.places.front() {
            self.out.extend_from_slice(&self.held[range.clone()]);
            self.step();
        }
        if self.places.is_empty() {
            self.held.clear();
        }
    }

    fn step(&mut self) {
        self.places.pop_front();
        self.first += 1;
    }

    /// Returns how many replies wait, for a shard or for one before them.
    pub fn waiting(&self) -> usize {
        self.places.len()
    }

    /// Returns how many bytes there are.
    pub fn bytes(&self) -> usize {
        self.out.len() + self.held.len()
    }

    /// Returns what can be sent; who sends takes it out.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

/// The number in a reply of [`Op::Del`](crate::store::Op::Del).
fn count(reply: &[u8]) -> i64 {
    i64::from(reply.starts_with(b":1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_sent_in_the_order_of_requests() {
        let mut replies = Replies::default();
        let say = |text: &'static [u8]| move |out: &mut Vec<u8>| out.extend_from_slice(text);
        replies.add(say(b"a"));
        let b = replies.wait();
        replies.add(say(b"c"));
        let d = replies.wait_for_sum(2, 1);
        let e = replies.wait();
        replies.add(say(b"f"));
        assert_eq!((replies.waiting(), replies.out().as_slice()), (5, &b"a"[..]));
        replies.answer(e, b"e");
        replies.answer(d, b":1\r\n");
        replies.answer(99, b"nobody's");
        assert_eq!(replies.out(), b"a");
        replies.answer(b, b"b");
        assert_eq!(replies.out(), b"abc");
        replies.answer(d, b":0\r\n");
        assert_eq!((replies.waiting(), replies.out().as_slice()), (0, &b"abc:2\r\nef"[..]));
        replies.answer(b, b"again");
        replies.out().clear();
        replies.add(say(b"g"));
        let h = replies.wait();
        replies.answer(h, b"h");
        assert_eq!((replies.bytes(), replies.out().as_slice()), (2, &b"gh"[..]));
    }
}
