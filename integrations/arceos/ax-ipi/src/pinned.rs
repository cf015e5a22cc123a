//! The machine, in the hands of those who stay on their CPU.

use crate::port::{AxPort, CPUS, MACHINE, Machine};
use core::marker::PhantomData;
use core::ops::Deref;
use ax_sync::PreemptGuard;
use smpcall::{PerCpu, Smp};

/// What any task may ask of smpcall's machine. While it is held the scheduler does not move the task by itself.
///
/// It is neither `Send` nor `Copy`. A task that gives up its turn while it holds one (`yield_now`, a mutex) may come back on
/// another CPU, but not inside a function of the machine, unless that ran the task's own function: see [`machine`].
pub struct Pinned {
    _preempt: PreemptGuard,
    _here: PhantomData<*const ()>,
}

impl Deref for Pinned {
    type Target = Smp<AxPort, [PerCpu; CPUS]>;

    fn deref(&self) -> &Self::Target {
        &MACHINE
    }
}

/// Returns the machine. `machine().call(1, || 42)` runs the closure on CPU 1, and gives back 42.
///
/// Functions that a CPU runs for others do not block: they run with interrupts off. Those of `call_blocking` may, if the task
/// that flushes by the CPU's handle ([`machine_unpinned`]) has an affinity of one CPU.
///
/// Context: any.
pub fn machine() -> Pinned {
    Pinned { _preempt: PreemptGuard::new(), _here: PhantomData }
}

/// Returns the machine for as long as one likes, with what only its CPUs' own tasks may do (`as_pin().this_cpu()`).
///
/// # Safety
///
/// Tasks that use it are not moved to another CPU while they are inside one of its functions: they have an affinity of one
/// CPU, or the scheduler does not preempt.
pub unsafe fn machine_unpinned() -> &'static Machine {
    &MACHINE
}
