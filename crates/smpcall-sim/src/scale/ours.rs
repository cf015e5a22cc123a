//! The core's calls, with the same shapes as [`super::linux`]'s.

use super::cost::Ps;
use super::machine::machine;
use super::port::Priced;
use super::workload::Calls;
use smpcall_instrumented::{Budget, CpuMask, Csd, PerCpu, To};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

pub(super) type Machine = smpcall_instrumented::Machine<Priced, Box<[PerCpu]>>;

/// The core, with `cpus` CPUs, all offline.
pub(super) fn core(cpus: u32) -> Pin<Rc<Machine>> {
    let storage = (0..cpus).map(|_| PerCpu::new()).collect();
    Rc::pin(smpcall_instrumented::Machine::with_storage(Priced, storage).expect("1 to 8192 CPUs"))
}

/// The machine's calls.
pub(super) struct Ours {
    smp: Pin<Rc<Machine>>,
}

impl Ours {
    pub(super) fn new(cpus: u32) -> Self {
        Self { smp: core(cpus) }
    }

    /// What such a machine takes.
    pub(super) fn bytes(cpus: u64) -> u64 {
        cpus * size_of::<PerCpu>() as u64 + size_of::<Machine>() as u64
    }
}

/// A function that is posted: all virtual CPUs are one OS thread's.
struct Local(Rc<dyn Fn()>);

// SAFETY: a run of the model stays on its OS thread, and so do its csds: [`machine`] is that thread's.
unsafe impl Send for Local {}
// SAFETY: as above.
unsafe impl Sync for Local {}

impl Calls for Ours {
    fn online(&self) {
        let _handle = self.smp.as_ref().online().expect("each CPU comes online once");
    }

    fn call(&self, cpu: u32, time: Ps) {
        self.smp.call(cpu, move || machine().work(time)).expect("it is online");
    }

    fn post(&self, cpu: u32, function: Rc<dyn Fn()>) {
        let function = Local(function);
        let csd = Csd::new(move || {
            let Local(function) = &function;
            function();
        });
        self.smp.post(cpu, &Arc::new(csd)).expect("it is online, and the csd is new");
    }

    fn call_many(&self, to: Option<&CpuMask>, time: Ps) {
        let to = to.map_or(To::Others, To::Mask);
        self.smp.call_many(to, move || machine().work(time)).expect("the caller may wait");
    }

    fn flush(&self) {
        let _all = self.smp.flush(Budget::DEFAULT);
    }
}
