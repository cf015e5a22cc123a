//! P4, P11: what travels may be large, widely aligned, and ill-behaved when it is dropped.

use crate::port::{OwnCpu, flush, log, logged, machine, on, pinned, start};
use smpcall::{CallError, CpuSet, To};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

fn others_flush() {
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        let _ = flush(1);
        let _ = on(1, || crate::port::machine().run_blocking());
    }));
}

#[derive(Clone, Copy)]
#[repr(align(256))]
struct Wide([u8; 256]);

impl Wide {
    fn is_aligned(&self) -> bool {
        std::ptr::from_ref(self).addr() % 256 == 0
    }
}

#[test]
fn p4_closures_and_results_keep_an_alignment_of_256() {
    let machine = start(2);
    others_flush();
    let wide = Wide([7; 256]);
    let run = move || {
        let wide = &wide;
        assert!(wide.is_aligned(), "in the closure, where it runs");
        Wide(wide.0.map(|byte| byte + 1))
    };
    for called in [on(0, || machine.call(1, run)), machine.call_blocking(1, run)] {
        let result = called.unwrap();
        assert!(result.is_aligned() && result.0 == [8; 256]);
    }
    let shared = Wide([1; 256]);
    let check = move || {
        let shared = &shared;
        assert!(shared.is_aligned() && shared.0 == [1; 256]);
        log(1);
    };
    assert_eq!(on(0, || machine.call_many(To::All, check)).map(|many| many.ran), Ok(2));
    assert_eq!(logged(), [1, 1]);
}

#[test]
fn p4_results_of_100_kilobytes_come_back_whole() {
    const BYTES: usize = 100 << 10;
    let calls = || {
        let machine = start(2);
        others_flush();
        let whole = |result: [u8; BYTES]| result.iter().zip(0_u32..).all(|(byte, at)| *byte == at as u8);
        let run = || std::array::from_fn::<u8, BYTES, _>(|at| at as u8);
        assert_eq!(on(0, || machine.call(1, run)).map(whole), Ok(true));
        assert_eq!(machine.call_blocking(1, run).map(whole), Ok(true));
    };
    // Unoptimised, each step of the way has a copy on the stack, of which a test's thread has little.
    std::thread::Builder::new().stack_size(64 << 20).spawn(calls).unwrap().join().unwrap();
}

/// Panics when it is dropped, once.
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        if std::mem::take(&mut self.0) {
            log(66);
            panic!("a drop that panics");
        }
    }
}

#[test]
fn p11_a_result_whose_drop_panics_is_the_callers_business() {
    let machine = start(2);
    others_flush();
    for _ in 0..3 {
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(on(0, || machine.call(1, || Bomb(true))))));
        assert!(dropped.is_err());
        assert_eq!((logged(), on(0, || machine.call(1, || 5))), (vec![66], Ok(5)), "the machine goes on");
    }
}

#[test]
fn p11_a_closure_whose_drop_panics_reaches_its_caller() {
    let machine = start(2);
    others_flush();
    for blocking in [false, true] {
        let bomb = Bomb(true);
        // It is dropped where it runs, after the function.
        let run = move || {
            let _bomb = bomb;
            log(1);
        };
        let call = || if blocking { machine.call_blocking(1, run) } else { on(0, || machine.call(1, run)) };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_eq!((logged(), on(0, || machine.call(1, || 5))), (vec![1, 66], Ok(5)));
    }
    // One that is refused is dropped by the caller: nothing is left in the mailbox, or of the guard.
    on(1, || machine.offline()).unwrap();
    let mask: CpuSet<1> = [1].into_iter().collect();
    for nearest in [false, true] {
        let bomb = Bomb(true);
        let run = move || drop(bomb);
        let call = || match nearest {
            true => on(0, || machine.call_nearest(&mask, run)),
            false => on(0, || machine.call(1, run)),
        };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_eq!(logged(), [66]);
        assert_eq!(on(0, || machine.call(1, || ())), Err(CallError::Offline));
    }
    on(1, || pinned(&machine).come_online()).unwrap();
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
}
