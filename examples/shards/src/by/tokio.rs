//! Shards as tokio's current-thread runtimes, a task a connection: a question goes by an mpsc channel, and its answer comes by a
//! oneshot.
//!
//! A connection's task reads, runs what it has read, waits for the answers, and writes all replies at once.

use crate::counting::Counter;
use crate::session::{Ask, Session, Shard};
use crate::store::{Key, Op};
use std::cell::RefCell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

/// Messages that are taken at once.
const TURN: usize = 1024;

/// What shards send each other.
pub(crate) enum Message {
    Question { op: Op, hash: u64, key_len: usize, bytes: Vec<u8>, answer: oneshot::Sender<Vec<u8>> },
    Connection(TcpStream),
    End,
}

/// How shards are reached.
pub(crate) type Address = UnboundedSender<Message>;

/// A shard, as its tasks have it.
struct Here {
    shard: RefCell<Shard>,
    peers: Vec<Address>,
    counters: Arc<[Counter]>,
}

impl Here {
    fn show(&self, shard: &Shard) {
        self.counters[shard.number as usize].show(shard);
    }
}

/// A shard, until the server ends. The one with the `listener` accepts for all, and deals out what comes.
pub(crate) fn run(
    shard: Shard,
    listener: Option<TcpListener>,
    counters: Arc<[Counter]>,
    peers: Vec<Address>,
    receiver: UnboundedReceiver<Message>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let here = Rc::new(Here { shard: RefCell::new(shard), peers, counters });
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        if let Some(listener) = listener {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            spawn_local(accept(listener, here.peers.clone()));
        }
        serve(here, receiver).await;
        Ok(())
    })
    // The tasks go with their set, and the connections with them.
}

async fn accept(listener: tokio::net::TcpListener, peers: Vec<Address>) {
    for peer in peers.iter().cycle() {
        // Out of file descriptors, or the connection is gone already: the next one.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Ok(stream) = stream.into_std() {
            // An error: that shard has ended.
            let _ = peer.send(Message::Connection(stream));
        }
    }
}

/// Answers what others ask, and starts connections.
async fn serve(here: Rc<Here>, mut receiver: UnboundedReceiver<Message>) {
    let mut messages = Vec::with_capacity(TURN);
    while receiver.recv_many(&mut messages, TURN).await > 0 {
        for message in messages.drain(..) {
            match message {
                Message::Question { op, hash, key_len, bytes, answer } => {
                    let (text, value) = bytes.split_at(key_len);
                    let key = Key { text, hash };
                    let mut text = Vec::with_capacity(64);
                    here.shard.borrow_mut().store.execute(op, key, value, &mut text);
                    // An error: the connection is gone.
                    let _ = answer.send(text);
                }
                Message::Connection(stream) => {
                    // An error: it is closed by the client, or cannot be watched.
                    spawn_local(connection(Rc::clone(&here), stream));
                }
                Message::End => return,
            }
        }
        here.show(&here.shard.borrow());
    }
}

async fn connection(here: Rc<Here>, stream: TcpStream) -> io::Result<()> {
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    let (mut session, mut answers) = (Session::default(), Vec::new());
    let mut buffer = vec![0; 16 << 10];
    while !session.is_over() {
        match stream.read(&mut buffer).await? {
            0 => session.close(),
            len => feed(&here, &mut session, Some(&buffer[..len]), &mut answers),
        }
        loop {
            for (reply, answer) in answers.drain(..) {
                // An error: the server ends.
                let text: Vec<u8> = answer.await.map_err(io::Error::other)?;
                session.replies.answer(reply, &text);
            }
            stream.write_all(session.replies.out()).await?;
            session.replies.out().clear();
            let before = here.shard.borrow().requests;
            feed(&here, &mut session, None, &mut answers);
            if answers.is_empty() && here.shard.borrow().requests == before {
                break;
            }
        }
    }
    Ok(())
}

type Answers = Vec<(u64, oneshot::Receiver<Vec<u8>>)>;

/// Runs what was read, or what had to wait.
fn feed(here: &Here, session: &mut Session, read: Option<&[u8]>, answers: &mut Answers) {
    let mut ask = |question: Ask<'_>| {
        let Ask { shard, reply, op, key, value } = question;
        let (answer, receiver) = oneshot::channel();
        let bytes = [key.text, value].concat();
        // An error: that shard has ended, and the receiver says so.
        let _ = here.peers[shard as usize].send(Message::Question {
            op,
            hash: key.hash,
            key_len: key.text.len(),
            bytes,
            answer,
        });
        answers.push((reply, receiver));
    };
    let shard = &mut here.shard.borrow_mut();
    match read {
        Some(read) => session.feed(read, shard, &mut ask),
        None if session.is_stopped() => session.resume(shard, &mut ask),
        None => {}
    }
    here.show(shard);
}
