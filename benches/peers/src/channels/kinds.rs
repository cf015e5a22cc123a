//! The crates' channels: each unbounded, but rtrb's ring, which has room for a flood.

use super::{Channel, Look, Sleeps};
use crate::work::FLOOD;
use std::sync::mpsc;

pub(crate) struct Std;
pub(crate) struct Crossbeam;
pub(crate) struct Kanal;
pub(crate) struct Flume;
pub(crate) struct Rtrb;

impl Channel for Std {
    type Tx<T: Send + 'static> = mpsc::Sender<T>;
    type Rx<T: Send + 'static> = mpsc::Receiver<T>;

    fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
        mpsc::channel()
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &mut Self::Tx<T>, value: T) {
        // Closed: who waits for an answer finds that out.
        let _ = tx.send(value);
    }

    #[inline]
    fn look<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Look<T> {
        match rx.try_recv() {
            Ok(value) => Look::Value(value),
            Err(mpsc::TryRecvError::Empty) => Look::Nothing,
            Err(mpsc::TryRecvError::Disconnected) => Look::Closed,
        }
    }
}

impl Sleeps for Std {
    #[inline]
    fn sleep<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

impl Channel for Crossbeam {
    type Tx<T: Send + 'static> = crossbeam_channel::Sender<T>;
    type Rx<T: Send + 'static> = crossbeam_channel::Receiver<T>;

    fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
        crossbeam_channel::unbounded()
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &mut Self::Tx<T>, value: T) {
        // As for std's.
        let _ = tx.send(value);
    }

    #[inline]
    fn look<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Look<T> {
        match rx.try_recv() {
            Ok(value) => Look::Value(value),
            Err(crossbeam_channel::TryRecvError::Empty) => Look::Nothing,
            Err(crossbeam_channel::TryRecvError::Disconnected) => Look::Closed,
        }
    }
}

impl Sleeps for Crossbeam {
    #[inline]
    fn sleep<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

impl Channel for Kanal {
    type Tx<T: Send + 'static> = kanal::Sender<T>;
    type Rx<T: Send + 'static> = kanal::Receiver<T>;

    fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
        kanal::unbounded()
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &mut Self::Tx<T>, value: T) {
        // As for std's.
        let _ = tx.send(value);
    }

    #[inline]
    fn look<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Look<T> {
        match rx.try_recv() {
            Ok(Some(value)) => Look::Value(value),
            Ok(None) => Look::Nothing,
            Err(_) => Look::Closed,
        }
    }
}

impl Sleeps for Kanal {
    #[inline]
    fn sleep<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

impl Channel for Flume {
    type Tx<T: Send + 'static> = flume::Sender<T>;
    type Rx<T: Send + 'static> = flume::Receiver<T>;

    fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
        flume::unbounded()
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &mut Self::Tx<T>, value: T) {
        // As for std's.
        let _ = tx.send(value);
    }

    #[inline]
    fn look<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Look<T> {
        match rx.try_recv() {
            Ok(value) => Look::Value(value),
            Err(flume::TryRecvError::Empty) => Look::Nothing,
            Err(flume::TryRecvError::Disconnected) => Look::Closed,
        }
    }
}

impl Sleeps for Flume {
    #[inline]
    fn sleep<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }
}

impl Channel for Rtrb {
    type Tx<T: Send + 'static> = rtrb::Producer<T>;
    type Rx<T: Send + 'static> = rtrb::Consumer<T>;

    fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
        rtrb::RingBuffer::new(FLOOD as usize)
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &mut Self::Tx<T>, value: T) {
        // Never full: no more than a flood is under way.
        let _ = tx.push(value);
    }

    #[inline]
    fn look<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Look<T> {
        match rx.pop() {
            Ok(value) => Look::Value(value),
            Err(_) if rx.is_abandoned() && rx.is_empty() => Look::Closed,
            Err(_) => Look::Nothing,
        }
    }
}
