//! Requests that hardware brings to those whom it reaches, and calls to the rest.

use crate::many::others_flush;
use crate::port::{CPUS, OwnCpu, Toy, log, logged, on, pinned, rings, start};
use smpcall::{Broadcast, Broadcasting, CpuSet, ManyError, NotBroadcast, PerCpu, Platform, To};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A request: how far the hardware reaches with it, a bit for each CPU of the first word; 0: not at all.
struct Ask {
    reaches: u64,
    /// What it does on a CPU.
    act: fn(u32),
}

thread_local! {
    /// How often the hardware was asked, and of which words it was asked who is left out.
    static SENT: Cell<u32> = const { Cell::new(0) };
    static LOOKS: RefCell<Vec<(u32, usize)>> = const { RefCell::new(Vec::new()) };
}

impl Broadcasting<Ask> for Toy {
    fn broadcast(&self, request: &Ask) -> Result<(), NotBroadcast> {
        assert!(!self.can_wait(), "with the irq guard");
        SENT.set(SENT.get() + 1);
        if request.reaches == 0 { Err(NotBroadcast) } else { Ok(()) }
    }

    fn left_out(&self, request: &Ask, first: u32, cpus: usize) -> usize {
        LOOKS.with_borrow_mut(|looks| looks.push((first, cpus)));
        // More than was asked for: that is not taken.
        if first == 0 { !request.reaches as usize } else { 0 }
    }

    fn do_here(&self, request: &Ask) {
        (request.act)(self.current_cpu().unwrap());
    }
}

const fn ask(reaches: u64) -> Ask {
    Ask { reaches, act: log }
}

fn counts(answer: Result<Broadcast, ManyError>) -> (u32, u32, u32) {
    let answer = answer.unwrap();
    (answer.by_hardware, answer.by_call, answer.offline)
}

#[test]
fn p7_whom_the_hardware_reaches_is_not_rung() {
    let machine = start(4);
    for to in [To::All, To::Mask(&(0..4).collect::<CpuSet<1>>()), To::If(&mut |_| true)] {
        assert_eq!(counts(on(0, || machine.broadcast(to, &ask(0b1111)))), (4, 0, 0));
    }
    assert_eq!(counts(on(0, || machine.broadcast(To::Others, &ask(0b1111)))), (3, 0, 0));
    assert_eq!(counts(machine.broadcast(To::Others, &ask(0b1111))), (4, 0, 0), "of no CPU's all are others");
    assert_eq!((rings(), logged(), SENT.get()), (vec![], vec![], 5));
}

#[test]
fn p4_whom_it_leaves_out_is_called_before_it_returns() {
    let machine = start(4);
    others_flush();
    assert_eq!(counts(on(0, || machine.broadcast(To::All, &ask(0b0101)))), (2, 2, 0));
    assert_eq!((rings(), logged()), (vec![1, 3], vec![1, 3]));
    // The caller's own, by itself and inline.
    assert_eq!(counts(on(3, || machine.broadcast(To::All, &ask(0b0111)))), (3, 1, 0));
    assert_eq!((rings(), logged()), (vec![], vec![3]));
    let mask: CpuSet<1> = [1, 2].into_iter().collect();
    assert_eq!(counts(on(0, || machine.broadcast(To::Mask(&mask), &ask(0b0010)))), (1, 1, 0));
    assert_eq!(logged(), [2], "nobody who is not meant");
}

#[test]
fn p4_where_it_is_refused_all_are_called() {
    let machine = start(4);
    others_flush();
    assert_eq!(counts(on(1, || machine.broadcast(To::All, &ask(0)))), (0, 4, 0));
    assert_eq!(logged(), [1, 0, 2, 3]);
    assert!(LOOKS.take().is_empty(), "there is no broadcast to ask about");
}

#[test]
fn p8_who_is_left_out_and_offline_is_counted() {
    let machine = start(2);
    others_flush();
    assert_eq!(counts(on(0, || machine.broadcast(To::All, &ask(0b0101)))), (2, 1, 1));
    assert_eq!(logged(), [1]);
    assert_eq!(
        counts(on(0, || machine.broadcast(To::All, &ask(0b1111)))),
        (4, 0, 0),
        "reached, whether online or not"
    );
}

