//! Shards as CPUs. What one asks another in a turn is one message, which comes back with the answers.
//!
//! A *lane* is such a message: a csd that is embedded in what two shards share, with room for a batch. It is sent from its home to
//! the other shard, which runs the batch in its next turn and sends the same csd back. Its buffers go to and fro with it, so that
//! after the first turns nothing is allocated; while all lanes to a shard are under way, what is asked collects in the next batch.

use crate::evented::{Arrived, Asker, Sleep, Transport};
use crate::session::{Ask, Shard};
use crate::store::{Key, Op};
use mio::Waker;
use smpcall_host::smpcall::{Budget, Here, MessageField, MessageOwner, RingError, csd_field};
use smpcall_host::{Attached, Doorbell, Machine};
use std::cell::RefCell;
use std::net::TcpStream;
use std::sync::Arc;

/// Batches that may be under way from one shard to another.
const LANES: usize = 4;

thread_local! {
    /// What was sent to this thread's shard, and waits for its loop.
    static ARRIVED: RefCell<Vec<Batch>> = const { RefCell::new(Vec::new()) };
}

/// A batch's way from one shard to another and back.
struct Lane {
    home: u32,
    ship: MessageField<Batch, ()>,
}

csd_field! { impl Lane { ship(Batch) -> () } }

impl MessageOwner for Lane {
    fn run(_: &Self, batch: Batch, _: Here<'_>) {
        ARRIVED.with(|arrived| arrived.borrow_mut().push(batch));
    }
}

/// mio's waker as a doorbell. It rings once for each sleep, and since mio's events are edges nobody has to read it.
pub(crate) struct Bell(pub(crate) Waker);

impl Doorbell for Bell {
    fn ring(&self) -> Result<(), RingError> {
        self.0.wake().map_err(|_| RingError)
    }
}

/// Questions of one shard to another, and the answers.
#[derive(Debug, Default)]
struct Batch {
    /// Which lane it is on.
    lane: usize,
    questions: Vec<Question>,
    /// The keys and values of all.
    bytes: Vec<u8>,
    /// The answers of all, in the same order.
    answers: Vec<u8>,
    connections: Vec<TcpStream>,
}

#[derive(Debug)]
struct Question {
    asker: Asker,
    reply: u64,
    op: Op,
    hash: u64,
    key_len: u32,
    value_len: u32,
    answer_len: u32,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.connections.is_empty()
    }

    fn answer(&mut self, shard: &mut Shard) {
        let mut rest = &self.bytes[..];
        for question in &mut self.questions {
            let (text, after) = rest.split_at(question.key_len as usize);
            let key = Key { text, hash: question.hash };
            let (value, after) = after.split_at(question.value_len as usize);
            let before = self.answers.len();
            shard.store.execute(question.op, key, value, &mut self.answers);
            question.answer_len = (self.answers.len() - before) as u32;
            rest = after;
        }
    }

    fn clear(&mut self) {
        self.questions.clear();
        self.bytes.clear();
        self.answers.clear();
    }
}

/// What all shards have.
pub(crate) struct Shared {
    pub(crate) machine: Machine,
    /// Those from shard `i` to shard `j` are the `LANES` from `(i * shards + j) * LANES` on.
    lanes: Vec<Arc<Lane>>,
    shards: u32,
}

impl Shared {
    pub(crate) fn new(shards: u32) -> anyhow::Result<Self> {
        let machine = Machine::builder().attachable(shards as usize).build()?;
        let lanes = (0..(shards * shards) as usize * LANES).map(|lane| {
            let home = (lane / LANES) as u32 / shards;
            Arc::new(Lane { home, ship: MessageField::new() })
        });
        Ok(Self { machine, lanes: lanes.collect(), shards })
    }
}

/// What one shard has for each other one.
struct Peer {
    /// What is asked in this turn.
    next: Batch,
    /// Batches that are empty: at first none, in the end one for each lane.
    spare: Vec<Batch>,
    /// Lanes that are at home.
    lanes: Vec<usize>,
}

