//! The crates' channels: each unbounded, but rtrb's ring, which has room for a flood.

use super::{Channel, Look, Sleeps};
use crate::work::FLOOD;
use std::sync::mpsc;

pub(crate) struct Std;
pub(crate) struct Crossbeam;
pub(crate) struct Kanal;
pub(crate) struct Flume;
pub(crate) struct Rtrb;

/// A channel whose ends and errors have the names of std's.
macro_rules! like_std {
    ($kind:ident, $of:ident, $open:ident) => {
        impl Channel for $kind {
            type Tx<T: Send + 'static> = $of::Sender<T>;
            type Rx<T: Send + 'static> = $of::Receiver<T>;

            fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
                $of::$open()
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
                    Err($of::TryRecvError::Empty) => Look::Nothing,
                    Err($of::TryRecvError::Disconnected) => Look::Closed,
                }
            }
        }

        impl Sleeps for $kind {
            #[inline]
            fn sleep<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Option<T> {
                rx.recv().ok()
            }
        }
    };
}

like_std!(Std, mpsc, channel);
like_std!(Crossbeam, crossbeam_channel, unbounded);
like_std!(Flume, flume, unbounded);

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
