//! A call to the nearest: whom it chooses, and what it does if that one goes.

use crate::many::{others_flush, this_cpu};
use crate::port::{OwnCpu, csd, log, logged, logs, on, start};
use smpcall::{CallError, CpuSet};

#[test]
fn the_nearest_is_oneself_then_the_next() {
    let machine = start(4);
    others_flush();
    let mask: CpuSet<1> = [0, 2, 3].into_iter().collect();
    assert_eq!(on(3, || machine.call_nearest(&mask, this_cpu)), Ok(3), "itself");
    assert_eq!(on(1, || machine.call_nearest(&mask, this_cpu)), Ok(2), "the next by number");
    on(2, || machine.offline()).unwrap();
    assert_eq!(on(1, || machine.call_nearest(&mask, this_cpu)), Ok(3), "the next that is online");
    let gone: CpuSet<1> = [2].into_iter().collect();
    assert_eq!(on(1, || machine.call_nearest(&gone, this_cpu)), Err(CallError::Offline));
    let unknown: CpuSet<1> = [9].into_iter().collect();
    assert_eq!(on(1, || machine.call_nearest(&unknown, this_cpu)), Err(CallError::NoSuchCpu));
    assert_eq!(on(1, || machine.call_nearest(&CpuSet::<1>::new(), this_cpu)), Err(CallError::NoSuchCpu));
}

#[test]
fn the_port_chooses_among_those_that_are_online() {
    let machine = start(4);
    others_flush();
    on(2, || machine.offline()).unwrap();
    let mask: CpuSet<1> = [0, 2, 3, 40].into_iter().collect();
    let ask = |answer| {
        machine.platform().nearest.set(answer);
        on(1, || machine.call_nearest(&mask, this_cpu))
    };
    assert_eq!(ask(Some(0)), Ok(0), "what the port says");
    // A port that does not know, or is wrong: the next by number.
    for answer in [None, Some(2), Some(1), Some(40)] {
        assert_eq!(ask(answer), Ok(3), "{answer:?}");
    }
    assert_eq!(machine.platform().among.take(), vec![[0, 3]; 5]);
    assert_eq!(on(3, || machine.call_nearest(&mask, this_cpu)), Ok(3), "itself");
    assert_eq!(machine.call_nearest(&mask, this_cpu), Ok(0), "nobody is near to a thread that is no CPU");
    assert_eq!(machine.platform().among.take(), Vec::<Vec<u32>>::new(), "and the port is not asked");
}

#[test]
fn p8_one_that_goes_offline_before_the_push_is_passed_over() {
    let machine = start(4);
    others_flush();
    let mask: CpuSet<1> = [2, 3].into_iter().collect();
    *machine.platform().on_save.borrow_mut() =
        Some(Box::new(|| assert_eq!(on(2, || crate::port::machine().offline()), Ok(0))));
    let given = vec![7];
    let ran = on(1, || machine.call_nearest(&mask, || (this_cpu(), given)));
    assert_eq!(ran, Ok((3, vec![7])), "and the function, with what it owns, is not lost");
    // None is left.
    let hook = || assert_eq!(on(3, || crate::port::machine().offline()), Ok(0));
    *machine.platform().on_save.borrow_mut() = Some(Box::new(hook));
    assert_eq!(on(1, || machine.call_nearest(&mask, this_cpu)), Err(CallError::Offline));
}

#[test]
fn an_idle_one_comes_before_a_nearer_that_is_busy() {
    let machine = start(4);
    others_flush();
    let mask: CpuSet<1> = [0, 2, 3].into_iter().collect();
    machine.post(2, logs(1)).unwrap();
    assert_eq!(on(1, || machine.call_nearest(&mask, this_cpu)), Ok(3), "CPU 2 has a call queued");
    assert_eq!(logged(), [1]);
    // The port is not asked about busy ones, unless all are.
    machine.platform().nearest.set(Some(2));
    machine.post(2, logs(2)).unwrap();
    let _ = machine.platform().among.take();
    assert_eq!(on(1, || machine.call_nearest(&mask, this_cpu)), Ok(3));
    assert_eq!(machine.platform().among.take(), [[0, 3]]);
    let inside = csd(|| {
        let mask: CpuSet<1> = [2, 3].into_iter().collect();
        assert_eq!(on(1, || crate::port::machine().call_nearest(&mask, this_cpu)), Ok(3), "CPU 2 runs us");
        log(4);
    });
    machine.post(2, inside).unwrap();
    let _ = crate::port::flush(2);
    for cpu in [0, 2, 3] {
        machine.post(cpu, logs(3)).unwrap();
    }
    assert_eq!(on(1, || machine.call_nearest(&mask, this_cpu)), Ok(2), "all are busy: the nearest");
    assert_eq!(logged(), [2, 4, 3, 3, 3]);
    assert_eq!(machine.platform().caught.get(), 0);
}

#[test]
fn a_thread_that_is_no_cpu_calls_each_in_turn() {
    let machine = start(4);
    others_flush();
    let all: CpuSet<1> = (0..4).collect();
    let mut called = [0; 4];
    for _ in 0..8 {
        called[machine.call_nearest(&all, this_cpu).unwrap() as usize] += 1;
    }
    assert_eq!(called, [2; 4]);
}
