//! The machine under test, twice: with counters, and without for the bench.

use crate::arch::{self, page};
use crate::console::println;
use crate::cpus::CPUS_MAX;
use crate::idle;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use smpcall::{
    Broadcasting, CallStall, CpuStats, Event, Flushed, NotBroadcast, PerCpu, Reporting, Stats, Tracing,
};
use smpcall_bare::{Bare, Kernel, answer};

pub(crate) type Machine<const TRACES: bool> =
    smpcall::Machine<Bare<Site<TRACES>, CPUS_MAX>, [PerCpu; CPUS_MAX]>;

/// The port of the one that everything but the bench uses.
pub(crate) type Port = Bare<Site<true>, CPUS_MAX>;

/// The handle of one of its CPUs.
pub(crate) type Cpu<const TRACES: bool> =
    smpcall::Cpu<'static, Bare<Site<TRACES>, CPUS_MAX>, [PerCpu; CPUS_MAX]>;

/// The machine that everything but the bench uses: its events are counted.
pub(crate) static SMP: Machine<true> = machine();
/// The machine of the bench, to which nobody listens.
pub(crate) static QUIET: Machine<false> = machine();

/// What was counted of `SMP`.
pub(crate) static STATS: Stats<[CpuStats; CPUS_MAX]> = Stats::new([const { CpuStats::new() }; CPUS_MAX]);

const fn machine<const TRACES: bool>() -> Machine<TRACES> {
    smpcall::Machine::new(Bare::new(Site, arch::DOORBELL), [const { PerCpu::new() }; CPUS_MAX])
}

/// This kernel's half of the port.
pub(crate) struct Site<const TRACES: bool>;

// SAFETY: `arch` keeps the number of a CPU in a register of that CPU, written by `cpus::enter` before the CPU joins, and
// there are no threads that could move. `traps::doorbell`, the handler of the doorbell's vector, calls `answer`.
unsafe impl<const TRACES: bool> Kernel for Site<TRACES> {
    const COUNTS_RINGS: bool = TRACES;
    // Emulated CPUs share few cores: who spins keeps the one who is waited for from running.
    const PAUSES: u32 = 100;

    #[inline(always)]
    fn current_cpu(&self) -> Option<u32> {
        arch::current_cpu()
    }

    fn now_ns(&self) -> u64 {
        arch::now_ns()
    }

    #[inline(always)]
    fn relax(&self) {
        idle::relax();
    }

    fn set_alarm(&self, after_ns: u64) {
        arch::set_alarm(after_ns);
    }
}

impl<const TRACES: bool> Tracing for Site<TRACES> {
    const TRACES: bool = TRACES;

    fn trace(&self, event: &Event) {
        STATS.count(event);
    }
}

impl<const TRACES: bool> Reporting for Site<TRACES> {
    fn stall_timeout_ns(&self) -> u64 {
        // Relaxed: a setting.
        STALL_TIMEOUT_NS.load(Ordering::Relaxed)
    }

    fn call_stalled(&self, stall: &CallStall) {
        println!("smpcall kernel: {stall}");
        // Relaxed: for the one who waited, which is this CPU.
        STALLED_TARGET.store(stall.target, Ordering::Relaxed);
        STALLS.fetch_add(1, Ordering::Relaxed);
    }
}

// guide: broadcast
/// The one request that this kernel has for its hardware: to throw the translation of the page out.
pub(crate) struct DropPage;

impl Broadcasting<DropPage> for Port {
    fn broadcast(&self, _: &DropPage) -> Result<(), NotBroadcast> {
        page::FLUSH_ALL.map(|flush_all| flush_all()).ok_or(NotBroadcast)
    }

    fn do_here(&self, _: &DropPage) {
        page::flush_local();
    }
}
// guide: end

/// After how long a silent target is reported.
pub(crate) static STALL_TIMEOUT_NS: AtomicU64 = AtomicU64::new(5_000_000_000);
/// How many stalls were reported, and whose was the last.
pub(crate) static STALLS: AtomicU32 = AtomicU32::new(0);
pub(crate) static STALLED_TARGET: AtomicU32 = AtomicU32::new(u32::MAX);

/// Answers the doorbell, for whichever of the two machines is in use.
pub(crate) fn answer_doorbell() -> Flushed {
    if arch::current_cpu().is_some_and(|cpu| QUIET.is_online_racy(cpu)) {
        answer(&QUIET)
    } else {
        answer(&SMP)
    }
}
