// SPDX-License-Identifier: GPL-2.0-only
//! What `linux/glue/smpcall_glue.c` has for us. The two lists are compared when vmlinux is linked; the types, by whoever changes one.

use core::ffi::c_int;

/// How far a stalled call has come, for `smpcall_glue_stalled`.
pub(crate) const QUEUED: c_int = 0;
pub(crate) const RUNNING: c_int = 1;
pub(crate) const BEHIND: c_int = 2;
pub(crate) const NO_ROOM: c_int = 3;
pub(crate) const OVER: c_int = 4;

unsafe extern "C" {
    /// Runs a `smp_call_func_t` with irqs off, between its tracepoints, and notes that this CPU runs it. `csd` is NULL, or a name.
    pub(crate) fn smpcall_glue_run(func: *const (), info: *const (), csd: *const ());
    /// Runs an irq_work, or keeps a task wake-up for the end of the flush.
    pub(crate) fn smpcall_glue_take(entry: *const ());
    /// Runs the caller's own part of a call to many, irqs off; preemption may be on when it returns.
    pub(crate) fn smpcall_glue_own_part(own: *const ());
    /// Rings one CPU, unless it polls: then it is told to look.
    pub(crate) safe fn smpcall_glue_ring(cpu: u32);
    /// Rings CPU `first + n` for each bit `n`; `first` is a multiple of 64.
    pub(crate) safe fn smpcall_glue_ring_many(first: u32, cpus: usize);
    /// Whether a caller with irqs off may wait: its CPU is not online yet, or all is lost anyway.
    pub(crate) safe fn smpcall_glue_may_wait() -> bool;
    pub(crate) safe fn smpcall_glue_now_ns() -> u64;
    /// Reports a call that is not answered, or one that is after all.
    pub(crate) safe fn smpcall_glue_stalled(
        target: u32,
        how: c_int,
        pending: u32,
        waited_ns: u64,
        reports: u32,
    );
    /// A wait has exceeded panic_on_ipistall.
    pub(crate) safe fn smpcall_glue_stop(target: u32, waited_ns: u64) -> !;
    /// BUG().
    #[cfg_attr(test, expect(dead_code, reason = "the panic handler's"))]
    pub(crate) fn smpcall_glue_bug(file: *const u8, len: usize, line: u32) -> !;
    /// In ns; 0: no reports.
    pub(crate) safe static smpcall_glue_timeout_ns: core::sync::atomic::AtomicU64;
    /// In ns; 0: never.
    pub(crate) safe static smpcall_glue_stop_ns: core::sync::atomic::AtomicU64;
}
