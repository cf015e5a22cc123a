//! What a shard keeps, and what may be done to one key of it.

use crate::resp;
use std::collections::HashMap;
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

/// Keys and values of one shard. Only its thread has it.
#[derive(Debug, Default)]
pub struct Store {
    values: HashMap<Box<[u8]>, Vec<u8>>,
}

impl Store {
    /// Does `op`, and writes the reply. `value` is for [`Op::Set`].
    pub fn execute(&mut self, op: Op, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match op {
            Op::Get => match self.values.get(key) {
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
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.values.remove(key).is_some()
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        if let Some(held) = self.values.get_mut(key) {
            held.clear();
            held.extend_from_slice(value);
        } else {
            self.values.insert(key.into(), value.to_vec());
        }
    }

    fn increment(&mut self, key: &[u8], out: &mut Vec<u8>) {
        let before = match self.values.get(key) {
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

    /// Returns the shard of a key.
    pub fn shard(&self, key: &[u8]) -> u32 {
        (self.hasher.hash_one(key) % u64::from(self.shards)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_grows_until_it_would_overflow() {
        let mut store = Store::default();
        let mut does = |op, value: &str| {
            let mut out = Vec::new();
            store.execute(op, b"k", value.as_bytes(), &mut out);
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
            let shard = router.shard(&key.to_le_bytes());
            assert_eq!(other.shard(&key.to_le_bytes()), shard);
            keys[shard as usize] += 1;
        }
        assert!(keys.iter().all(|keys| *keys > 500), "{keys:?}");
    }
}
