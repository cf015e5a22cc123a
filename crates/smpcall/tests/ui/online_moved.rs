//! A CPU comes online in a machine that stays where it is: what is queued may lie in it (I13).

use smpcall::{PerCpu, Platform, Machine};

fn moved_while_online<P: Platform>(platform: P) {
    let smp = Machine::new(platform, [const { PerCpu::new() }; 2]);
    let _ = smp.online();
    let moved = Box::new(smp);
    drop(moved);
}

fn pinned_without_a_pin<P: Platform>(platform: P) {
    let smp = Machine::new(platform, [const { PerCpu::new() }; 2]);
    let _ = core::pin::Pin::new(&smp).online();
}

fn moved_out_of_its_pin<P: Platform>(platform: P) {
    let mut smp = Box::pin(Machine::new(platform, [const { PerCpu::new() }; 2]));
    let _ = smp.as_ref().online();
    let inside = smp.as_mut().get_mut();
    let _ = inside;
}

fn main() {}
