//! The sleeps of an attached thread's own loop.
//!
//! | step | its latch | a post meanwhile |
//! |---|---|---|
//! | [`Attached::begin_sleep`] | the thread is outside | rings the doorbell |
//! | [`SleepGuard::look_again`] | the same | has rung, if this says yes |
//! | [`SleepGuard::commit`], the sleep | the same | has the doorbell end it |
//! | [`Asleep::woken`] or [`Asleep::awake`], or the guard is dropped | quiet | latches |
//!
//! The queue's own mark comes first (the core's `begin_sleep`), then the latch, then a look at the queue: a ring that came before the latch
//! was set is taken note of by setting it, and what it was for is seen by the look.

use crate::attach::Attached;
use crate::doorbell::{Doorbell, Futex};
use crate::latch::Latch;
use crate::machine::Machine;
use crate::port::Host;
use crate::trace::Trace;
use smpcall::{Budget, Flushed, NoSleep, PerCpu};

type Core<'a, 'm, T> = smpcall::SleepGuard<'a, 'm, Host<T>, Box<[PerCpu]>>;
type CoreAsleep<'a, 'm, T> = smpcall::Asleep<'a, 'm, Host<T>, Box<[PerCpu]>>;

/// What ends a sleep, and is to be told that it ended.
#[derive(Debug)]
struct Wakes<'a, 'm, T: Trace, D: Doorbell> {
    machine: &'m Machine<T>,
    latch: &'m Latch,
    bell: &'a D,
    cpu: u32,
}

impl<T: Trace, D: Doorbell> Wakes<'_, '_, T, D> {
    fn come_back(&self) {
        self.latch.come_back();
        self.bell.acknowledge();
    }
}

impl<'m, T: Trace, D: Doorbell> Attached<'m, T, D> {
    /// Says that this thread means to sleep in its own loop: from now on the next post rings its doorbell. Until then, and after
    /// [`Asleep::woken`], it counts as awake, and posts make no system call.
    ///
    /// A loop that sleeps needs no time-out on our account, and looks at [`Machine::is_shut_down`] before each sleep. One that looked
    /// just before the machine was shut down does not sleep over that: once, a sleep is refused then.
    ///
    /// ```
    /// use smpcall_host::smpcall::{Budget, Flushed};
    /// use smpcall_host::{Attached, EventFd};
    ///
    /// fn turn(here: &mut Attached<'_, (), EventFd>, epoll_wait: impl FnOnce()) -> Flushed {
    ///     if let Ok(guard) = here.begin_sleep() {
    ///         let asleep = guard.commit();
    ///         epoll_wait(); // with the doorbell's descriptor among what is watched, and no time-out
    ///         asleep.woken(Budget::DEFAULT)
    ///     } else {
    ///         here.poll(Budget::DEFAULT) // there is work; a loop looks at its other sources too, without sleeping
    ///     }
    /// }
    /// ```
    ///
    /// Context: the CPU's thread. Progress: wait-free.
    ///
    /// # Errors
    ///
    /// [`NoSleep`]; [`NoSleep::Work`] also when the machine was shut down, the first time.
    pub fn begin_sleep(&mut self) -> Result<SleepGuard<'_, 'm, T, D>, NoSleep> {
        let (machine, latch, cpu) = (self.machine, self.latch(), self.cpu());
        let core = self.own.begin_sleep()?;
        latch.leave();
        // After the latch: the ring of the end comes later, and ends the sleep; or was taken note of, here or by a wait before, and then
        // this shows the end.
        let is_over = machine.is_shut_down();
        let is_news = is_over && !std::mem::replace(&mut self.was_told_of_the_end, true);
        let guard = SleepGuard { core: Some(core), wakes: Wakes { machine, latch, bell: &*self.bell, cpu } };
        if is_news || guard.has_work() { Err(NoSleep::Work) } else { Ok(guard) }
    }
}

/// An attached CPU that is about to sleep in its own loop. Dropped, it does not sleep: it takes note of what rang, and is to
/// [poll](Attached::poll), or to begin another sleep, which finds what came.
#[must_use = "a CPU that does not commit itself does not sleep"]
#[derive(Debug)]
pub struct SleepGuard<'a, 'm, T: Trace = (), D: Doorbell = Futex> {
    core: Option<Core<'a, 'm, T>>,
    wakes: Wakes<'a, 'm, T, D>,
}

