//! Which core each CPU's thread runs on, and whether it pays off to spin for it.
//!
//! Nothing here is taken from what was once set, since masks change and threads are moved: a CPU's thread says where it is
//! when it has slept, and now and then while it polls; a caller looks where it is when it has waited for a moment, and again
//! when it has spun in vain. If both are on one core the caller sleeps at once, for the target could not run meanwhile, and its
//! next waits do not even begin with a look, until one of them is seen elsewhere. And the target does not poll then, for the
//! caller could not run. Who shares its core with other CPUs than its target gives it away to them between two looks ([`turns`]).

use super::Host;
use crate::here::{self, NO_CORE};
use crate::spin::{self, Waits};
use crate::turns;
use smpcall::Pause;
use std::sync::atomic::Ordering;

/// While others take the caller's turns, so many times as long as for one target may pay off for several, each of which has to wake.
const SEVERAL: u64 = 4;

impl<T> Host<T> {
    /// Takes note of the core that the calling thread, which becomes `cpu`, is kept on, or is on now; returns its number
    /// for `here`.
    pub(crate) fn settle(&self, cpu: u32, core: Option<usize>) -> u32 {
        let core = core.and_then(|core| u32::try_from(core).ok()).unwrap_or_else(here::look);
        self.saw(cpu, core);
        core
    }

    /// The calling thread, which is `cpu`, says which core it is on: when it has slept, and now and then while it polls.
    pub(crate) fn show_core(&self, cpu: u32) {
        self.saw(cpu, here::look());
    }

    fn saw(&self, cpu: u32, core: u32) {
        if self.core_of(cpu) != core {
            // Relaxed: a hint for those who wait. Only if it is news, since callers read that line.
            self.cpu(cpu).core.store(core, Ordering::Relaxed);
        }
    }

    pub(super) fn core_of(&self, cpu: u32) -> u32 {
        // Relaxed: a hint; it only decides how long to spin, and whom to call.
        self.cpu(cpu).core.load(Ordering::Relaxed)
    }

    /// Whether the target was last seen on the core on which the caller last saw itself.
    pub(super) fn shares_a_core_with(&self, target: u32) -> bool {
        let theirs = self.core_of(target);
        theirs != NO_CORE && theirs == here::here().core
    }

    /// Whether any CPU but the caller itself was last seen on the core on which the caller last saw itself.
    fn shares_a_core_with_any(&self) -> bool {
        let itself = self.current_cpu_of_this_machine();
        (0..self.cpus.len() as u32).any(|cpu| Some(cpu) != itself && self.shares_a_core_with(cpu))
    }

    /// The calling thread is `cpu` and has nothing to do: returns whether somebody waits for its core, once.
    pub(crate) fn core_is_wanted(&self, cpu: u32) -> bool {
        let wanted = &self.cpu(cpu).wanted;
        // Relaxed: a hint. Seen late, it costs the caller a part of a poll.
        let seen = wanted.load(Ordering::Relaxed);
        if seen {
            // Relaxed: as above.
            wanted.store(false, Ordering::Relaxed);
        }
        seen
    }

    /// The caller sleeps on the core that the target was last seen on.
    fn want_core_of(&self, target: u32) {
        let wanted = &self.cpu(target).wanted;
        // Relaxed: as above.
        if !wanted.load(Ordering::Relaxed) {
            // Relaxed: as above.
            wanted.store(true, Ordering::Relaxed);
        }
    }

    /// The caller looks where it is: masks change, and threads move.
    fn look_around(&self) {
        match self.current_cpu_of_this_machine() {
            Some(cpu) => self.show_core(cpu),
            None => _ = here::look(),
        }
    }

    #[inline]
    pub(super) fn current_cpu_of_this_machine(&self) -> Option<u32> {
        let here = here::here();
        (here.machine == self.id).then_some(here.cpu)
    }

