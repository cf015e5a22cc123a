//! A key-value server that speaks RESP2, a shard a core, three times: its shards reach each other by smpcall, by crossbeam's channels,
//! both in a loop on epoll or on io_uring, or by tokio's channels. Protocol, commands and store are the same. docs/shards.md says what it shows.

mod by;
pub mod counting;
mod evented;
pub mod replies;
pub mod resp;
pub mod session;
pub mod store;

use crate::by::smpcall::{Bell, Calls, Shared};
use crate::by::{channel, tokio};
use crate::counting::{Counter, Counts};
use crate::evented::epoll::{self, Epoll};
use crate::evented::uring::Uring;
use crate::session::Shard;
use crate::store::Router;
use anyhow::{Context, Result};
use mio::{Poll, Waker};
use nix::sys::eventfd::EventFd;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// How the shards of a server reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Messages of smpcall.
    Smpcall(Loop),
    /// A crossbeam channel and an eventfd each.
    Channel(Loop),
    /// tokio's channels, in a current-thread runtime each.
    Tokio,
}

/// What a shard sleeps in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Loop {
    /// epoll (mio); a ring wakes it by mio's waker
    Epoll,
    /// io_uring; a ring is a completion (Linux 6.1)
    Uring,
}

impl Loop {
    /// Returns whether this system has it.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn is_here(self) -> Result<()> {
        match self {
            Self::Epoll => Ok(()),
            Self::Uring => Uring::new(None)
                .and_then(|ring| ring.doorbell())
                .map(drop)
                .context("no io_uring here that can be woken"),
        }
    }
}

/// A server that runs, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    counters: Arc<[Counter]>,
    threads: Vec<JoinHandle<Result<()>>>,
    end: End,
}

/// How its threads are told to end.
enum End {
    Smpcall(Arc<Shared>),
    Channel(Vec<channel::Address>),
    Tokio(Vec<tokio::Address>),
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smpcall(_) => "smpcall",
            Self::Channel(_) => "channel",
            Self::Tokio(_) => "tokio",
        })
    }
}

impl Server {
    /// Starts one on a port of the loopback address; on any that is free, if that is 0.
    ///
    /// # Errors
    ///
    /// The system's: a port that is taken, no thread, no descriptor; no such [loop](Loop::is_here).
    pub fn start(by: By, shards: u32, port: u16) -> Result<Self> {
        anyhow::ensure!((1..=64).contains(&shards), "1 to 64 shards, not {shards}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen")?;
        listener.set_nonblocking(true)?;
        let mut new = Start {
            address: listener.local_addr()?,
            listener: Some(listener),
            router: Router::new(shards),
            counters: (0..shards).map(|_| Counter::default()).collect(),
            threads: Vec::new(),
            shards,
        };
        let (end, started) = match by {
            By::Smpcall(on) => new.smpcall(on)?,
            By::Channel(on) => new.channel(on)?,
            By::Tokio => new.tokio(),
        };
        let server = Self { address: new.address, counters: new.counters, threads: new.threads, end };
        // If not all could be started, those that were end with the server.
        started.map(|()| server)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has counted; each shard shows its own at the end of a turn.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.counters)
    }

    /// Closes all connections, and ends. Returns what it has counted.
    ///
    /// # Errors
    ///
    /// That of a shard.
    ///
    /// # Panics
    ///
    /// If a shard has.
    pub fn stop(mut self) -> Result<Counts> {
        self.end.tell();
        for thread in std::mem::take(&mut self.threads) {
            thread.join().expect("a shard does not panic")?;
        }
        Ok(self.counts())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.tell();
        for thread in std::mem::take(&mut self.threads) {
            // Who wants to know stops it.
            let _ = thread.join();
        }
    }
}

impl End {
    fn tell(&self) {
        match self {
            // An error: it was told already.
            Self::Smpcall(shared) => drop(shared.machine.shutdown()),
            Self::Channel(shards) => shards.iter().for_each(channel::Address::end),
            Self::Tokio(shards) => shards.iter().for_each(|shard| drop(shard.send(tokio::Message::End))),
        }
    }
}

/// What a shard that has a channel is going to sleep in, and what wakes it there.
enum SleepsIn {
    Epoll(Poll),
    Uring(Arc<EventFd>),
}

