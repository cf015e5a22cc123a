//! CPU-local values.

use crate::port::{flush, machine, on, start};
use smpcall::{Here, LocalError, Message, PerCpuCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn cells() -> [PerCpuCell<Vec<u32>>; 4] {
    [const { PerCpuCell::new(Vec::new()) }; 4]
}

#[test]
fn each_cpu_reaches_its_own_in_call_context() {
    static COUNTS: [PerCpuCell<Vec<u32>>; 4] = [const { PerCpuCell::new(Vec::new()) }; 4];
    static PUSH: Message<u32, usize> = Message::new(|value: u32, _: Here<'_>| {
        machine()
            .with_local(&COUNTS, |values| {
                values.push(value);
                values.len()
            })
            .unwrap()
    });
    let machine = start(2);
    for (cpu, value, len) in [(0, 1, 1), (1, 2, 1), (1, 3, 2)] {
        machine.send(cpu, &PUSH, value).unwrap();
        let _ = flush(cpu);
        assert_eq!(PUSH.try_take(), Ok(len));
    }
}

#[test]
fn out_of_call_context_it_is_refused() {
    let machine = start(2);
    let cells = cells();
    assert_eq!(machine.with_local(&cells, |_| ()), Err(LocalError::NotInCall));
    assert_eq!(on(0, || machine.with_local(&cells, |_| ())), Err(LocalError::NotInCall));
    let short = on(1, || machine.call(1, || crate::port::machine().with_local(&cells[..1], |_| ())));
    assert_eq!(short, Ok(Err(LocalError::NoCell)));
}

#[test]
fn p11_no_two_have_it_at_a_time() {
    let machine = start(1);
    let cells = cells();
    let nested = on(0, || {
        machine.call(0, || {
            let machine = crate::port::machine();
            machine.with_local(&cells, |_| {
                // A call to one's own CPU is call context of the same CPU.
                machine.call(0, || crate::port::machine().with_local(&cells, |_| ()))
            })
        })
    });
    assert_eq!(nested, Ok(Ok(Ok(Err(LocalError::InUse)))));
    let after = on(0, || machine.call(0, || crate::port::machine().with_local(&cells, |_| 5)));
    assert_eq!(after, Ok(Ok(5)));
}

#[test]
fn p11_a_panic_gives_it_back() {
    let machine = start(1);
    let mut cells = cells();
    let enter = || {
        on(0, || {
            machine.call(0, || {
                crate::port::machine().with_local(&cells, |values| {
                    values.push(1);
                    assert!(values.len() > 1, "meant");
                })
            })
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(enter)).is_err());
    assert_eq!(enter(), Ok(Ok(())));
    assert_eq!(*cells[0].get_mut(), [1, 1]);
}
