//! Owned closures, posted and forgotten.

use crate::port::{OwnCpu, flush, log, logged, on, start};
use smpcall::{Refused, WhyRefused};

/// Logs 100 when it is dropped.
struct Logged;

impl Drop for Logged {
    fn drop(&mut self) {
        log(100);
    }
}

#[test]
fn p1_it_runs_once_and_is_dropped() {
    let machine = start(2);
    let held = Logged;
    machine
        .post_boxed(1, move || {
            let _held = held;
            log(1);
        })
        .unwrap();
    assert_eq!(logged(), []);
    let _ = flush(1);
    let _ = flush(1);
    assert_eq!(logged(), [1, 100]);
}

#[test]
fn p8_refused_it_comes_back() {
    let machine = start(2);
    let held = Logged;
    let Err(Refused { function, why }) = machine.post_boxed(3, move || {
        let _held = held;
        log(1);
    }) else {
        panic!("CPU 3 is offline");
    };
    assert_eq!((why, logged()), (WhyRefused::Offline, vec![]));
    let Err(Refused { function, why }) = machine.post_boxed(9, function) else {
        panic!("there is no CPU 9");
    };
    assert_eq!(why, WhyRefused::NoSuchCpu);
    // Refused at the push, after the claim.
    let gone = || _ = on(1, || crate::port::machine().offline());
    machine.platform().on_save.replace(Some(Box::new(gone)));
    let refused = machine.post_boxed(1, function).unwrap_err();
    assert_eq!((refused.why, logged()), (WhyRefused::Offline, vec![]));
    assert!(format!("{refused} {refused:?}").contains("the CPU is offline"));
    (refused.function)();
    assert_eq!(logged(), [1, 100]);
}

#[test]
fn p11_a_panic_drops_it() {
    let machine = start(1);
    let held = Logged;
    machine
        .post_boxed(0, move || {
            let _held = &held;
            panic!("meant");
        })
        .unwrap();
    let _ = flush(0);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![100], 1));
}
