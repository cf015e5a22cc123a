//! The handle of a CPU: what it does in steps, and where it is of no use.

use crate::port::{CPUS, Machine, OwnCpu, Toy, csd, flush, log, logged, logs, on, pinned, rings, start};
use smpcall::{Budget, Cpu, Flushed, HotplugError, NoSleep, PerCpu, Posted, SleepGuard};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;

type Handle = Cpu<'static, Toy, [PerCpu; CPUS]>;

thread_local! {
    /// The machine of the handle in it, and that.
    static KEPT: RefCell<Option<(Rc<Machine>, Handle)>> = const { RefCell::new(None) };
}

/// Keeps CPU 1's handle where a function of its reaches it, as no type forbids.
fn keep_handle(machine: &Rc<Machine>) {
    // SAFETY: it stays in its `Rc`, of which a count lies beside the handle.
    let lasting: Pin<&'static Machine> = unsafe { Pin::new_unchecked(&*Rc::as_ptr(machine)) };
    let handle = on(1, || lasting.this_cpu().unwrap());
    KEPT.set(Some((Rc::clone(machine), handle)));
}

fn kept<R>(f: impl FnOnce(&mut Handle) -> R) -> R {
    KEPT.with_borrow_mut(|kept| f(&mut kept.as_mut().unwrap().1))
}

#[test]
fn a_handle_is_for_a_cpu_that_is_online_and_outside_of_functions() {
    let machine = start(1);
    let ask = || pinned(&machine).this_cpu().map(|cpu| cpu.number());
    assert_eq!(ask(), Err(HotplugError::NotACpu));
    assert_eq!(on(0, ask), Ok(0));
    assert_eq!(on(1, ask), Err(HotplugError::Offline));
    assert_eq!(on(4, ask), Err(HotplugError::NotACpu), "the machine has no such CPU");
    let inside = || {
        let machine = crate::port::machine();
        assert_eq!(pinned(&machine).this_cpu().unwrap_err(), HotplugError::InCall);
        log(1);
    };
    on(0, || machine.call(0, inside)).unwrap();
    on(0, || machine.call_blocking(0, inside)).unwrap();
    assert_eq!(logged(), [1, 1]);
}

#[test]
fn p1_a_handle_that_was_kept_is_of_no_use_in_a_function() {
    let machine = start(2);
    keep_handle(&machine);
    let function = || {
        kept(|cpu| {
            cpu.poll_begin();
            assert_eq!(cpu.begin_sleep().map(SleepGuard::commit).unwrap_err(), NoSleep::InCall);
        });
        let (machine, cpu) = KEPT.take().unwrap();
        let (cpu, why) = cpu.offline().unwrap_err();
        assert_eq!(why, HotplugError::InCall, "and the handle comes back");
        KEPT.set(Some((machine, cpu)));
        log(1);
    };
    machine.post(1, csd(function)).unwrap();
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
    rings();
    machine.post(1, logs(2)).unwrap();
    assert_eq!((rings(), flush(1), logged()), (vec![1], Flushed::All(1), vec![2]), "it does not poll");
    on(1, || machine.call_blocking(1, function)).unwrap();
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 0));
    machine.post(1, logs(2)).unwrap();
    assert_eq!(rings(), [1], "nor after one that may block");
    let handle = KEPT.take().unwrap().1;
    assert_eq!(on(1, || handle.offline()).unwrap(), 1);
}

#[test]
fn p7_while_the_guard_is_held_a_post_rings_and_is_seen() {
    let machine = start(2);
    on(1, || {
        let mut cpu = pinned(&machine).this_cpu().unwrap();
        cpu.poll_begin();
        let guard = cpu.begin_sleep().unwrap();
        assert!(!guard.look_again());
        assert_eq!(machine.post(1, logs(1)), Ok(Posted::Queued));
        assert_eq!((guard.look_again(), rings()), (true, vec![1]));
        let asleep = guard.commit();
        assert_eq!((asleep.woken(Budget::DEFAULT), logged()), (Flushed::All(1), vec![1]));
        // Who slept does not poll until it says so.
        machine.post(1, logs(2)).unwrap();
        assert_eq!((rings(), cpu.flush(Budget::DEFAULT)), (vec![1], Flushed::All(1)));
    });
}

#[test]
fn p7_a_sleep_that_is_given_up_leaves_the_cpu_as_it_was() {
    let machine = start(2);
    on(1, || {
        let mut cpu = pinned(&machine).this_cpu().unwrap();
        for (polls, rung) in [(false, vec![1]), (true, vec![])] {
            if polls {
                cpu.poll_begin();
            }
            cpu.begin_sleep().unwrap().abort();
            machine.post(1, logs(1)).unwrap();
            assert_eq!(rings(), rung);
            assert_eq!(cpu.begin_sleep().map(SleepGuard::commit).unwrap_err(), NoSleep::Work);
            assert_eq!(cpu.flush(Budget::DEFAULT), Flushed::All(1));
        }
    });
    assert_eq!(logged(), [1, 1]);
}

#[test]
fn p9_serving_runs_what_comes_until_it_is_told_to_end() {
    let machine = start(2);
    // While CPU 1 has nothing to do, somebody posts to it, the third time for the last.
    let posts = Rc::new(Cell::new(0));
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new({
        let posts = Rc::clone(&posts);
        move || {
            posts.set(posts.get() + 1);
            on(0, || crate::port::machine().post(1, logs(posts.get()))).unwrap();
        }
    }));
    on(1, || {
        pinned(&machine).this_cpu().unwrap().serve(|| {
            let machine = crate::port::machine();
            assert_eq!(pinned(&machine).this_cpu().unwrap_err(), HotplugError::InCall, "it is in use");
            posts.get() == 3 && !posts_are_left(&posts)
        });
    });
    assert_eq!((logged(), posts.get()), (vec![1, 2, 3], 3));
    on(1, || machine.offline()).unwrap();
}

/// Whether what was posted last has not run yet.
fn posts_are_left(posts: &Cell<u32>) -> bool {
    let ran = logged();
    ran.iter().for_each(|&entry| log(entry));
    ran.last() != Some(&posts.get())
}