/// One shard's side.
pub(crate) struct Calls<'m, D: Doorbell> {
    shared: &'m Shared,
    here: Attached<'m, (), D>,
    peers: Vec<Peer>,
    arrived: Vec<Batch>,
}

impl<'m, D: Doorbell> Calls<'m, D> {
    pub(crate) fn attach(shared: &'m Shared, number: u32, bell: D) -> anyhow::Result<Self> {
        let here = shared.machine.attach_with(number, bell)?;
        let peers = (0..shared.shards).map(|peer| {
            let first = (number * shared.shards + peer) as usize * LANES;
            Peer { next: Batch::default(), spare: Vec::new(), lanes: (first..first + LANES).collect() }
        });
        Ok(Self { shared, here, peers: peers.collect(), arrived: Vec::new() })
    }
}

impl<D: Doorbell> Transport for Calls<'_, D> {
    fn ask(&mut self, asker: Asker, ask: Ask<'_>) {
        let Ask { shard, reply, op, key, value } = ask;
        let batch = &mut self.peers[shard as usize].next;
        let (key_len, value_len) = (key.text.len() as u32, value.len() as u32);
        batch.questions.push(Question {
            asker,
            reply,
            op,
            hash: key.hash,
            key_len,
            value_len,
            answer_len: 0,
        });
        batch.bytes.extend_from_slice(key.text);
        batch.bytes.extend_from_slice(value);
    }

    fn give(&mut self, shard: u32, connection: TcpStream) {
        self.peers[shard as usize].next.connections.push(connection);
    }

    fn send(&mut self) {
        for (shard, peer) in self.peers.iter_mut().enumerate() {
            if peer.next.is_empty() {
                continue;
            }
            // None: it goes when one comes home.
            let Some(lane) = peer.lanes.pop() else { continue };
            let next = peer.spare.pop().unwrap_or_default();
            let mut batch = std::mem::replace(&mut peer.next, next);
            batch.lane = lane;
            // An error: that shard is offline, since the server ends.
            let _ = self.shared.machine.send(shard as u32, &self.shared.lanes[lane], batch);
        }
    }

    fn receive(&mut self, shard: &mut Shard, deliver: &mut impl FnMut(Arrived<'_>, &mut Shard, &mut Self)) {
        // What came during this turn, too.
        let _ = self.here.poll(Budget::DEFAULT);
        let mut arrived = std::mem::take(&mut self.arrived);
        ARRIVED.with(|slot| std::mem::swap(&mut *slot.borrow_mut(), &mut arrived));
        for mut batch in arrived.drain(..) {
            let shared = self.shared;
            let lane = &shared.lanes[batch.lane];
            // Its run is over, so it can be sent again.
            lane.ship.try_take().expect("a batch has arrived by the end of its message's run");
            for connection in batch.connections.drain(..) {
                deliver(Arrived::Connection(connection), shard, self);
            }
            if lane.home != shard.number {
                batch.answer(shard);
                // An error: the shard that asked is offline.
                let _ = shared.machine.send(lane.home, lane, batch);
                continue;
            }
            let mut rest = &batch.answers[..];
            for question in &batch.questions {
                let (text, after) = rest.split_at(question.answer_len as usize);
                let Question { asker, reply, .. } = *question;
                deliver(Arrived::Answer { asker, reply, text }, shard, self);
                rest = after;
            }
            batch.clear();
            let peer = &mut self.peers[batch.lane / LANES % self.shared.shards as usize];
            peer.lanes.push(batch.lane);
            peer.spare.push(batch);
        }
        self.arrived = arrived;
    }

    fn wait<R>(&mut self, sleep: Sleep, wait: impl FnOnce(Sleep) -> R) -> R {
        if sleep == Sleep::Allowed
            && let Ok(guard) = self.here.begin_sleep()
        {
            let asleep = guard.commit();
            let waited = wait(Sleep::Allowed);
            let _ = asleep.woken(Budget::DEFAULT);
            waited
        } else {
            wait(Sleep::Not)
        }
    }

    fn has_arrived(&mut self) -> bool {
        self.here.handle().has_work()
    }

    fn is_over(&self) -> bool {
        self.shared.machine.is_shut_down()
    }
}
