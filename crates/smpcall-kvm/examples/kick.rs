//! A monitor of one file: two guests that count for ever, and what one asks of them while they do.
//!
//! `cargo run -p smpcall-kvm --example kick`, where there is `/dev/kvm`.

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
    use kvm_ioctls::VcpuFd;
    use smpcall_host::smpcall::To;
    use smpcall_host::{Machine, Signal};
    use smpcall_kvm::{Ran, Vcpu, Vcpus, with_guest};
    use std::{fs::File, thread, time::Duration, time::Instant};

    if let Err(why) = File::options().read(true).write(true).open("/dev/kvm") {
        println!("SKIPPED: /dev/kvm: {why}");
        return Ok(());
    }
    let machine = Machine::builder().attachable(2).build()?;
    let signal = Signal::real_time(0).expect("there are some");
    let [(first, one), (second, other)] = [vm::COUNTS; 2].map(vm::Vm::new);
    let counts = || [first.memory.count(), second.memory.count()];

    thread::scope(|scope| {
        for (cpu, fd) in (0..).zip([one, other]) {
            let machine = &machine;
            scope.spawn(move || {
                let mut vcpu =
                    Vcpu::attach(machine, cpu, fd, signal).map_err(|(why, _)| why).expect("nobody else is");
                // A monitor answers exits here; these guests have none.
                while vcpu.run(|exit| panic!("it leaves for {exit:?}")).expect("it runs") != Ran::ShutDown {}
            });
        }
        while !(0..2).all(|cpu| machine.is_online_racy(cpu)) || counts().contains(&0) {
            thread::yield_now();
        }

        // Where is it? The function runs on the vCPU's thread, out of the guest.
        let began = Instant::now();
        let regs = machine.call_vcpu(1, |vcpu: &mut VcpuFd| vcpu.get_regs())??;
        println!("vCPU 1 stood at {:#x}, asked and answered in {:?}", regs.rip, began.elapsed());

        // Both stand still, as for a snapshot.
        assert_eq!(machine.pause_vcpus(To::All)?, 2);
        let paused = counts();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(counts(), paused);
        println!("paused at {paused:?}");
        assert_eq!(machine.resume_vcpus(To::All)?, 2);
        while counts().iter().zip(paused).any(|(now, then)| *now == then) {
            thread::yield_now();
        }

        // A register of each is set, in one multicast.
        machine.call_many(To::All, || {
            let set = with_guest(|vcpu: &mut VcpuFd| {
                let mut regs = vcpu.get_regs()?;
                regs.rbx = 1 << 30;
                vcpu.set_regs(&regs)
            });
            assert_eq!(set, Ok(Ok(())));
        })?;
        while counts().iter().any(|count| *count <= 1 << 30) {
            thread::yield_now();
        }
        println!("both count from {} on; {} signals in all", 1 << 30, machine.counts().wakes);
        machine.shutdown()?; // gets them out for good
        Ok(())
    })
}
