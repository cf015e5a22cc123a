//! P10: CPUs that wait on another machine, or for something of the port's own.

use crate::port::{
    CPUS, Machine, OwnCpu, PAUSE_NS, Toy, as_cpu, flush, keep, log, logged, logs, machine, on, pinned, rings,
    start,
};
use smpcall::{
    Budget, CsdField, CsdOwner, Flushed, Here, Lent, Pause, PerCpu, Phase, Posted, Serve, WaitError,
    csd_field,
};
use std::cell::Cell;
use std::rc::Rc;

/// Another machine than the test's, whose CPU 0 is online and answers when `answers` says so.
fn other(answers: impl Fn() -> bool + 'static) -> Rc<Machine> {
    let other = Rc::new(Machine::new(Toy::new(), [const { PerCpu::new() }; CPUS]));
    let as_cpu_0 = |other: &Machine, f: &dyn Fn(&Machine)| {
        let before = other.platform().cpu.replace(Some(0));
        f(other);
        other.platform().cpu.set(before);
    };
    as_cpu_0(&other, &|_| pinned(&other).come_online().unwrap());
    let weak = Rc::downgrade(&other);
    *other.platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        if answers() {
            as_cpu_0(&weak.upgrade().unwrap(), &|other| {
                let _ = other.flush(Budget::DEFAULT);
                other.run_blocking();
            });
        }
    }));
    // The thread is CPU 0 of the test's machine.
    *other.platform().on_elsewhere.borrow_mut() =
        Some(Rc::new(|serve| on(0, || pinned(&machine()).serve_elsewhere(serve))));
    other
}

#[test]
fn p10_a_cpu_that_waits_on_another_machine_serves_its_own() {
    let machine = start(2);
    let ran = Rc::new(Cell::new(0));
    let other = other({
        let ran = Rc::clone(&ran);
        move || ran.get() == 1
    });
    machine.post(0, logs(1)).unwrap();
    for pauses in [Pause::Again, Pause::Park] {
        other.platform().pauses.set(pauses);
        ran.set(0);
        machine.post(0, logs(2)).unwrap();
        *other.platform().on_elsewhere.borrow_mut() = Some(Rc::new({
            let ran = Rc::clone(&ran);
            move |serve| {
                assert_eq!(serve, Serve::Queue);
                on(0, || pinned(&crate::port::machine()).serve_elsewhere(serve));
                ran.set(1);
            }
        }));
        assert_eq!(other.call(0, || log(3)), Ok(()));
    }
    assert_eq!(logged(), [1, 2, 3, 2, 3]);
    assert_eq!(other.platform().slept_elsewhere.borrow()[..], [Serve::Queue], "once it was to park");
}

#[test]
fn p10_a_blocking_wait_on_another_machine_serves_what_may_block() {
    let _machine = start(2);
    let round = Rc::new(Cell::new(0));
    let other = other({
        let round = Rc::clone(&round);
        move || round.replace(round.get() + 1) > 0
    });
    // It comes while CPU 0 of ours waits there, and our CPU 1 waits for it.
    let back = || {
        let waited = Cell::new(0);
        *machine().platform().on_pause.borrow_mut() = Some(Rc::new(move || {
            // A wait that serves only the queue takes it, and does not run it.
            let serve = if waited.replace(waited.get() + 1) < 3 { Serve::Queue } else { Serve::Blocking };
            on(0, || pinned(&crate::port::machine()).serve_elsewhere(serve));
            assert_eq!(logged().is_empty(), serve == Serve::Queue);
        }));
        on(1, || machine().call_blocking(0, || log(1)))
    };
    assert_eq!(other.call_blocking(0, back), Ok(Ok(())));
    assert_eq!(round.get(), 2);
}

