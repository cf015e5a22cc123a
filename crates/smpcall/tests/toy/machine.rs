//! P13 and the ways to make a machine.

#[cfg(feature = "alloc")]
use crate::port::OwnCpu;
use crate::port::{Toy, logs, on, start};
use smpcall::{
    CPUS_MAX, CallError, Cancel, Coalesced, CpuCountError, Csd, HotplugError, Machine, PerCpu, PostError,
};
use std::cell::UnsafeCell;
use std::mem::{size_of, size_of_val};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// P13's price: what one CPU costs. Who changes it says so in docs/promises.md.
const PER_CPU_BYTES: usize = 640;

#[test]
fn p13_memory_is_linear_in_the_cpus() {
    assert_eq!(size_of::<PerCpu>(), PER_CPU_BYTES);
    assert_eq!(size_of::<[PerCpu; CPUS_MAX]>(), CPUS_MAX * PER_CPU_BYTES);
    let rest = size_of::<Machine<(), [PerCpu; 1]>>() - PER_CPU_BYTES;
    assert!(
        rest <= 128 * usize::BITS as usize + 256,
        "a slot of two lines for each bit of a word, and a line or two: {rest}"
    );
    // The slots are in it: nothing but the CPUs grows.
    assert_eq!(size_of::<Machine<(), [PerCpu; 64]>>(), 64 * PER_CPU_BYTES + rest);
    assert_eq!(size_of::<Machine<(), [PerCpu; 512]>>(), 512 * PER_CPU_BYTES + rest);
    assert_eq!(size_of::<Machine<(), [PerCpu; 4096]>>(), 4096 * PER_CPU_BYTES + rest);
    assert_eq!(size_of::<Machine<(), [PerCpu; CPUS_MAX]>>(), CPUS_MAX * PER_CPU_BYTES + rest);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn p13_a_csd_with_a_closure_of_two_words_fits_a_cache_line() {
    let (a, b) = (1_usize, 2_usize);
    let two_words = Csd::new(move || assert_ne!(a, b));
    assert_eq!(size_of_val(&two_words), 64);
    assert_eq!(size_of::<Csd<()>>(), 32);
    assert!(size_of::<Csd<fn()>>() <= 64);
}

#[test]
fn p13_a_machine_has_as_many_cpus_as_its_memory() {
    let slice: &'static mut [PerCpu] = Box::leak(Box::new([const { PerCpu::new() }; 3]));
    let again: *mut [PerCpu] = slice;
    // SAFETY: it came from a box just above, and nothing else refers to it.
    let machine = Machine::with_storage(Toy::new(), unsafe { &mut *again }).unwrap();
    assert_eq!(machine.cpus_len(), 3);
    assert_eq!(machine.post(3, logs(1)), Err(PostError::NoSuchCpu));
    assert_eq!(machine.post(2, logs(1)), Err(PostError::Offline { coalesced: Coalesced::No }));
    drop(machine);
    // SAFETY: the machine that borrowed it is gone.
    drop(unsafe { Box::from_raw(again) });
}

#[test]
fn p13_no_cpus_are_refused() {
    let none: [PerCpu; 0] = [];
    assert_eq!(Machine::with_storage(Toy::new(), none).err(), Some(CpuCountError { asked: 0 }));
}

#[test]
#[should_panic(expected = "a machine has 1 to 8192 CPUs")]
fn p13_no_cpus_are_refused_by_new() {
    let _ = Machine::new(Toy::new(), []);
}

#[cfg(feature = "alloc")]
#[test]
fn p13_as_many_cpus_as_allowed_and_one_more() {
    let storage = |cpus: usize| -> Box<[PerCpu]> { (0..cpus).map(|_| PerCpu::new()).collect() };
    for asked in [0, CPUS_MAX + 1] {
        assert_eq!(Machine::with_storage(Toy::new(), storage(asked)).err(), Some(CpuCountError { asked }));
    }
    for cpus in [1, CPUS_MAX] {
        let machine = Box::pin(Machine::with_storage(Toy::new(), storage(cpus)).unwrap());
        assert_eq!(machine.cpus_len() as usize, cpus);
        let last = machine.cpus_len() - 1;
        machine.platform().cpu.set(Some(last));
        machine.as_ref().come_online().unwrap();
        let csd = crate::port::csd(|| ());
        machine.post(last, csd).unwrap();
        assert_eq!(
            machine.post(0, csd),
            Ok(smpcall::Posted::Busy { cpu: last }),
            "the word has room for the number"
        );
        let _ = machine.flush(smpcall::Budget::DEFAULT);
        assert!(!csd.is_pending());
    }
}

#[test]
fn errors_say_which_cpu() {
    let texts = [PostError::Cancelled { cpu: 17 }.to_string(), CpuCountError { asked: 17 }.to_string()];
    assert!(texts.iter().all(|text| text.contains("17")), "{texts:?}");
    let told = [Coalesced::Yes, Coalesced::No].map(|coalesced| PostError::Offline { coalesced }.to_string());
    assert_ne!(told[0], told[1]);
    for text in [CallError::WouldDeadlock.to_string(), HotplugError::InCall.to_string()] {
        assert!(!text.is_empty());
    }
}

#[test]
fn debug_of_a_csd_and_of_a_cpu_say_their_state() {
    let machine = start(1);
    let csd = logs(1);
    assert!(format!("{csd:?}").contains("pending: false"));
    machine.post(0, csd).unwrap();
    assert!(format!("{csd:?}").contains("pending: true"));
    assert!(format!("{:?}", PerCpu::default()).contains("Offline"));
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    let _ = on(0, || machine.flush(smpcall::Budget::DEFAULT));
}

#[test]
fn p11_a_machine_is_fit_for_catch_unwind_whatever_its_port_holds() {
    fn fit<T: UnwindSafe + RefUnwindSafe>() {}
    struct Port(#[expect(dead_code, reason = "only its type matters")] UnsafeCell<&'static mut u32>);
    fit::<Machine<Port, [PerCpu; 2]>>();
    fit::<Machine<Port, Box<[PerCpu]>>>();
}
