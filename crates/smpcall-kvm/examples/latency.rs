//! How long a kick takes: until the vCPU is out of its guest, and until who kicked knows. Ours beside a loop that signals until it is
//! answered, in blocks that alternate.
//!
//! `cargo run --release -p smpcall-kvm --example latency -- 20000`, where there is `/dev/kvm`.
//!
//! *The rival* is what cloud-hypervisor does for a pause: a flag, a signal by `pthread_kill`, then looks at the vCPU's answer a millisecond apart, with
//! another signal at every tenth; after a thousand looks it gives up. Its vCPU looks at the flag before each run, and has no `immediate_exit`. Both
//! vCPUs spin in their guests, are pinned to one core, and who kicks to another.
//! *Apart*: a kick each 300 µs, to a vCPU that is in its guest. *At once*: the next kick as soon as the last is known to have come, so that some come just
//! before the guest is entered. What it does not show: more vCPUs than cores, and guests that leave by themselves.

#[cfg(target_arch = "x86_64")]
#[path = "latency/measure.rs"]
mod measure;
#[cfg(target_arch = "x86_64")]
#[path = "latency/rival.rs"]
mod rival;
#[cfg(target_arch = "x86_64")]
#[path = "../tests/common/vm.rs"]
#[allow(dead_code, reason = "what the tests have; this needs a part")]
mod vm;

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("SKIPPED: its guests are x86-64's");
}

#[cfg(target_arch = "x86_64")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kicks = std::env::args().nth(1).map_or(Ok(2_000), |text| text.parse())?;
    if let Err(why) = std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        println!("SKIPPED: /dev/kvm: {why}");
        return Ok(());
    }
    measure::run(kicks)
}
