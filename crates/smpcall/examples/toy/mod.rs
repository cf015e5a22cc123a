//! The smallest port: a thread is a CPU, and `unpark` is its doorbell. What a kernel has instead stands beside each method.

use smpcall::{Budget, Machine, PerCpu, Platform, RingError};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

pub(crate) const CPUS: usize = 3;

thread_local! { static ME: Cell<Option<u32>> = const { Cell::new(None) }; }

pub(crate) struct Toy {
    rung: [AtomicBool; CPUS],
    threads: [Mutex<Option<Thread>>; CPUS],
}

pub(crate) static SMP: Machine<Toy, [PerCpu; CPUS]> = Machine::new(
    Toy { rung: [const { AtomicBool::new(false) }; CPUS], threads: [const { Mutex::new(None) }; CPUS] },
    [const { PerCpu::new() }; CPUS],
);

// SAFETY: 1. One thread sets ME to each number. 2. Nothing but that thread flushes. 3. `ring` latches by a read-modify-write
// (Release), the loop below clears by one (Acquire) before it flushes. 4. Nothing unwinds here: a panic ends the process.
// 5. Nobody parks in a call (PARKS is false).
unsafe impl Platform for Toy {
    type IrqState = (); // a kernel: the saved interrupt flag
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        ME.get() // a kernel: a register of the CPU
    }

    fn can_wait(&self) -> bool {
        true // a kernel: whether interrupts are on
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.rung[cpu as usize].swap(true, Ordering::Release);
        // A kernel: an inter-processor interrupt, whose handler clears the latch and calls `flush`.
        if let Some(thread) = &*self.threads[cpu as usize].lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
        Ok(())
    }

    fn irq_save(&self) {} // a kernel: interrupts off
    fn irq_restore(&self, (): ()) {}

    fn relax(&self) {
        thread::yield_now(); // a kernel: `pause`
    }

    fn now_ns(&self) -> u64 {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}
smpcall::simple_port!(Toy);

/// CPU `number` until `stop`: a kernel's idle loop.
fn cpu_main(number: u32, stop: &AtomicBool) {
    let at = number as usize;
    ME.set(Some(number));
    *SMP.platform().threads[at].lock().expect("nobody panics with it") = Some(thread::current());
    let mut cpu = SMP.as_pin().online().expect("it was offline");
    while !stop.load(Ordering::Acquire) {
        SMP.platform().rung[at].swap(false, Ordering::Acquire); // acknowledge first,
        let _ = cpu.flush(Budget::DEFAULT); // then flush,
        if let Ok(guard) = cpu.begin_sleep() {
            let _ = guard.commit();
            thread::park(); // then sleep
        }
    }
    cpu.offline().map_err(|(_, error)| error).expect("it is online");
}

/// Runs `kernel` beside the CPUs, as a thread that is none.
pub(crate) fn boot(kernel: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..CPUS as u32 {
            let stop = &stop;
            scope.spawn(move || cpu_main(number, stop));
        }
        while !(0..CPUS as u32).all(|cpu| SMP.is_online_racy(cpu)) {
            thread::yield_now();
        }
        kernel();
        stop.store(true, Ordering::Release);
        (0..CPUS as u32).for_each(|cpu| SMP.platform().ring(cpu).expect("it does not fail"));
    });
}