#[test]
fn p7_who_rests_for_another_machine_is_rung_and_polls_again_afterwards() {
    let machine = start(2);
    let post = || on(1, || crate::port::machine().post(0, logs(1))).unwrap();
    let slept = Cell::new(0);
    for (polls, rung) in [(false, vec![0]), (true, vec![])] {
        if polls {
            on(0, || machine.poll_begin());
        }
        on(0, || {
            pinned(&machine).rest_elsewhere(Serve::Blocking, &mut || {
                slept.set(slept.get() + 1);
                assert_eq!(rings(), []);
                post();
                assert_eq!(rings(), [0], "it sleeps");
            });
        });
        assert_eq!(flush(0), Flushed::All(1));
        post();
        assert_eq!(rings(), rung, "as before");
        // With work there it does not sleep.
        on(0, || pinned(&machine).rest_elsewhere(Serve::Queue, &mut || unreachable!("there is work")));
        on(0, || pinned(&machine).serve_elsewhere(Serve::Queue));
    }
    assert_eq!((slept.get(), logged().len()), (2, 4));
    // What may block keeps awake who would run it, and nobody else.
    on(1, || {
        *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| {
            let machine = crate::port::machine();
            on(0, || {
                let _ = machine.flush(Budget::DEFAULT);
                let slept = Cell::new(false);
                pinned(&machine).rest_elsewhere(Serve::Blocking, &mut || unreachable!("there is work"));
                pinned(&machine).rest_elsewhere(Serve::Queue, &mut || slept.set(true));
                assert!(slept.get());
                pinned(&machine).serve_elsewhere(Serve::Blocking);
            });
        }));
        machine.call_blocking(0, || log(2)).unwrap();
    });
    assert_eq!(logged(), [2]);
    // Who is no CPU of it, or in call context, has nothing to serve.
    as_cpu(None, || pinned(&machine).serve_elsewhere(Serve::Blocking));
    as_cpu(None, || pinned(&machine).rest_elsewhere(Serve::Blocking, &mut || slept.set(9)));
    assert_eq!(slept.get(), 9);
}

#[test]
fn p10_a_wait_of_the_ports_own_is_reported_and_served() {
    let machine = start(2);
    machine.platform().stall_timeout_ns.set(10 * PAUSE_NS);
    let (done, now) = (Cell::new(false), || machine.platform().now_ns.get());
    let late = machine.wait_by_port(1, "its end", Some(25 * PAUSE_NS), |_| false, || done.get());
    let Err(WaitError::TimedOut(stall)) = late else { panic!("{late:?}") };
    assert_eq!((stall.target, stall.phase, stall.reports), (1, Phase::Queued, 1));
    assert_eq!((stall.function, now()), ("its end", 25 * PAUSE_NS));
    let reports = machine.platform().stalls.take();
    assert!(reports.len() == 1 && reports[0].waited_ns == 10 * PAUSE_NS, "{reports:?}");
    assert_eq!(machine.stalled_waits_racy(), 0);
    // A CPU serves its queue meanwhile.
    machine.post(0, logs(1)).unwrap();
    let served = || logged() == [1];
    assert_eq!(on(0, || machine.wait_by_port(1, "its end", None, |_| false, served)), Ok(()));
    // In call context there must be nothing to wait for.
    let waits = |done: bool| crate::port::machine().wait_by_port(1, "", None, |_| false, || done);
    let in_call = |done| on(0, || machine.call(0, move || waits(done)));
    assert_eq!([in_call(false), in_call(true)], [Ok(Err(WaitError::WouldDeadlock)), Ok(Ok(()))]);
}

struct Task {
    csd: CsdField,
}

csd_field! { impl Task { csd } }

impl CsdOwner for Task {
    type Pointer = Lent;

    fn run(_: &Self, here: Here<'_>) {
        log(here.cpu());
    }
}

#[test]
fn p3_an_owner_that_is_queued_on_one_machine_is_busy_on_another() {
    let machine = start(2);
    let other = other(|| true);
    let task: &'static Task = keep(Task { csd: CsdField::new() });
    machine.post(1, task).unwrap();
    assert_eq!(other.post(0, task), Ok(Posted::Busy { cpu: 1 }));
    let _ = flush(1);
    assert_eq!(other.post(0, task), Ok(Posted::Queued));
    assert_eq!(machine.post(1, task), Ok(Posted::Busy { cpu: 0 }));
    other.wait(task).unwrap();
    assert_eq!((logged(), flush(1)), (vec![1, 0], Flushed::All(0)));
}
