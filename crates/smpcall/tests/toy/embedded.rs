//! Embedded csds: what a function is given, and what holds of them as of any csd.

use crate::port::{OwnCpu, flush, keep, log, logged, machine, on, rings, start};
use smpcall::{Cancel, Coalesced, CsdField, CsdOwner, Here, Lent, PostError, Posted, csd_field};
use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, Ordering};

/// A request with one csd, whose function logs its number and its CPU, and posts it again as often as it is told.
struct Request {
    number: u32,
    again: AtomicU32,
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = &'static Self;

    fn run(this: &'static Self, here: Here<'_>) {
        assert!(!this.csd.is_pending(), "P5: free before its function starts");
        assert_eq!(Some(here.cpu()), machine().platform().cpu.get());
        log(this.number * 10 + here.cpu());
        if this.again.load(Ordering::Relaxed) > 0 {
            this.again.fetch_sub(1, Ordering::Relaxed);
            machine().post(here.cpu(), this).unwrap();
            assert_eq!(machine().post(here.cpu(), this), Ok(Posted::Busy { cpu: here.cpu() }));
        }
    }
}

fn request(number: u32, again: u32) -> &'static Request {
    keep(Request { number, again: AtomicU32::new(again), csd: CsdField::new() })
}

#[derive(Clone, Copy)]
struct Begin;
#[derive(Clone, Copy)]
struct End;

/// Two csds in one struct, beside a third without a tag.
struct Task<T> {
    begin: CsdField<Begin>,
    end: CsdField<End>,
    csd: CsdField,
    value: T,
}

csd_field! { impl{T: Send + 'static} Task<T> { begin: Begin, end: End, csd } }

impl CsdOwner<Begin> for Task<u32> {
    type Pointer = &'static Self;

    fn run(this: &'static Self, here: Here<'_>) {
        log(100 + this.value);
        machine().post(here.cpu(), (this, End)).unwrap();
    }
}

impl CsdOwner<End> for Task<u32> {
    type Pointer = Lent;

    fn run(this: &Self, here: Here<'_>) {
        assert_eq!(format!("{here:?}"), format!("Here {{ cpu: {} }}", here.cpu()));
        log(200 + this.value);
    }
}

impl CsdOwner for Task<u32> {
    type Pointer = Lent;

    fn run(this: &Self, _: Here<'_>) {
        log(300 + this.value);
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn p13_an_embedded_csd_is_its_header_and_costs_nothing_beside() {
    assert_eq!((size_of::<CsdField>(), size_of::<CsdField<Begin>>()), (32, 32));
    // Nothing that is derived: the field lies where the struct has it.
    assert_eq!(offset_of!(Request, csd) % 32, 0);
    assert_eq!(size_of::<Request>(), 64);
}

#[test]
fn p1_the_function_is_given_its_owner_and_its_cpu() {
    let machine = start(2);
    let (one, two) = (request(1, 0), request(2, 0));
    machine.post(1, one).unwrap();
    machine.post(1, two).unwrap();
    assert!(one.csd.is_pending() && two.csd.is_pending());
    let _ = flush(1);
    machine.post(0, one).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), [11, 21, 10]);
}

#[test]
fn p2_a_post_of_a_queued_owner_is_busy_and_names_its_cpu() {
    let machine = start(2);
    let one = request(1, 0);
    machine.post(1, one).unwrap();
    assert_eq!(machine.post(0, one), Ok(Posted::Busy { cpu: 1 }));
    assert_eq!(one.csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
    assert_eq!(machine.post(0, one), Err(PostError::Cancelled { cpu: 1 }));
    assert_eq!(machine.post(1, one), Ok(Posted::Busy { cpu: 1 }), "it gives the run back");
    let _ = (flush(0), flush(1));
    assert_eq!(logged(), [11]);
    assert_eq!(one.csd.cancel(), Cancel::NotPending);
}

#[test]
fn p5_it_posts_itself_from_inside() {
    let machine = start(1);
    machine.post(0, request(1, 3)).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), [10; 4]);
}

#[test]
fn several_csds_of_one_struct_have_each_its_function() {
    let machine = start(1);
    let task = keep(Task { begin: CsdField::new(), end: CsdField::new(), csd: CsdField::new(), value: 7 });
    machine.post(0, (task, Begin)).unwrap();
    machine.post(0, task).unwrap();
    assert!(task.begin.is_pending() && task.csd.is_pending() && !task.end.is_pending());
    let _ = flush(0);
    assert_eq!(logged(), [107, 307, 207]);
}

#[test]
fn chains_lazy_posts_and_waits_take_them() {
    let machine = start(2);
    let all = [request(1, 0), request(2, 0), request(3, 0)];
    assert_eq!(machine.post_all(1, all).map(|chain| chain.queued), Ok(3));
    assert_eq!(rings(), [1]);
    let _ = flush(1);
    machine.post_lazy(1, all[0]).unwrap();
    assert_eq!(rings(), []);
    let _ = flush(1);
    machine.post(0, all[1]).unwrap();
    on(0, || machine.wait(all[1])).unwrap();
    assert_eq!(machine.wait(all[2]), Ok(()));
    assert_eq!(logged(), [11, 21, 31, 11, 20]);
}

#[test]
fn p8_a_refused_post_leaves_it_free() {
    let machine = start(1);
    let one = request(1, 0);
    assert_eq!(machine.post(3, one), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(machine.post(9, one), Err(PostError::NoSuchCpu));
    machine.platform().on_save.replace(Some(Box::new(|| {
        let _ = on(0, machine_offline);
    })));
    assert_eq!(machine.post(0, one), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert!(!one.csd.is_pending());
    assert_eq!(format!("{:?}", one.csd), "CsdField { pending: false }");
}

fn machine_offline() -> Result<u32, smpcall::HotplugError> {
    machine().offline()
}

#[test]
fn p11_a_panic_in_it_is_caught_and_the_csd_is_free() {
    struct Bad {
        csd: CsdField,
    }
    csd_field! { impl Bad { csd } }
    impl CsdOwner for Bad {
        type Pointer = Lent;
        fn run(this: &Self, _: Here<'_>) {
            assert!(this.csd.is_pending(), "meant");
        }
    }
    let machine = start(1);
    let bad = keep(Bad { csd: CsdField::default() });
    machine.post(0, bad).unwrap();
    let _ = flush(0);
    machine.post(0, bad).unwrap();
    let _ = flush(0);
    assert_eq!(machine.platform().caught.get(), 2);
}
