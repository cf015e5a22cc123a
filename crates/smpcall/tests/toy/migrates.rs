//! P15: threads that are moved from CPU to CPU wherever the port does not keep them. One thread is all of them, and a hook moves it.

mod port;

use crate::port::OwnCpu;
use port::{CPUS, Hook, Moving, PAUSE_NS};
use smpcall::{Budget, CallError, CallSlot, Csd, Flushed, HotplugError, PerCpu, Phase, Posted, Serve, To};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

type Machine = smpcall::Machine<Moving, [PerCpu; CPUS]>;

thread_local! {
    static MACHINE: Rc<Machine> = Rc::new(smpcall::Machine::new(Moving::default(), [const { PerCpu::new() }; CPUS]));
    static LOG: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

fn machine() -> Rc<Machine> {
    MACHINE.with(Rc::clone)
}

fn port(f: impl FnOnce(&Moving)) {
    f(machine().platform());
}

/// The machine, all of whose CPUs are online; the thread is on CPU 0.
fn start() -> Rc<Machine> {
    for cpu in 0..CPUS as u32 {
        on(cpu, |machine| machine.come_online()).unwrap();
    }
    machine()
}

/// What another thread does on that CPU, the bound one: it comes in when the caller has interrupts on, or runs on another CPU.
fn on<R>(cpu: u32, f: impl FnOnce(&Machine) -> R) -> R {
    let machine = machine();
    let port = machine.platform();
    let before = (port.cpu.replace(cpu), port.bound.replace(true), port.irq_off.replace(0));
    let result = f(&machine);
    port.cpu.set(before.0);
    port.bound.set(before.1);
    port.irq_off.set(before.2);
    result
}

fn flush(cpu: u32) -> Flushed {
    on(cpu, |machine| machine.flush(Budget::DEFAULT))
}

fn go_to(cpu: u32) {
    port(|port| {
        assert_eq!(port.irq_off.get(), 0, "a thread is kept where it is with interrupts off");
        port.cpu.set(cpu);
    });
}

fn log(entry: u32) {
    LOG.with_borrow_mut(|log| log.push(entry));
}

fn logged() -> Vec<u32> {
    LOG.take()
}

fn rings() -> Vec<u32> {
    machine().platform().rings.take()
}

fn hook(hook: &Hook, f: impl Fn() + 'static) {
    *hook.borrow_mut() = Some(Rc::new(f));
}

/// At the n-th pause of a waiter the n-th of these.
fn at_pauses<const N: usize>(steps: [fn(); N]) {
    let next = Cell::new(0);
    port(|port| {
        hook(&port.on_pause, move || {
            let at = next.replace(next.get() + 1);
            steps.get(at).expect("the wait is over after its steps")();
        });
    });
}

fn here() -> u32 {
    machine().platform().cpu.get()
}

/// Posts to `cpu` from the next one, and says who was rung.
fn rung_by_a_post(cpu: u32, csd: &'static Csd<fn()>) -> Vec<u32> {
    rings();
    assert_eq!(on((cpu + 1) % CPUS as u32, |machine| machine.post(cpu, csd)), Ok(Posted::Queued));
    rings()
}

#[test]
fn p15_a_waiter_serves_the_cpu_that_it_finds_itself_on_and_leaves_no_mark() {
    static FIRST: Csd<fn()> = Csd::new(|| log(1));
    static SECOND: Csd<fn()> = Csd::new(|| log(2));
    let machine = start();
    at_pauses([
        // Nobody counts on the waiter to look: a post to its CPU rings.
        || assert_eq!(rung_by_a_post(0, &FIRST), [0]),
        // It has served CPU 0 in between, and goes.
        || {
            assert_eq!(logged(), [1]);
            go_to(2);
            assert_eq!(rung_by_a_post(2, &SECOND), [2]);
            assert_eq!(rung_by_a_post(0, &FIRST), [0]);
        },
        || {
            assert_eq!(logged(), [2], "it serves CPU 2 now, and 0 no more");
            let _ = flush(1);
        },
    ]);
    assert_eq!(machine.call(1, || log(9)), Ok(()));
    assert_eq!((here(), logged()), (2, vec![9]));
    assert_eq!((flush(0), logged()), (Flushed::All(1), vec![1]));
    for cpu in [0, 2] {
        assert_eq!(rung_by_a_post(cpu, &FIRST), [cpu], "it is at rest after the wait");
        let _ = flush(cpu);
    }
}

#[test]
fn p15_a_call_by_way_of_a_slot_is_made_from_wherever_its_caller_is() {
    static SLOT: CallSlot = CallSlot::new();
    let machine = start();
    at_pauses([|| go_to(2), || _ = flush(1)]);
    assert_eq!(machine.call_in(&SLOT, 1, here), Ok(1));
    assert_eq!((here(), machine.call_in(&SLOT, 2, here)), (2, Ok(2)), "its own, inline");
    at_pauses([|| [0, 1].into_iter().for_each(|cpu| _ = flush(cpu)), || _ = flush(2)]);
    let reached = machine.call_many_copied(To::All, || log(here())).unwrap();
    let mut ran = logged();
    ran.sort_unstable();
    assert_eq!((reached.ran, ran), (3, vec![0, 1, 2]));
}

#[test]
fn p15_a_mark_that_a_waiter_finds_is_taken_back_before_it_can_be_moved() {
    static CSD: Csd<fn()> = Csd::new(|| log(1));
    let machine = start();
    on(0, |machine| machine.poll_begin());
    assert_eq!(rung_by_a_post(0, &CSD), [], "the idle thread looks");
    at_pauses([|| {
        assert_eq!(logged(), [1], "what nobody was rung for has run");
        assert_eq!(rung_by_a_post(0, &CSD), [0]);
        let _ = flush(1);
    }]);
    assert_eq!(machine.call(1, || ()), Ok(()));
}

#[test]
fn p15_nobody_counts_on_a_waiter_between_two_of_its_looks() {
    static CSD: Csd<fn()> = Csd::new(|| log(1));
    let machine = start();
    port(|port| port.parks.set(true));
    let looks = Cell::new(0);
    // It may be preempted at each of these: when the wait has begun, after a flush, and after a sleep.
    let done = || {
        assert_eq!(rung_by_a_post(here(), &CSD), [here()], "look {}", looks.get());
        let _ = flush(here());
        go_to((here() + 1) % CPUS as u32);
        looks.set(looks.get() + 1);
        looks.get() > 3 * CPUS
    };
    assert_eq!(machine.wait_by_port(1, "a thread's end", None, |_| true, done), Ok(()));
    assert_eq!(logged().len(), looks.get());
}

#[test]
fn p15_a_sleeper_is_woken_as_the_thread_that_it_is() {
    static CSD: Csd<fn()> = Csd::new(|| log(1));
    let machine = start();
    port(|port| {
        port.parks.set(true);
        hook(&port.on_park, || {
            assert_eq!(rung_by_a_post(0, &CSD), [0], "a CPU whose waiter sleeps is at rest");
            go_to(1);
            let _ = flush(2);
        });
    });
    assert_eq!(machine.call(2, || 5), Ok(5));
    assert_eq!((here(), flush(0), logged()), (1, Flushed::All(1), vec![1]));
}

#[test]
fn p1_a_call_to_the_cpu_that_one_has_just_left_runs_there() {
    let machine = start();
    port(|port| hook(&port.on_save, || go_to(1)));
    at_pauses([|| _ = flush(0)]);
    assert_eq!(machine.call(0, here), Ok(0), "decided on CPU 0, and moved before it began");
    port(|port| hook(&port.on_save, || go_to(2)));
    assert_eq!(machine.call(2, here), Ok(2), "and one to where it has come runs at once");
}

#[test]
fn p4_a_multicast_whose_sender_moves_reaches_each_cpu_once() {
    fn flush_all() {
        (0..CPUS as u32).for_each(|cpu| _ = flush(cpu));
    }
    let machine = start();
    for to in [To::All, To::If(&mut |_| true)] {
        // It moves after it has looked where it is, and before the first is sent to.
        port(|port| hook(&port.on_save, || go_to(1)));
        at_pauses([flush_all]);
        assert_eq!(machine.call_many(to, || log(here())).map(|reached| reached.ran), Ok(3));
        assert_eq!(sorted(logged()), [0, 1, 2]);
        go_to(0);
    }
    port(|port| hook(&port.on_save, || go_to(2)));
    let reached = machine.post_many(To::All, || log(here())).unwrap();
    flush_all();
    assert_eq!((reached.ran, &*sorted(logged())), (3, &[0, 1, 2][..]));
    go_to(0);
    at_pauses([flush_all]);
    let reached = machine.call_many(To::Others, || log(here())).unwrap();
    assert_eq!((reached.ran, &*sorted(logged())), (2, &[1, 2][..]), "others than where it began");
}

fn sorted(mut entries: Vec<u32>) -> Vec<u32> {
    entries.sort_unstable();
    entries
}

#[test]
fn p11_a_frame_is_the_threads_and_no_cpu_is_kept_by_it() {
    let machine = start();
    let mut asked = 0;
    let mut condition = |_| {
        asked += 1;
        port(|port| assert_eq!(port.frames.get(), 1));
        go_to(2);
        // CPU 0, on which it began, comes and goes as it likes; so does the one that it is on.
        on(0, |machine| {
            assert_eq!(machine.offline(), Ok(0));
            machine.come_online().unwrap();
        });
        false
    };
    machine.call_many(To::If(&mut condition), || ()).unwrap();
    port(|port| assert_eq!(port.frames.get(), 0));
    assert_eq!(asked, 3);
    for cpu in 0..CPUS as u32 {
        assert_eq!(on(cpu, |machine| machine.offline()), Ok(0));
    }
}

fn machine_rc() -> Rc<Machine> {
    machine()
}

#[test]
fn p10_a_report_under_way_is_the_threads_and_does_not_silence_the_cpu() {
    fn wait_that_stalls() {
        at_pauses([|| (), || (), || (), || _ = flush(1)]);
        machine().call(1, || ()).unwrap();
    }
    let machine = start();
    port(|port| {
        port.stall_timeout_ns.set(2 * PAUSE_NS);
        let inside = Cell::new(false);
        hook(&port.on_stall, move || {
            if !inside.replace(true) {
                go_to(2);
                on(0, |_| wait_that_stalls());
                // The flush of its last step was for both.
                *machine_rc().platform().on_pause.borrow_mut() = None;
            }
        });
    });
    let reported = || {
        wait_that_stalls();
        let stalls = machine.platform().stalls.take();
        stalls.iter().map(|stall| (stall.waiter, stall.target)).collect::<Vec<_>>()
    };
    assert_eq!(reported(), [(Some(0), 1); 2], "one of the thread, and one of who waits where it has been");
    for cpu in [0, 2] {
        go_to(cpu);
        assert_eq!(reported(), [(Some(cpu), 1)]);
    }
}

#[test]
fn p10_blocking_calls_are_left_to_the_thread_that_is_bound() {
    let machine = start();
    // To the caller's own CPU, too: it may be moved in the middle of the function.
    for target in [1, 0] {
        let steps = Rc::new(Cell::new(0));
        let step = Rc::clone(&steps);
        port(|port| {
            hook(&port.on_pause, move || {
                step.set(step.get() + 1);
                match step.get() {
                    1 => go_to(target),
                    2 => {
                        assert_eq!(
                            logged(),
                            [],
                            "it has flushed CPU {target}, and runs nothing that may block"
                        );
                        assert_eq!(rings(), [target, target], "whose thread is told by its doorbell");
                        assert_eq!(machine_rc().run_blocking(), 0);
                        assert!(!machine_rc().is_in_blocking());
                        on(target, |machine| {
                            assert_eq!(machine.run_blocking(), 1);
                        });
                    }
                    _ => unreachable!("it is done"),
                }
            });
        });
        let called = machine.call_blocking(target, move || {
            log(target);
            (here(), machine_rc().is_in_blocking(), machine_rc().offline())
        });
        assert_eq!(called, Ok((target, true, Err(HotplugError::InCall))));
        assert_eq!((steps.get(), logged()), (2, vec![target]));
        go_to(0);
    }
    // The bound thread runs its own at once, and serves others' while it waits for one.
    assert_eq!(on(0, |machine| machine.call_blocking(0, here)), Ok(0));
    at_pauses([|| {
        on(1, |machine| {
            at_pauses([
                || (),
                || {
                    assert_eq!((flush(0), logged()), (Flushed::All(1), vec![1]));
                    assert_eq!(on(0, |machine| machine.run_blocking()), 1);
                },
            ]);
            assert_eq!(machine.call_blocking(0, || log(0)), Ok(()));
        });
    }]);
    assert_eq!(on(0, |machine| machine.call_blocking(1, || log(1))), Ok(()));
    assert_eq!(logged(), [0]);
}

#[test]
fn p10_a_report_rings_once_more_for_the_thread_that_is_bound() {
    let machine = start();
    port(|port| port.stall_timeout_ns.set(2 * PAUSE_NS));
    at_pauses([
        || {
            let _ = flush(1);
            assert_eq!(rings(), [1, 1], "for the entry, and for the thread");
        },
        || assert_eq!(rings(), []),
        || {
            assert_eq!(machine_rc().platform().stalls.borrow()[0].phase, Phase::Dequeued);
            assert_eq!(rings(), [1]);
            assert_eq!(on(1, |machine| machine.run_blocking()), 1);
        },
    ]);
    assert_eq!(machine.call_blocking(1, here), Ok(1));
}

/// No report is due: the waiter looks now and then whether doorbells have failed, or before it sleeps.
#[test]
fn p10_a_ring_for_the_thread_that_is_bound_that_failed_is_sent_again() {
    for parks in [false, true] {
        let machine = start();
        let looks = Cell::new(0);
        port(|port| port.parks.set(parks));
        let look = move || {
            let machine = machine_rc();
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                rings();
                machine.platform().fails.set(true);
                let _ = flush(1);
                machine.platform().fails.set(false);
                assert!(!machine.is_unrung_racy(1), "nothing is queued there");
            } else if rings() == [1] {
                assert_eq!(on(1, |machine| machine.run_blocking()), 1);
            } else {
                assert!(!parks, "it has slept without another ring");
            }
        };
        port(|port| hook(&port.on_pause, look));
        assert_eq!(machine.call_blocking(1, here), Ok(1));
        for cpu in 0..CPUS as u32 {
            assert_eq!(on(cpu, |machine| machine.offline()), Ok(0));
        }
    }
}

#[test]
fn p10_what_may_not_wait_is_refused_and_only_the_bound_thread_takes_its_cpu_offline() {
    static CSD: Csd<fn()> = Csd::new(|| {
        assert_eq!(machine().call(1, || ()), Err(CallError::WouldDeadlock));
        assert_eq!(machine().call(0, || log(1)), Ok(()), "but itself");
    });
    let machine = start();
    machine.post(0, &CSD).unwrap();
    assert_eq!((flush(0), logged()), (Flushed::All(1), vec![1]));
    assert_eq!(machine.offline(), Err(HotplugError::NotACpu));
    assert!(machine.is_online_racy(0));
    crate::port::pinned(&machine).serve_elsewhere(Serve::Queue);
    crate::port::pinned(&machine).rest_elsewhere(Serve::Queue, &mut || log(2));
    assert_eq!(logged(), [2]);
}

#[test]
#[should_panic(expected = "a thread that stays there")]
fn p11_a_handle_is_not_used_where_its_thread_was_moved() {
    let machine = start();
    let mut cpu = crate::port::pinned(&machine).this_cpu().unwrap();
    go_to(1);
    cpu.poll_begin();
}
