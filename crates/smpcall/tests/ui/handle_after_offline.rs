//! Going offline gives the handle back, and nothing is done by it afterwards; nor while it sleeps or serves.

use smpcall::{Budget, Cpu, Platform, Storage};

fn after_it_went<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>) {
    let _ = cpu.offline();
    let _ = cpu.flush(Budget::DEFAULT);
}

fn while_it_sleeps<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>) {
    let asleep = cpu.begin_sleep().unwrap().commit();
    cpu.poll_begin();
    let _ = asleep.woken(Budget::DEFAULT);
}

fn while_it_serves<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>) {
    cpu.serve(|| cpu.offline().is_ok());
}

fn of_a_guard_that_is_kept<P: Platform, S: Storage>(mut cpu: Cpu<'_, P, S>) {
    let guard = cpu.begin_sleep().unwrap();
    let _ = cpu.offline();
    guard.abort();
}

fn main() {}