/// A server that is being started.
struct Start {
    address: SocketAddr,
    /// For the first shard.
    listener: Option<TcpListener>,
    router: Router,
    counters: Arc<[Counter]>,
    threads: Vec<JoinHandle<Result<()>>>,
    shards: u32,
}

impl Start {
    /// Starts a shard's thread.
    fn shard(
        &mut self,
        number: u32,
        body: impl FnOnce(Shard, Option<TcpListener>, Arc<[Counter]>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (router, listener) = (self.router.clone(), self.listener.take());
        let counters = Arc::clone(&self.counters);
        let body = move || body(Shard::new(number, router), listener, counters);
        self.threads.push(thread::Builder::new().name(format!("shard {number}")).spawn(body)?);
        Ok(())
    }

    fn smpcall(&mut self, on: Loop) -> Result<(End, Result<()>)> {
        on.is_here()?;
        let shared = Arc::new(Shared::new(self.shards)?);
        let started = self.attach(&shared, on);
        Ok((End::Smpcall(shared), started))
    }

    fn attach(&mut self, shared: &Arc<Shared>, on: Loop) -> Result<()> {
        for number in 0..self.shards {
            let (shared, shards) = (Arc::clone(shared), self.shards);
            self.shard(number, move |mut shard, listener, counters| {
                let counter = &counters[number as usize];
                match on {
                    Loop::Epoll => {
                        let poll = Poll::new()?;
                        let bell = Bell(Waker::new(poll.registry(), epoll::BELL)?);
                        let sockets = Epoll::new(poll, listener)?;
                        let mut calls = Calls::attach(&shared, number, bell)?;
                        Ok(evented::run(&mut shard, shards, sockets, counter, &mut calls)?)
                    }
                    Loop::Uring => {
                        let sockets = Uring::new(listener)?;
                        let mut calls = Calls::attach(&shared, number, sockets.doorbell()?)?;
                        Ok(evented::run(&mut shard, shards, sockets, counter, &mut calls)?)
                    }
                }
            })?;
        }
        // What is sent to a shard that is not there yet would be refused.
        while !(0..self.shards).all(|shard| shared.machine.is_online_racy(shard)) {
            anyhow::ensure!(
                self.threads.iter().all(|thread| !thread.is_finished()),
                "a shard does not start"
            );
            thread::yield_now();
        }
        Ok(())
    }

    fn channel(&mut self, on: Loop) -> Result<(End, Result<()>)> {
        on.is_here()?;
        let (mut peers, mut starts) = (Vec::new(), Vec::new());
        for _ in 0..self.shards {
            let (peer, receiver, sleeps) = match on {
                Loop::Epoll => {
                    let poll = Poll::new()?;
                    let (peer, receiver) = channel::Address::on_epoll(&poll)?;
                    (peer, receiver, SleepsIn::Epoll(poll))
                }
                Loop::Uring => {
                    let (peer, receiver, event) = channel::Address::on_uring()?;
                    (peer, receiver, SleepsIn::Uring(event))
                }
            };
            peers.push(peer);
            starts.push((receiver, sleeps));
        }
        let started = starts.into_iter().enumerate().try_for_each(|(number, (receiver, sleeps))| {
            let (number, shards) = (number as u32, self.shards);
            let mut channels = channel::Channels::new(number, receiver, peers.clone());
            self.shard(number, move |mut shard, listener, counters| {
                let counter = &counters[number as usize];
                match sleeps {
                    SleepsIn::Epoll(poll) => {
                        let sockets = Epoll::new(poll, listener)?;
                        Ok(evented::run(&mut shard, shards, sockets, counter, &mut channels)?)
                    }
                    SleepsIn::Uring(event) => {
                        let mut sockets = Uring::new(listener)?;
                        sockets.watch(event)?;
                        Ok(evented::run(&mut shard, shards, sockets, counter, &mut channels)?)
                    }
                }
            })
        });
        Ok((End::Channel(peers), started))
    }

    fn tokio(&mut self) -> (End, Result<()>) {
        let (peers, receivers): (Vec<_>, Vec<_>) =
            (0..self.shards).map(|_| ::tokio::sync::mpsc::unbounded_channel()).unzip();
        let started = receivers.into_iter().enumerate().try_for_each(|(number, receiver)| {
            let peers = peers.clone();
            self.shard(number as u32, move |shard, listener, counters| {
                Ok(tokio::run(shard, listener, counters, peers, receiver)?)
            })
        });
        (End::Tokio(peers), started)
    }
}
