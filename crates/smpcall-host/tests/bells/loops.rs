//! What the loops share: an epoll loop, and posters that flood it.

use crate::site::{Count, Flag, rounds};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use smpcall_host::smpcall::{Budget, Csd, Posted};
use smpcall_host::{Attached, EventFd, Machine};
use std::sync::{Arc, Mutex};
use std::thread;

/// An epoll instance that watches a CPU's eventfd, level-triggered or not.
pub(crate) fn epoll(here: &Attached<'_, (), EventFd>, trigger: EpollFlags) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    epoll.add(here, EpollEvent::new(EpollFlags::EPOLLIN | trigger, 1)).unwrap();
    epoll
}

/// Sleeps until something is readable.
pub(crate) fn wait(epoll: &Epoll) {
    // A signal, as a profiler's, ends it early, which is as good.
    let _ = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE);
}

/// Whether its eventfd is readable.
pub(crate) fn is_readable(epoll: &Epoll) -> bool {
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO).unwrap() == 1
}

/// One turn of a loop that begins each of its sleeps.
pub(crate) fn turn(here: &mut Attached<'_, (), EventFd>, epoll: &Epoll) {
    if let Ok(guard) = here.begin_sleep() {
        let asleep = guard.commit();
        wait(epoll);
        let _ = asleep.woken(Budget::DEFAULT);
    } else {
        let _ = here.poll(Budget::DEFAULT);
    }
}

/// 100,000 posts, from two threads, to CPU 0: sometimes a burst, sometimes one that waits for its run, so that the loop sleeps
/// now and then. `done` is set, and one more post made, when all are made.
pub(crate) struct Flood {
    pub(crate) queued: Count,
    pub(crate) runs: Arc<Count>,
    pub(crate) done: Flag,
    /// Its csds, which are not freed where they run: a signal's handler may not.
    kept: Mutex<Vec<Arc<dyn Send + Sync>>>,
}

impl Flood {
    pub(crate) fn new() -> Self {
        Self { queued: Count::new(), runs: Arc::default(), done: Flag::default(), kept: Mutex::default() }
    }

    pub(crate) fn csd(&self) -> Arc<Csd<impl Fn() + Send + Sync + 'static>> {
        let runs = Arc::clone(&self.runs);
        let csd = Arc::new(Csd::new(move || _ = runs.up()));
        let kept: Arc<dyn Send + Sync> = Arc::clone(&csd) as _;
        self.kept.lock().unwrap().push(kept);
        csd
    }

    /// Runs both posters while the caller serves.
    pub(crate) fn beside(&self, machine: &Machine, serve: impl FnOnce()) {
        thread::scope(|scope| {
            let posters: [_; 2] = std::array::from_fn(|_| scope.spawn(|| self.post(machine, rounds(50_000))));
            scope.spawn(|| {
                posters.into_iter().for_each(|poster| poster.join().unwrap());
                self.queued.up();
                self.done.set();
                machine.post(0, &self.csd()).unwrap();
            });
            serve();
        });
    }

    fn post(&self, machine: &Machine, posts: u32) {
        let csds: Vec<_> = (0..16).map(|_| self.csd()).collect();
        for round in 0..posts {
            let csd = &csds[round as usize % 16];
            if machine.post(0, csd).unwrap() == Posted::Queued {
                self.queued.up();
            }
            if round % 101 == 0 {
                // By a look at the csd alone, which rings nobody.
                crate::site::eventually(|| !csd.is_pending());
            }
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.done.is_set() && self.runs.get() == self.queued.get()
    }
}
