//! Threads that are not bound to a CPU: they take turns on it with the one that is, and a scheduler moves them.
//!
//! A CPU is held from the moment that its interrupts go off until they are on again, by one thread or by a handler. Between two such
//! sections anybody goes on who is there, and whoever is not bound may be moved. The next one who holds the CPU sees what the last one
//! wrote: to switch threads makes it visible. Where each CPU has its own thread and no other, nothing of this is ever felt.

use super::{Engine, Thread};
use smpcall_sim_atomics as memory;

impl Engine {
    /// Keeps all others off the CPU that the running thread is on. Nests.
    pub(super) fn hold(&self) {
        if self.here(|here| here.holds.get()) == 0 {
            self.take_cpu();
        }
        self.here(|here| here.holds.set(here.holds.get() + 1));
    }

    pub(super) fn let_go(&self) {
        self.here(|here| here.holds.set(here.holds.get() - 1));
        if self.here(|here| here.holds.get()) == 0 {
            self.leave_cpu();
        }
    }

    fn take_cpu(&self) {
        let (me, Some(cpu)) = (self.me(), self.here(|here| here.on.get())) else { return };
        while self.of(cpu, |cpu| cpu.holder.get().is_some()) {
            assert!(
                !std::thread::panicking(),
                "a function that unwinds needs a CPU that another thread holds"
            );
            self.relax();
        }
        let last = self.of(cpu, |cpu| {
            cpu.holder.set(Some(me));
            cpu.last_holder.replace(me)
        });
        if last != me {
            memory::take_over(last);
        }
    }

    fn leave_cpu(&self) {
        if let Some(cpu) = self.here(|here| here.on.get()) {
            self.of(cpu, |cpu| cpu.holder.set(None));
        }
    }

    /// Others may have the CPU while the running thread, which holds it, does `f`: it sleeps.
    pub(super) fn without_cpu(&self, f: impl FnOnce()) {
        let holds = self.here(|here| here.holds.replace(0));
        if holds > 0 {
            self.leave_cpu();
        }
        f();
        if holds > 0 {
            self.take_cpu();
            self.here(|here| here.holds.set(holds));
        }
    }

    /// The running thread goes on on that CPU.
    pub(crate) fn go_to(&self, cpu: usize) {
        assert!(!self.here(|here| here.is_cpu || here.holds.get() > 0), "it is kept where it is");
        self.publish();
        self.here(|here| here.on.set(Some(cpu)));
    }

    fn is_moved(&self, cpu: usize) {
        self.go_to(cpu);
        self.moves.set(self.moves.get() + 1);
    }

    /// How often threads were moved so far.
    pub(crate) fn moves(&self) -> u32 {
        self.moves.get()
    }

    /// Where the running thread goes on when a wait of its pauses next.
    pub(crate) fn goes_at_a_pause(&self, cpu: usize) {
        self.here(|here| here.goes_to.set(Some(cpu)));
    }

    /// A wait pauses.
    pub(crate) fn go_if_asked(&self) {
        if let Some(cpu) = self.here(|here| here.goes_to.take()) {
            self.is_moved(cpu);
        }
    }

    /// The running thread is moved from now on, at one in so many of its steps.
    pub(crate) fn wander(&self, every: u32) {
        self.here(|here| here.wanders.set(every));
    }

    /// Perhaps moves the running thread.
    pub(super) fn move_on(&self) {
        let free = |here: &Thread| here.holds.get() == 0 && here.on.get().is_some();
        let every = self.here(|here| if free(here) { here.wanders.get() } else { 0 });
        if every > 0 && self.rng.below(every as usize) == 0 {
            let cpus = self.setup.borrow().as_ref().map_or(1, |setup| setup.cpus);
            let cpu = self.rng.below(cpus);
            self.mix(0x3000 | cpu as u64);
            self.is_moved(cpu);
        }
    }

    /// Whether the running thread is a CPU's own.
    pub(crate) fn is_bound(&self) -> bool {
        self.here(|here| here.is_cpu)
    }
}
