//! Deferred posts: what matters to a CPU only in the kernel need not interrupt it in user space. It runs when the CPU next enters.
//!
//! They go into the list of the [lazy](super::lazy) ones, whose word says where the CPU is ([`LazyHead`](crate::queue::LazyHead)): so one
//! compare-and-swap queues the csd and decides whether the CPU is to be notified. In user space nobody rings, and the entry, whose
//! swap says that the CPU is in the kernel, has all of it in hand. In the kernel the poster notifies, as one who expedites a lazy
//! post does.

use super::Smp;
use super::flush::{Budget, Left};
use super::lazy::Apart;
use super::machine::Machine;
use crate::csd::Post;
use crate::error::PostError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform, demand_used};
use crate::queue::{EnterUser, List, Pushed, Seen};
use crate::state::Urgency;
use core::fmt;

/// What became of a deferred post ([`Smp::post_deferred`]). In each case a run of the csd is still to begin that sees all that the caller
/// wrote before the post.
///
/// | answer | when it runs | what else the caller knows |
/// |---|---|---|
/// | [`AtEntry`](Self::AtEntry) | when the CPU next enters the kernel, before any kernel code behind the entry's catch-up | what the kernel did on that CPU before it went to user space is behind the caller |
/// | [`Soon`](Self::Soon) | soon: the CPU is in the kernel, and was rung if it rested | nothing: who frees what the function lets go of, [waits](Smp::wait) first |
/// | [`Busy`](Self::Busy) | as the post says that it relies on; at the entry at the latest, if the CPU is in user space and that post has returned | nothing |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferred {
    /// The CPU is in user space, nobody was disturbed, and it runs at the CPU's entry into the kernel.
    AtEntry,
    /// The CPU is in the kernel, and it runs soon, as after [`Smp::post`].
    Soon,
    /// It was queued already, and no further run was added (P2).
    Busy {
        /// The CPU that it is queued for: the one that was named, or another.
        cpu: u32,
    },
}

/// Why a CPU may not go to user space ([`Machine::enter_user`]). Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotInUser {
    /// There is work: [flush](Machine::flush), and try again.
    Work,
    /// Not from call context.
    InCall,
    /// The CPU is offline.
    Offline,
    /// The caller is no CPU of this machine.
    NotACpu,
}

impl fmt::Display for NotInUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Work => "there is work to flush first",
            Self::InCall => "not from call context",
            Self::Offline => "the CPU is offline",
            Self::NotACpu => "the caller is no CPU of this machine",
        })
    }
}

impl core::error::Error for NotInUser {}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Posts `csd` to `cpu` for when that is in the kernel: if it is in user space ([`Machine::enter_user`]) it is not interrupted, and
    /// the function runs when it next enters the kernel, *before* any kernel code behind the entry's
    /// [`enter_kernel`](Machine::enter_kernel). If it is in the kernel, the post is an ordinary one: the CPU is rung if it rests.
    ///
    /// For CPUs that are to be left alone as long as they run a program, and for work that is of no use to that program: to drop
    /// kernel addresses from the TLB, to synchronise instructions that the kernel patched, to pass a quiescent state. Where no CPU ever says that it is
    /// in user space, all posts are ordinary ones.
    ///
    /// Deferred posts of one sender run in order, also if some of them find the CPU in the kernel and others in user space (P6). A [`Smp::post`] of a csd
    /// that is queued so is told Busy, and *expedites* it, as it does with a [lazy](Smp::post_lazy) one: the CPU is rung, in user
    /// space too. So do [`Smp::wait`] and [`Smp::wait_until`]. In all else it is a post like any other (P1 to P6, P8).
    ///
    /// What runs before the catch-up, such as the entry's first instructions and NMIs, may still find the CPU as it was.
    ///
    /// Context and progress: as for [`Smp::post`].
    ///
    /// # Errors
    ///
    /// As for [`Smp::post`].
    ///
    /// ```
    /// use smpcall::{Csd, Deferred, Platform, PostError, Smp, Storage};
    ///
    /// static DROP: Csd<fn()> = Csd::new(|| println!("kernel addresses dropped from the TLB"));
    ///
    /// /// Returns when CPU 1 finds nothing stale any more: without an interrupt, if it is in user space.
    /// fn drop_there<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<(), Box<dyn std::error::Error>> {
    ///     match smp.post_deferred(1, &DROP)? {
    ///         Deferred::AtEntry => Ok(()), // before it looks at any
    ///         Deferred::Soon | Deferred::Busy { .. } => Ok(smp.wait(&DROP)?),
    ///     }
    /// }
    /// ```
    pub fn post_deferred<T: Post>(&self, cpu: u32, csd: T) -> Result<Deferred, PostError> {
        Ok(match self.post_apart(cpu, csd, Urgency::Deferred)? {
            Apart::Queued(before) if before.is_in_user() => Deferred::AtEntry,
            Apart::Queued(_) => Deferred::Soon,
            Apart::Busy(cpu) => Deferred::Busy { cpu },
        })
    }

    /// Somebody who defers relies on a csd that was seen linked: notifies its CPU, if that is in the kernel and nobody has (I40).
    #[cold]
    pub(super) fn notify_if_in_kernel(&self, cpu: u32) {
        let Some(target) = self.cpu(cpu) else { return };
        let _irq = IrqGuard::new(&self.platform);
        if target.own.lazy.pay()
            && target.mailbox.head.notify(target.mailbox.head.look_word()) == Pushed::Ring
        {
            self.ring(cpu);
        }
    }

    /// At the entry into the kernel: runs `list`, which was deferred, and then all that others who deferred may rely on.
    #[cold]
    fn run_at_entry(&self, cpu: u32, here: &PerCpu, list: List) -> u32 {
        let mut left = Left::ALL;
        // Before anything of the kernel's runs: other functions are that, too.
        if list != List::EMPTY {
            // As in a flush: nobody rings while it runs them (P7).
            here.mailbox.head.start_polling();
            self.run_lazy(cpu, here, list, &mut left);
        }
        let queued = here.mailbox.head.take(|_| ()).unwrap_or(List::EMPTY);
        self.run_accepted(cpu, here, queued, &mut left);
        if P::LEAVES_OVER {
            self.catch_up(here);
        }
        // Takes the mark back; what came meanwhile has not rung.
        let _ = self.flush_guarded(Budget::DEFAULT);
        Left::ALL.total() - left.total()
    }
}

