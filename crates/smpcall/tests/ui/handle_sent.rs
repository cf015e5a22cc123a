//! A CPU's handle is for the thread that is that CPU: it is neither sent nor shared (P11).

use smpcall::{Budget, Cpu, Platform, Storage};

fn send<P: Platform + Sync, S: Storage + Sync>(mut cpu: Cpu<'static, P, S>) {
    std::thread::spawn(move || cpu.flush(Budget::DEFAULT));
}

fn share<P: Platform + Sync, S: Storage + Sync>(cpu: &Cpu<'static, P, S>) {
    std::thread::scope(|scope| _ = scope.spawn(|| cpu.has_work()));
}

fn main() {}