impl<'a, 'm, T: Trace, D: Doorbell> SleepGuard<'a, 'm, T, D> {
    fn has_work(&self) -> bool {
        self.core.as_ref().is_some_and(smpcall::SleepGuard::look_again)
    }

    /// Returns whether something came since, or the machine was shut down: then the doorbell has rung, and a sleep would end at
    /// once, or is not worth it. A few loads.
    ///
    /// ```
    /// use smpcall_host::{EventFd, Machine, smpcall::{Budget, Flushed}};
    /// use std::os::fd::AsFd;
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach_with(0, EventFd::new()?)?;
    /// let guard = here.begin_sleep().expect("nothing is there");
    /// let _watched = guard.doorbell().as_fd(); // for the ring's or the poll's entry, which takes a while;
    /// machine.post_detached(0, || ())?; // and meanwhile
    /// assert!(guard.look_again()); // something came: no sleep
    /// guard.abort();
    /// assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn look_again(&self) -> bool {
        self.has_work() || self.wakes.machine.is_shut_down()
    }

    /// Returns the doorbell, for its file descriptor.
    ///
    /// Example: [`SleepGuard::look_again`](crate::SleepGuard::look_again).
    pub fn doorbell(&self) -> &'a D {
        self.wakes.bell
    }

    /// Sleeps: what comes back is to be used when the sleep is over. If it is dropped instead, the CPU counts as asleep, and may be
    /// [polled](Attached::poll).
    ///
    /// Example: [`Attached::begin_sleep`](crate::Attached::begin_sleep).
    pub fn commit(mut self) -> Asleep<'a, 'm, T, D> {
        let core = self.core.take().expect("a guard commits itself once").commit();
        let Wakes { machine, latch, bell, cpu } = self.wakes;
        Asleep { core, wakes: Wakes { machine, latch, bell, cpu } }
    }

    /// Does not sleep after all; as dropping it.
    ///
    /// Example: [`SleepGuard::look_again`](crate::SleepGuard::look_again).
    pub fn abort(self) {}
}

impl<T: Trace, D: Doorbell> Drop for SleepGuard<'_, '_, T, D> {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            core.abort();
            self.wakes.come_back();
        }
    }
}

/// An attached CPU that sleeps in its own loop.
#[must_use = "the doorbell that ended the sleep wants a flush"]
#[derive(Debug)]
pub struct Asleep<'a, 'm, T: Trace = (), D: Doorbell = Futex> {
    core: CoreAsleep<'a, 'm, T>,
    wakes: Wakes<'a, 'm, T, D>,
}

impl<'a, T: Trace, D: Doorbell> Asleep<'a, '_, T, D> {
    /// Returns the doorbell, for its file descriptor.
    ///
    /// Example: [`SleepGuard::look_again`](crate::SleepGuard::look_again).
    pub fn doorbell(&self) -> &'a D {
        self.wakes.bell
    }

    /// The sleep is over, whatever ended it: takes note of the ring, if there was one, and leaves the flush to the thread, which does
    /// something else first. Meanwhile posts only latch. For a sleep that ends with something to be answered before others look at it,
    /// such as a guest's exit.
    ///
    /// ```
    /// use smpcall_host::smpcall::{Budget, Flushed, NoSleep};
    /// use smpcall_host::{EventFd, Machine};
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach_with(0, EventFd::new()?)?;
    /// let asleep = here.begin_sleep().expect("nothing is there").commit();
    /// machine.post_detached(0, || ())?; // writes the eventfd
    /// asleep.awake();
    /// machine.post_detached(0, || ())?; // does not
    /// assert_eq!(here.begin_sleep().err(), Some(NoSleep::Work));
    /// assert_eq!((here.poll(Budget::DEFAULT), machine.counts().wakes), (Flushed::All(2), 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Context: the CPU's thread. Progress: wait-free, and a read of what the doorbell left behind, if it rang.
    pub fn awake(self) {
        self.wakes.come_back();
    }

    /// The sleep is over, whatever ended it: takes note of the ring, if there was one, and then flushes, as
    /// [`poll`](Attached::poll) does. On an empty queue, and not rung, it makes no system call but to ask which core it is on (none
    /// either, where the vDSO answers).
    ///
    /// Example: [`Attached::begin_sleep`](crate::Attached::begin_sleep).
    pub fn woken(self, budget: Budget) -> Flushed {
        self.wakes.come_back();
        self.wakes.machine.platform().show_core(self.wakes.cpu);
        self.core.woken(budget)
    }
}