#[test]
fn p10_where_the_caller_may_not_wait_it_is_refused_if_somebody_is_left_out() {
    let machine = start(2);
    let inside =
        |reaches| on(0, || machine.call(0, move || crate::port::machine().broadcast(To::All, &ask(reaches))));
    assert_eq!(inside(0b1111).map(counts), Ok((4, 0, 0)), "nobody is waited for");
    assert_eq!(inside(0b1101), Ok(Err(ManyError::WouldDeadlock)));
    assert_eq!(inside(0), Ok(Err(ManyError::WouldDeadlock)));
    assert_eq!((rings(), logged(), SENT.get()), (vec![], vec![], 3), "what the hardware does is done");
}

#[test]
fn bad_masks_are_refused_before_anything_is_done() {
    let machine = start(2);
    let far: CpuSet<1> = [0, CPUS as u32].into_iter().collect();
    assert_eq!(machine.broadcast(To::Mask(&far), &ask(0b1111)), Err(ManyError::NoSuchCpu));
    assert_eq!(SENT.get(), 0);
    let nobody = CpuSet::<1>::new();
    assert_eq!(counts(machine.broadcast(To::Mask(&nobody), &ask(0b1111))), (0, 0, 0));
    assert_eq!(counts(machine.broadcast(To::Mask(&nobody), &ask(0))), (0, 0, 0));
}

#[test]
fn p11_a_panic_on_one_of_the_called_comes_back() {
    let machine = start(4);
    others_flush();
    let act = |cpu| assert!(cpu != 2, "on CPU 2");
    let broadcast = || machine.broadcast(To::Others, &Ask { reaches: 0b0001, act });
    let panic = catch_unwind(AssertUnwindSafe(|| on(0, broadcast))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"on CPU 2"));
}

/// Three words of CPUs, of which the first is the hardware's, up to one that it leaves out in the middle.
#[test]
fn a_condition_is_asked_once_for_each_cpu_whoever_is_left_out() {
    const WORD: u32 = usize::BITS;
    let machine =
        Rc::new(smpcall::Machine::new(Toy::new(), [const { PerCpu::new() }; 2 * WORD as usize + 3]));
    for cpu in 0..2 * WORD + 3 {
        machine.platform().cpu.set(Some(cpu));
        pinned(&machine).come_online().unwrap();
    }
    machine.platform().cpu.set(Some(WORD));
    let weak = Rc::downgrade(&machine);
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        let machine = weak.upgrade().unwrap();
        machine.platform().cpu.set(Some(7));
        let _ = machine.flush(smpcall::Budget::DEFAULT);
        machine.platform().cpu.set(Some(WORD));
    }));
    for (reaches, calls) in [(!(1 << 7), 1), (!0, 0)] {
        let mut asked = Vec::new();
        let mut odd = |cpu| {
            asked.push(cpu);
            cpu % 2 == 1
        };
        let act = |cpu| assert_eq!(cpu, 7);
        let answer = machine.broadcast(To::If(&mut odd), &Ask { reaches, act });
        assert_eq!(counts(answer), (WORD + 1 - calls, calls, 0));
        assert_eq!(asked, (0..2 * WORD + 3).collect::<Vec<_>>());
        assert_eq!(LOOKS.take().iter().map(|look| look.0).collect::<Vec<_>>(), [0, WORD, 2 * WORD]);
    }
    machine.platform().cpu.set(None);
}

/// A CPU that comes while it is under way: told offline, or called.
#[test]
fn p8_who_comes_online_behind_the_broadcast_is_called_if_it_is_left_out() {
    let machine = start(2);
    others_flush();
    let mut comes = |cpu| {
        if cpu == 2 {
            let before = machine.platform().cpu.replace(Some(2));
            pinned(&machine).come_online().unwrap();
            machine.platform().cpu.set(before);
        }
        true
    };
    assert_eq!(counts(on(0, || machine.broadcast(To::If(&mut comes), &ask(0b0011)))), (2, 1, 1));
    assert_eq!(logged(), [2]);
}