    /// Spins for a moment, as long as that may pay off for a caller who waits for this target alone.
    pub(super) fn pause_after(&self, target: u32, rounds: u32, waited_ns: u64) -> Pause {
        if rounds == 0 {
            spin::begins_to_wait();
            self.look_around();
        }
        if self.shares_a_core_with(target) {
            self.want_core_of(target);
            return Pause::Park;
        }
        self.spin_for(target, rounds, waited_ns)
    }

    /// The same for a caller who waits for this target and for others. Those may run elsewhere meanwhile, and to sleep for the sake of one
    /// would cost a second wake-up after theirs; this one gets the core by the caller's turns, if it is on the same.
    pub(super) fn pause_for_several(&self, target: u32, rounds: u32, waited_ns: u64) -> Pause {
        if rounds == 0 {
            spin::begins_to_wait();
            self.look_around();
        }
        if self.shares_a_core_with(target) {
            self.want_core_of(target);
        }
        // What those who are waited for had of the core meanwhile was not lost.
        let waited_ns = if turns::are_due() { waited_ns / SEVERAL } else { waited_ns };
        self.spin_for(target, rounds, waited_ns)
    }

    fn spin_for(&self, target: u32, rounds: u32, waited_ns: u64) -> Pause {
        let learnt = &self.cpu(target).spin;
        let limit_ns = match rounds {
            _ if self.waits == Waits::Sleep => 0,
            0 => learnt.begin(),
            _ => learnt.limit_ns(),
        };
        if waited_ns < u64::from(limit_ns) {
            turns::pause(|| self.shares_a_core_with_any());
            return Pause::Again;
        }
        if limit_ns > 0 {
            learnt.in_vain();
            spin::goes_to_sleep(target, waited_ns);
            self.look_around();
        }
        Pause::Park
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::Here;
    use crate::spin::SPIN_NS_MAX;
    use crate::stalls::Stalls;
    use smpcall::{Tuning, Waiting};

    fn host(waits: Waits) -> Host {
        Host::new(3, waits, Stalls::new(), ())
    }

    /// What a thread that last saw itself on `core` does at its first looks at that CPU, and at its first pause after that.
    fn first_steps(host: &Host, core: u32, target: u32) -> (u32, Pause) {
        here::set(Here { machine: u64::MAX, cpu: 0, core });
        let looks = host.looks_first(target);
        let pause = host.pause_after(target, 1, 0);
        here::clear();
        (looks, pause)
    }

    #[test]
    fn who_shares_a_core_with_its_target_does_not_spin() {
        let host = host(Waits::Spin);
        assert_eq!(host.settle(0, Some(5)), 5);
        assert_eq!(first_steps(&host, 5, 0), (0, Pause::Park));
        assert_eq!(first_steps(&host, 4, 0), (64, Pause::Again));
        for target in [0, 1, 2] {
            assert_eq!(first_steps(&host, NO_CORE, target), (64, Pause::Again), "nobody knows");
        }
    }

    #[test]
    fn who_waits_for_others_too_gives_its_core_to_the_target_that_is_there_and_spins_for_them() {
        let host = host(Waits::Spin);
        host.settle(0, Some(5));
        here::set(Here { machine: u64::MAX, cpu: 0, core: 5 });
        assert_eq!(host.pause_for_several(0, 1, 0), Pause::Again);
        assert!(host.core_is_wanted(0), "which does not poll on it");
        let too_long_ns = SEVERAL * u64::from(SPIN_NS_MAX);
        assert_eq!(host.pause_for_several(0, 1, too_long_ns), Pause::Park, "and not for ever");
        here::clear();
    }

    #[test]
    fn where_a_caller_and_its_target_are_is_learnt_from_where_they_run() {
        crate::affinity::on_one_core(|core| {
            let (host, core) = (host(Waits::Spin), u32::try_from(core).expect("a core's number"));
            assert_eq!(host.settle(0, None), core, "it is not kept there, and is there all the same");
            host.saw(1, core + 1);
            here::clear();
            assert_eq!((host.looks_first(0), host.looks_first(1)), (64, 64), "nobody has looked yet");
            assert!(!host.core_is_wanted(0));
            assert_eq!(host.pause_after(0, 0, 0), Pause::Park, "before any spin: it could not run meanwhile");
            assert!(host.core_is_wanted(0) && !host.core_is_wanted(0), "nor may it poll then");
            assert_eq!((host.looks_first(0), host.looks_first(1)), (0, 64));
            assert_eq!((host.pause_after(1, 0, 0), host.pause_after(1, 1, 0)), (Pause::Again, Pause::Again));
            assert!(!host.core_is_wanted(1), "they are apart");
            // One of them moves. The caller is told by its next look, the target's news it finds.
            here::set(Here { machine: 0, cpu: 0, core: core + 1 });
            assert_eq!(host.looks_first(1), 0);
            assert_eq!((host.pause_after(1, 0, 0), host.looks_first(1)), (Pause::Again, 64));
            host.saw(0, core + 1);
            host.saw(1, core);
            assert_eq!((host.looks_first(0), host.looks_first(1)), (64, 0));
            here::clear();
        });
    }

    #[test]
    fn a_spin_in_vain_is_followed_by_a_look_at_the_core() {
        crate::affinity::on_one_core(|core| {
            let (host, core) = (host(Waits::Spin), u32::try_from(core).expect("a core's number"));
            host.saw(0, core);
            here::set(Here { machine: 0, cpu: 0, core: core + 1 });
            assert_eq!(host.pause_after(0, 1, SPIN_NS_MAX.into()), Pause::Park);
            assert_eq!(host.looks_first(0), 0);
            here::clear();
        });
    }

    #[test]
    fn a_core_is_shared_with_the_cpus_that_were_seen_there_and_not_with_oneself() {
        let host = host(Waits::Spin);
        let shares_as = |machine, core| {
            here::set(Here { machine, cpu: 1, core });
            let shares = host.shares_a_core_with_any();
            here::clear();
            shares
        };
        let (this, other) = (host.id(), u64::MAX);
        assert!(!shares_as(this, NO_CORE) && !shares_as(other, 5), "nobody has been seen");
        host.saw(1, 5);
        assert_eq!((shares_as(this, 5), shares_as(this, 4), shares_as(other, 5)), (false, false, true));
        host.saw(2, 5);
        assert_eq!((shares_as(this, 5), shares_as(this, 4), shares_as(this, NO_CORE)), (true, false, false));
    }

    #[test]
    fn a_cpu_that_waits_says_where_it_is() {
        crate::affinity::on_one_core(|core| {
            let (host, core) = (host(Waits::Spin), u32::try_from(core).expect("a core's number"));
            here::set(Here { machine: host.id(), cpu: 2, core: NO_CORE });
            assert_eq!(host.pause_after(0, 0, 0), Pause::Again);
            assert_eq!(host.core_of(2), core);
            host.saw(2, core + 1);
            host.park(Some(2), 1);
            assert_eq!(host.core_of(2), core, "having slept too");
            here::clear();
        });
    }

    #[test]
    fn where_threads_have_to_share_one_cores_time_nobody_spins() {
        let host = host(Waits::Sleep);
        host.settle(0, Some(5));
        for (target, core) in [(0, 4), (0, NO_CORE), (1, NO_CORE)] {
            assert_eq!(first_steps(&host, core, target), (64, Pause::Park));
        }
    }

    #[test]
    fn a_spin_that_was_long_enough_ends_in_sleep() {
        let host = host(Waits::Spin);
        assert_eq!(host.pause_after(0, 0, SPIN_NS_MAX.into()), Pause::Park);
        let learnt_ns = u64::from(host.cpu(0).spin.limit_ns());
        assert!(learnt_ns < u64::from(SPIN_NS_MAX / 2), "and is not tried for as long again");
        assert_eq!(host.pause_after(0, 1, learnt_ns - 1), Pause::Again);
        assert_eq!(host.pause_after(0, 1, learnt_ns), Pause::Park);
    }
}
