//! Machines that cannot be had, and the largest that can.

use crate::site::{Site, Witness, bounded, counted};
use smpcall_host::smpcall::{Budget, CPUS_MAX, Flushed};
use smpcall_host::{BuildError, Cores, Idle, Machine, allowed_cores};
use std::time::Duration;

#[test]
fn p13_no_cpus_and_too_many() {
    let _bounded = bounded();
    let asked = |owned, attachable| match Machine::builder().owned(owned).attachable(attachable).build() {
        Err(BuildError::CpuCount(error)) => error.asked,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(0, 0), 0);
    assert_eq!(asked(0, CPUS_MAX + 1), CPUS_MAX + 1);
    assert_eq!(asked(CPUS_MAX + 1, 0), CPUS_MAX + 1, "before any thread is started");
    assert_eq!(asked(1, CPUS_MAX), CPUS_MAX + 1);
    assert_eq!(asked(usize::MAX, usize::MAX), usize::MAX);
    let text = Machine::builder().build().unwrap_err().to_string();
    assert!(text.contains("8192 CPUs, not 0"), "{text}");
}

#[test]
fn p13_as_many_as_there_may_be() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(CPUS_MAX - 1));
    let last = CPUS_MAX as u32 - 1;
    assert_eq!(site.cpus_len(), last + 1);
    let mut here = site.attach(last).unwrap();
    let csd = counted(|| ());
    site.post(last, &csd).unwrap();
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1));
    // It is woken by its number, which must not be taken for a caller's.
    assert_eq!(site.call(0, || std::thread::sleep(Duration::from_millis(2))), Ok(()));
}

#[test]
fn an_empty_list_of_cores() {
    let _bounded = bounded();
    let built = Machine::builder().owned(1).cores(Cores::These(Vec::new())).build();
    assert!(matches!(built, Err(BuildError::NoCores)), "{built:?}");
}

/// Cores that the process cannot be kept on: one that no kernel has, and one that this kernel has not.
fn bad_cores() -> impl Iterator<Item = usize> {
    let allowed = allowed_cores();
    [1_023, 5_000, usize::MAX].into_iter().filter(move |core| !allowed.contains(core))
}

#[test]
fn a_core_that_the_kernel_refuses_and_nothing_is_left_behind() {
    let _bounded = bounded();
    let good = allowed_cores()[0];
    for bad in bad_cores() {
        for cores in [vec![bad], vec![bad, good], vec![good, good, bad]] {
            for idle in crate::site::IDLES {
                let builder = Machine::builder().owned(3).cores(Cores::These(cores.clone())).idle(idle);
                let (builder, witness) = Witness::new(builder);
                let error = builder.build().unwrap_err();
                assert!(witness.is_gone(), "its threads have ended, the good ones too");
                assert!(matches!(error, BuildError::Pin { core, .. } if core == bad), "{error:?}");
                assert!(error.to_string().contains(&bad.to_string()), "{error}");
            }
        }
    }
}

#[test]
fn cores_that_no_cpu_is_put_on_do_not_matter() {
    let _bounded = bounded();
    let cores = allowed_cores()[..1].iter().copied().chain(bad_cores()).collect();
    let site = Site::new(Machine::builder().owned(1).cores(Cores::These(cores)));
    assert_eq!(site.call(0, || 1), Ok(1));
}

#[test]
fn a_cpu_is_kept_on_its_core() {
    let _bounded = bounded();
    let cores = allowed_cores();
    let site = Site::new(Machine::builder().owned(cores.len() + 1).cores(Cores::Spread).idle(Idle::Sleep));
    for cpu in 0..site.cpus_len() {
        let core = cores[cpu as usize % cores.len()];
        assert_eq!(site.placement().core_of(cpu), Some(core));
        assert_eq!(site.call(cpu, allowed_cores), Ok(vec![core]));
    }
    let adrift = Site::new(Machine::builder().owned(1).cores(Cores::Unpinned));
    assert_eq!(adrift.call(0, allowed_cores), Ok(cores));
}

#[test]
fn a_machine_of_attachable_cpus_alone_needs_no_threads() {
    let _bounded = bounded();
    let (builder, witness) = Witness::new(Machine::builder().attachable(2));
    let machine = builder.build().unwrap();
    assert!(!machine.is_online_racy(0) && !machine.is_online_racy(1));
    drop(machine);
    assert!(witness.is_gone());
}
