//! Tasks that stay on their CPU.

use alloc::format;
use axtask::{AxCpuMask, TaskInner};

/// The calling task goes to that CPU, and stays there.
pub fn stay_on(cpu: usize) {
    assert!(axtask::set_current_affinity(AxCpuMask::one_shot(cpu)), "the machine has CPU {cpu}");
}

/// Starts a task that stays on that CPU.
pub fn start_on(cpu: usize, body: impl FnOnce() + Send + 'static) {
    const STACK_BYTES: usize = 0x4_0000;
    let task = TaskInner::new(body, format!("cpu{cpu}"), STACK_BYTES);
    task.set_cpumask(AxCpuMask::one_shot(cpu));
    axtask::spawn_task(task);
}