impl<P: Platform, S: Storage> Machine<P, S> {
    /// Says that the CPU that runs the caller goes to user space: until its [`enter_kernel`](Machine::enter_kernel) it is not rung for
    /// what is [posted deferred](Smp::post_deferred). All else rings as for a CPU that does other things; a CPU that polled does so no more.
    ///
    /// To be called on *each* way to user space, the end of an interrupt included, as the last thing that looks at what others may
    /// change by a deferred function; and [`enter_kernel`](Machine::enter_kernel) on each way back.
    ///
    /// Context: the CPU's exit path, interrupts off until the program runs; not call context. Progress: lock-free; one
    /// compare-and-swap.
    ///
    /// # Errors
    ///
    /// [`NotInUser`].
    ///
    /// ```
    /// # use smpcall::{Budget, Machine, NotInUser, PerCpu, Platform};
    /// /// Interrupts are off, and stay so until the program's first instruction.
    /// fn exit_to_user<P: Platform>(machine: &'static Machine<P, [PerCpu; 4]>, run: impl FnOnce()) {
    ///     while machine.enter_user() == Err(NotInUser::Work) {
    ///         let _ = machine.flush(Budget::DEFAULT);
    ///     }
    ///     run(); // a trap, a system call, an interrupt ends it
    ///     machine.enter_kernel(); // before anything else
    /// }
    /// ```
    pub fn enter_user(&self) -> Result<(), NotInUser> {
        demand_used!(P::LAZY_POSTS);
        let _irq = IrqGuard::new(self.platform());
        let (_, here) = self.here().ok_or(NotInUser::NotACpu)?;
        if here.own.in_call() {
            return Err(NotInUser::InCall);
        }
        let polled = here.own.polling();
        if !self.stop_polling(here) {
            return Err(NotInUser::Work);
        }
        let why = match here.own.lazy.enter_user() {
            EnterUser::User => return Ok(()),
            EnterUser::Work => NotInUser::Work,
            EnterUser::Offline => NotInUser::Offline,
        };
        if polled {
            self.start_polling(here);
        }
        Err(why)
    }

    /// Says that the CPU that runs the caller is in the kernel again, and runs all that was posted meanwhile: first what was
    /// [deferred](Smp::post_deferred), without a budget, so that no kernel code behind this runs before it. Returns how many ran. In the kernel already, it does
    /// nothing, and costs one load.
    ///
    /// Context: the CPU's entry path, interrupts off, not an NMI; from call context it does nothing. Progress: runs what was accepted;
    /// one swap if there is nothing.
    ///
    /// Example: [`Machine::enter_user`](crate::Machine::enter_user).
    pub fn enter_kernel(&self) -> u32 {
        demand_used!(P::LAZY_POSTS);
        let _irq = IrqGuard::new(self.platform());
        let Some((cpu, here)) = self.here().filter(|(_, here)| !here.own.in_call()) else { return 0 };
        match here.own.lazy.enter_kernel() {
            None => 0,
            Some(List::EMPTY)
                if !Smp::<P, S>::has_left_over(here)
                    && !matches!(here.mailbox.head.look(), Seen::List(_)) =>
            {
                0
            }
            Some(list) => self.run_at_entry(cpu, here, list),
        }
    }
}
