//! Tasks that stay on their CPU.

use alloc::format;
use ax_task::sched::{CpuId, CpuSet};
use ax_task::thread::ThreadBuilder;
use ax_task::thread::current::set_current_thread_affinity;

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::empty(ax_hal::cpu_num());
    assert!(set.insert(CpuId::new(cpu as u32)), "the machine has CPU {cpu}");
    set
}

/// The calling task goes to that CPU, and stays there.
pub fn stay_on(cpu: usize) {
    set_current_thread_affinity(only(cpu)).expect("a task may choose its CPU");
    while ax_hal::percpu::this_cpu_id() != cpu {
        core::hint::spin_loop();
    }
}

/// Starts a task that stays on that CPU.
pub fn start_on(cpu: usize, body: impl FnOnce() + Send + 'static) {
    let task = ThreadBuilder::new(format!("cpu{cpu}")).affinity(only(cpu)).spawn(body);
    task.expect("there is room for a task").detach();
}
