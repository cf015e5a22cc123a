//! `call_map`: one result from each CPU.

use crate::port::{as_cpu, log, logged, on, start};
use smpcall::{CpuSet, ManyError, To};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Logs its number when it is dropped.
#[derive(Debug)]
struct Logged(u32);

impl Drop for Logged {
    fn drop(&mut self) {
        log(self.0);
    }
}

/// From now on, each pause of a waiting caller lets these CPUs flush.
fn others_flush() {
    let flush = || (1..3).for_each(|cpu| _ = crate::port::flush(cpu));
    crate::port::machine().platform().on_pause.replace(Some(std::rc::Rc::new(flush)));
}

#[test]
fn each_cpu_has_its_place() {
    let machine = start(3);
    others_flush();
    let mut results = [Some(70); 5];
    let reached = on(0, || machine.call_map(To::All, &mut results, |cpu| cpu * 10)).unwrap();
    assert_eq!((reached.ran, reached.offline), (3, 1));
    assert_eq!(results, [Some(0), Some(10), Some(20), None, None]);
    let mut mask = CpuSet::<1>::new();
    mask.insert(2);
    as_cpu(None, || machine.call_map(To::Mask(&mask), &mut results, |cpu| cpu + 1)).unwrap();
    assert_eq!(results, [None, None, Some(3), None, None]);
}

#[test]
fn refused_it_leaves_the_results_alone() {
    let machine = start(3);
    let mut short = [Some(7); 3];
    let refused = machine.call_map(To::All, &mut short, |cpu| cpu);
    assert_eq!((refused, short), (Err(ManyError::SliceTooShort), [Some(7); 3]));
    assert!(ManyError::SliceTooShort.to_string().contains("too short"));
    let mut results = [Some(7); 4];
    let inside =
        on(0, || machine.call(0, || crate::port::machine().call_map(To::All, &mut results, |cpu| cpu)));
    assert_eq!((inside, results), (Ok(Err(ManyError::WouldDeadlock)), [Some(7); 4]));
}

#[test]
fn p11_a_panic_reaches_the_caller_and_the_other_results_are_kept_and_dropped_once() {
    let machine = start(3);
    others_flush();
    let mut results = [const { None }; 4];
    let run = || {
        let _ = on(0, || {
            machine.call_map(To::All, &mut results, |cpu| {
                assert_ne!(cpu, 1, "meant");
                Logged(cpu)
            })
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert_eq!(results.each_ref().map(Option::is_some), [true, false, true, false]);
    assert_eq!(logged(), []);
    drop(results);
    assert_eq!(logged(), [0, 2]);
}
