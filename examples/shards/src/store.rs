//! What a shard keeps, and what may be done to one key of it.

use crate::resp;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, RandomState};

/// What is done to a key. A command of many keys is one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The value.
    Get,
    /// Another value.
    Set,
    /// One more.
    Incr,
    /// None: the reply is how many there were.
    Del,
}

/// A key, and its hash, which says whose it is and where it is there.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key.
    pub text: &'a [u8],
    /// Of the [`Router`].
    pub hash: u64,
}

/// A key and its value, in one piece.
#[derive(Debug)]
struct Pair {
    bytes: Vec<u8>,
    key_len: usize,
    hash: u64,
}

impl Pair {
    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len]
    }

    fn value(&self) -> &[u8] {
        &self.bytes[self.key_len..]
    }
}

/// Keys and values of one shard. Only its thread has it.
#[derive(Debug, Default)]
pub struct Store {
    pairs: HashTable<Pair>,
}

impl Store {
    /// Does `op`, and writes the reply. `value` is for [`Op::Set`].
    pub fn execute(&mut self, op: Op, key: Key<'_>, value: &[u8], out: &mut Vec<u8>) {
        match op {
            Op::Get => match self.get(key) {
                Some(value) => resp::bulk(out, value),
                None => resp::null(out),
            },
            Op::Set => {
                self.set(key, value);
                out.extend_from_slice(b"+OK\r\n");
            }
            Op::Incr => self.increment(key, out),
            Op::Del => resp::integer(out, i64::from(self.delete(key))),
        }
    }

    /// Returns whether there was such a key.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        self.pairs
            .find_entry(key.hash, |pair| pair.key() == key.text)
            .map(|found| drop(found.remove()))
            .is_ok()
    }

    fn get(&self, key: Key<'_>) -> Option<&[u8]> {
        self.pairs.find(key.hash, |pair| pair.key() == key.text).map(Pair::value)
    }

    fn set(&mut self, key: Key<'_>, value: &[u8]) {
        let Key { text, hash } = key;
        match self.pairs.entry(hash, |pair| pair.key() == text, |pair| pair.hash) {
            Entry::Occupied(mut found) => {
                let pair = found.get_mut();
                pair.bytes.truncate(pair.key_len);
                pair.bytes.extend_from_slice(value);
            }
            Entry::Vacant(place) => {
                let bytes = [text, value].concat();
                place.insert(Pair { bytes, key_len: text.len(), hash });
            }
        }
    }

    fn increment(&mut self, key: Key<'_>, out: &mut Vec<u8>) {
        let before = match self.get(key) {
            None => Some(0),
            Some(value) => std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()),
        };
        match before.map(|before| before.checked_add(1)) {
            None => resp::error(out, "value is not an integer or out of range"),
            Some(None) => resp::error(out, "increment or decrement would overflow"),
            Some(Some(now)) => {
                // A reply is `:`, the number, and the end of the line.
                let from = out.len();
                resp::integer(out, now);
                let (start, end) = (from + 1, out.len() - 2);
                self.set(key, &out[start..end]);
            }
        }
    }
}

/// Which shard a key is of: the same for all of them.
#[derive(Clone, Debug)]
pub struct Router {
    hasher: RandomState,
    shards: u32,
}

impl Router {
    /// For that many shards.
    pub fn new(shards: u32) -> Self {
        Self { hasher: RandomState::new(), shards }
    }

    /// Returns the key with its hash.
    pub fn key<'a>(&self, text: &'a [u8]) -> Key<'a> {
        Key { text, hash: self.hasher.hash_one(text) }
    }

    /// Returns the shard of a key: by the middle of the hash, since the ends of it say where it is in the table.
    pub fn shard(&self, key: Key<'_>) -> u32 {
        (key.hash >> 32) as u32 % self.shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_grows_until_it_would_overflow() {
        let mut store = Store::default();
        let key = Router::new(1).key(b"k");
        let mut does = |op, value: &str| {
            let mut out = Vec::new();
            store.execute(op, key, value.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!([does(Op::Incr, ""), does(Op::Incr, "")], [":1\r\n", ":2\r\n"]);
        assert_eq!(does(Op::Get, ""), "$1\r\n2\r\n");
        does(Op::Set, "-10");
        assert_eq!([does(Op::Incr, ""), does(Op::Get, "")], [":-9\r\n", "$2\r\n-9\r\n"]);
        does(Op::Set, &i64::MAX.to_string());
        assert_eq!(does(Op::Incr, ""), "-ERR increment or decrement would overflow\r\n");
        does(Op::Set, "seven");
        assert_eq!(does(Op::Incr, ""), "-ERR value is not an integer or out of range\r\n");
        assert_eq!([does(Op::Del, ""), does(Op::Del, "")], [":1\r\n", ":0\r\n"]);
        assert_eq!(does(Op::Get, ""), "$-1\r\n");
    }

    #[test]
    fn every_shard_has_keys_and_every_router_agrees() {
        let (router, mut keys) = (Router::new(3), [0; 3]);
        let other = router.clone();
        for key in 0..3_000_u32 {
            let key = key.to_le_bytes();
            let shard = router.shard(router.key(&key));
            assert_eq!(other.shard(other.key(&key)), shard);
            keys[shard as usize] += 1;
        }
        assert!(keys.iter().all(|keys| *keys > 500), "{keys:?}");
    }
}
