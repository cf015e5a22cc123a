//! The eventfd in other people's reactors: mio, tokio's `AsyncFd`, async-io.

use crate::loops::Flood;
use crate::site::{Site, bounded};
use smpcall_host::smpcall::Budget;
use smpcall_host::{Attached, EventFd, Machine};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

fn site() -> Site {
    Site::new(Machine::builder().attachable(1))
}

#[test]
fn p14_mio() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    let mut poll = mio::Poll::new().unwrap();
    let fd = here.as_raw_fd();
    poll.registry().register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE).unwrap();
    let mut events = mio::Events::with_capacity(4);
    flood.beside(&site, || {
        while !flood.is_over() {
            if let Ok(guard) = here.begin_sleep() {
                let asleep = guard.commit();
                // A signal ends it, too.
                let _ = poll.poll(&mut events, None);
                let _ = asleep.woken(Budget::DEFAULT);
            } else {
                let _ = here.poll(Budget::DEFAULT);
            }
        }
    });
    assert_eq!(flood.runs.get(), flood.queued.get());
}

/// One descriptor more for the same doorbell, since a reactor wants to own it.
fn fd(here: &Attached<'_, (), EventFd>) -> OwnedFd {
    here.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn p14_tokio_async_fd() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    flood.beside(&site, || {
        runtime.block_on(async {
            // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, as long as it lives.
            let fd = unsafe { AsyncFd::register_with_interest(fd(&here), Interest::READABLE) }.unwrap();
            while !flood.is_over() {
                if let Ok(guard) = here.begin_sleep() {
                    let asleep = guard.commit();
                    let mut ready = fd.readable().await.unwrap();
                    let _ = asleep.woken(Budget::DEFAULT);
                    ready.clear_ready();
                } else {
                    let _ = here.poll(Budget::DEFAULT);
                }
                tokio::task::yield_now().await;
            }
        });
    });
    assert_eq!(flood.runs.get(), flood.queued.get());
}

#[test]
fn p14_async_io() {
    let _bounded = bounded();
    let (site, flood) = (site(), Flood::new());
    let mut here = site.attach_with(0, EventFd::new().unwrap()).unwrap();
    flood.beside(&site, || {
        smol::block_on(async {
            let fd = smol::Async::new_nonblocking(fd(&here)).unwrap();
            while !flood.is_over() {
                if let Ok(guard) = here.begin_sleep() {
                    let asleep = guard.commit();
                    fd.readable().await.unwrap();
                    let _ = asleep.woken(Budget::DEFAULT);
                } else {
                    let _ = here.poll(Budget::DEFAULT);
                }
            }
        });
    });
    assert_eq!(flood.runs.get(), flood.queued.get());
}
