//! A CPU's handle is of no use in a function that runs on another CPU, or on its own under a frame of its.

use smpcall::{Budget, Cpu, Platform, Smp, Storage};

fn call<P: Platform + Sync, S: Storage + Sync>(smp: &Smp<P, S>, mut cpu: Cpu<'_, P, S>) {
    let _ = smp.call(1, || cpu.poll_begin());
}

fn call_blocking<P: Platform + Sync, S: Storage + Sync>(smp: &Smp<P, S>, mut cpu: Cpu<'_, P, S>) {
    let _ = smp.call_blocking(1, || cpu.flush(Budget::DEFAULT));
}

fn post<P: Platform + Sync, S: Storage + Sync>(smp: &Smp<P, S>, cpu: Cpu<'static, P, S>) {
    let _ = smp.post_boxed(1, move || drop(cpu.offline()));
}

fn main() {}
