//! P8: coming and going.

use crate::port::{OwnCpu, csd, flush, log, logged, logs, on, pinned, rings, start};
use smpcall::{CallError, Coalesced, Flushed, HotplugError, PostError, Posted};

const OFFLINE: PostError = PostError::Offline { coalesced: Coalesced::No };

#[test]
fn p8_a_cpu_is_offline_until_it_comes_online() {
    let machine = start(0);
    for cpu in 0..4 {
        assert!(!machine.is_online_racy(cpu));
        assert_eq!(machine.post(cpu, logs(1)), Err(OFFLINE));
        assert_eq!(machine.call(cpu, || ()), Err(CallError::Offline));
        on(cpu, || pinned(&machine).come_online()).unwrap();
        assert!(machine.is_online_racy(cpu));
        assert_eq!(machine.post(cpu, logs(1)), Ok(Posted::Queued));
        assert_eq!(flush(cpu), Flushed::All(1));
    }
    assert!(!machine.is_online_racy(4));
}

#[test]
fn p8_twice_is_an_error_and_changes_nothing() {
    let machine = start(1);
    machine.post(0, logs(1)).unwrap();
    assert_eq!(on(0, || pinned(&machine).come_online()), Err(HotplugError::Already));
    assert_eq!(flush(0), Flushed::All(1), "the queue was kept");
    assert_eq!(on(0, || machine.offline()), Ok(0));
    assert_eq!(on(0, || machine.offline()), Err(HotplugError::Offline), "who went has no handle");
}

#[test]
fn p8_only_a_cpu_comes_and_goes() {
    let machine = start(1);
    assert_eq!(pinned(&machine).come_online(), Err(HotplugError::NotACpu));
    assert_eq!(machine.offline(), Err(HotplugError::NotACpu));
    // A number that the machine does not have is not taken on trust.
    assert_eq!(on(4, || pinned(&machine).come_online()), Err(HotplugError::NotACpu));
    assert_eq!(on(u32::MAX, || machine.offline()), Err(HotplugError::NotACpu));
}

#[test]
fn p8_going_offline_runs_what_was_accepted_in_order() {
    let machine = start(2);
    machine.post_all(1, [logs(0), logs(1), logs(2)]).unwrap();
    rings();
    assert_eq!(on(1, || machine.offline()), Ok(3));
    assert_eq!((logged(), rings()), (vec![0, 1, 2], vec![]));
    assert_eq!(machine.post(1, logs(3)), Err(OFFLINE));
    assert_eq!(logged(), []);
}

#[test]
fn p8_posts_of_the_last_functions_are_refused() {
    let machine = start(2);
    let late = logs(2);
    let last = csd(move || {
        assert_eq!(crate::port::machine().post(1, late), Err(OFFLINE));
        assert_eq!(crate::port::machine().post(0, late), Ok(Posted::Queued), "to another CPU it goes");
        log(1);
    });
    machine.post(1, last).unwrap();
    assert_eq!(on(1, || machine.offline()), Ok(1));
    assert_eq!(flush(0), Flushed::All(1));
    assert_eq!(logged(), [1, 2]);
}

#[test]
fn p8_a_panic_in_a_last_function_does_not_stop_the_others() {
    let machine = start(2);
    let bad = csd(|| panic!("meant"));
    machine.post(1, logs(1)).unwrap();
    machine.post(1, bad).unwrap();
    machine.post(1, logs(2)).unwrap();
    assert_eq!(on(1, || machine.offline()), Ok(3));
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1, 2], 1));
}

#[test]
fn p8_back_online_it_takes_posts_again() {
    let machine = start(2);
    let csd = logs(1);
    for _ in 0..40 {
        on(1, || machine.offline()).unwrap();
        assert_eq!(machine.post(1, csd), Err(OFFLINE));
        on(1, || pinned(&machine).come_online()).unwrap();
        machine.post(1, csd).unwrap();
        assert_eq!(rings(), [1]);
        let _ = flush(1);
    }
    assert_eq!(logged().len(), 40);
}

#[test]
fn p8_a_waiting_call_to_an_offline_cpu_drops_its_function() {
    struct Dropped;
    impl Drop for Dropped {
        fn drop(&mut self) {
            log(1);
        }
    }
    let machine = start(1);
    let dropped = Dropped;
    let refused = machine.call(1, move || {
        let _held = &dropped;
        log(2);
    });
    assert_eq!((refused, logged()), (Err(CallError::Offline), vec![1]));
}

#[test]
fn p8_a_self_call_of_an_offline_cpu_is_refused_like_any_other() {
    let machine = start(1);
    assert_eq!(on(1, || machine.call(1, || log(1))), Err(CallError::Offline));
    assert_eq!(logged(), []);
    // Except inside its last calls: what may be done in call context does not depend on who else comes and goes.
    machine.post(0, csd(|| assert_eq!(crate::port::machine().call(0, || 3), Ok(3)))).unwrap();
    assert_eq!(on(0, || machine.offline()), Ok(1));
    assert_eq!(machine.platform().caught.get(), 0);
}
