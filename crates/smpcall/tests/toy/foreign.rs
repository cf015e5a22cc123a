//! Csds of another language, and entries that are no csds: what is promised of a csd holds of these.

use crate::port::{OwnCpu, budget, counted_in_all, flush, log, logged, logs, machine, on, rings, start};
use smpcall::{Coalesced, Entry, EventKind, Flushed, ForeignCsd, PostError, Posted};
use std::mem::{align_of, offset_of, size_of};
use std::rc::Rc;

/// Linux's layout.
#[repr(C)]
struct Linux {
    next: usize,
    flags: u32,
    src_dst: u32,
    func: extern "C" fn(usize),
    info: usize,
}

const _: () = assert!(size_of::<Linux>() == size_of::<ForeignCsd>() && offset_of!(Linux, func) == 16);
const _: () = assert!(align_of::<ForeignCsd>() == 8 && align_of::<Entry>() == 8);

extern "C" fn logs_info(info: usize) {
    log(info as u32);
}

/// A csd as a C program makes it; it lives as long as the process.
fn linux(func: extern "C" fn(usize), info: usize) -> &'static ForeignCsd {
    let csd = Box::leak(Box::new(Linux { next: 0, flags: 0, src_dst: 0, func, info }));
    // SAFETY: the layout is asserted above, the first half is zero, and it is never freed.
    unsafe { &*std::ptr::from_ref(csd).cast::<ForeignCsd>() }
}

fn post(cpu: u32, csd: &'static ForeignCsd) -> Result<Posted, PostError> {
    // SAFETY: it is never freed or changed, and its function takes what it has.
    unsafe { machine().post_foreign(cpu, csd) }
}

fn post_or_run(cpu: u32, csd: &'static ForeignCsd) -> Result<Posted, PostError> {
    // SAFETY: as above.
    unsafe { machine().post_foreign_or_run(cpu, csd, |answer| answer) }
}

/// An entry of that kind, at an address that is no multiple of 16 but of 8, in an object of its own; and the address.
fn entry(kind: u32) -> (&'static Entry, usize) {
    let object: &'static mut [u64; 8] = Box::leak(Box::new([0; 8]));
    let at = if object.as_ptr().addr() % 16 == 8 { 0 } else { 1 };
    object[at + 1] = u64::from(kind | 0xf);
    let entry = object[at..].as_ptr().cast::<Entry>();
    // SAFETY: it has the memory, and is never freed.
    (unsafe { &*entry }, entry.addr())
}

fn push(cpu: u32, entry: &'static Entry) -> bool {
    // SAFETY: it is pushed once at a time, and is never freed.
    unsafe { machine().push_entry(cpu, entry) }
}

#[test]
fn p1_a_foreign_csd_runs_once_and_in_order_with_ours() {
    let machine = start(2);
    machine.post(1, logs(1)).unwrap();
    post(1, linux(logs_info, 2)).unwrap();
    machine.post(1, logs(3)).unwrap();
    assert_eq!(rings(), [1], "P7: for the first only");
    assert_eq!((flush(1), logged()), (Flushed::All(3), vec![1, 2, 3]));
    assert_eq!((flush(1), logged()), (Flushed::All(0), vec![]));
}

#[test]
fn p2_p3_the_second_poster_is_told_where_it_is_queued() {
    start(3);
    let csd = linux(logs_info, 7);
    assert!(!csd.is_pending());
    post(1, csd).unwrap();
    assert!(csd.is_pending());
    for cpu in [1, 2] {
        assert_eq!(post(cpu, csd), Ok(Posted::Busy { cpu: 1 }));
        assert_eq!(on(cpu, || post_or_run(cpu, csd)), Ok(Posted::Busy { cpu: 1 }));
    }
    assert_eq!((flush(2), flush(1), logged()), (Flushed::All(0), Flushed::All(1), vec![7]));
    assert_eq!((post(2, csd), flush(2), logged()), (Ok(Posted::Queued), Flushed::All(1), vec![7]));
}

#[test]
fn p5_a_foreign_csd_posts_itself_from_inside() {
    static AGAIN: std::sync::OnceLock<&'static ForeignCsd> = std::sync::OnceLock::new();
    extern "C" fn again(info: usize) {
        log(info as u32);
        if LEFT.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            // To its own CPU, and from within a call: it is queued, and does not recurse.
            assert_eq!(post_or_run(1, AGAIN.get().unwrap()), Ok(Posted::Queued));
            log(100);
        }
    }
    static LEFT: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(2);
    start(2);
    let csd = *AGAIN.get_or_init(|| linux(again, 5));
    post(1, csd).unwrap();
    assert_eq!((flush(1), logged()), (Flushed::All(3), vec![5, 100, 5, 100, 5]));
}

#[test]
fn p6_to_ones_own_cpu_it_runs_at_once_unless_something_is_queued() {
    let machine = start(1);
    let csd = linux(logs_info, 1);
    assert_eq!((on(0, || post_or_run(0, csd)), logged(), rings()), (Ok(Posted::Queued), vec![1], vec![]));
    on(0, || machine.post(0, logs(2))).unwrap();
    assert_eq!((on(0, || post_or_run(0, csd)), logged()), (Ok(Posted::Queued), vec![]));
    assert_eq!((flush(0), logged()), (Flushed::All(2), vec![2, 1]));
    // Nor what a flush left over.
    on(0, || machine.post_all(0, [logs(3), logs(4)])).unwrap();
    assert_eq!(on(0, || machine.flush(budget(1))), Flushed::More(1));
    assert_eq!((on(0, || post_or_run(0, csd)), logged()), (Ok(Posted::Queued), vec![3]));
    assert_eq!((flush(0), logged()), (Flushed::All(2), vec![4, 1]));
}

#[test]
fn p10_a_function_that_runs_at_once_is_in_call_context() {
    extern "C" fn calls(_info: usize) {
        assert_eq!(machine().call(1, || ()), Err(smpcall::CallError::WouldDeadlock));
        log(1);
    }
    start(2);
    assert_eq!((on(0, || post_or_run(0, linux(calls, 0))), logged()), (Ok(Posted::Queued), vec![1]));
}

#[test]
fn p8_a_refused_post_hears_of_those_who_relied_on_it() {
    let machine = start(2);
    let csd = linux(logs_info, 1);
    // Between the claim and the push another is told Busy, and the CPU goes.
    *machine.platform().on_event.borrow_mut() = Some(Rc::new(move |event| {
        if matches!(event.kind, EventKind::Queue { .. }) {
            assert_eq!(post(1, csd), Ok(Posted::Busy { cpu: 1 }));
            on(1, || crate::port::machine().offline()).unwrap();
        }
    }));
    assert_eq!(post(1, csd), Err(PostError::Offline { coalesced: Coalesced::Yes }));
    machine.platform().on_event.take();
    assert!(!csd.is_pending());
    assert_eq!(post(1, csd), Err(PostError::Offline { coalesced: Coalesced::No }), "and without a claim");
    assert_eq!(post(9, csd), Err(PostError::NoSuchCpu));
}

#[test]
fn an_entry_is_handed_over_in_its_turn_and_may_be_pushed_again() {
    let machine = start(2);
    let ((work, work_at), (wake, wake_at)) = (entry(0x20), entry(0x30));
    machine.post(1, logs(1)).unwrap();
    assert!(push(1, work) && push(1, wake));
    machine.post(1, logs(2)).unwrap();
    assert_eq!(rings(), [1]);
    assert_eq!((flush(1), logged()), (Flushed::All(4), vec![1, 2]));
    assert_eq!(machine.platform().taken.take(), [work_at, wake_at]);
    assert!(push(1, wake));
    assert_eq!((flush(1), machine.platform().taken.take()), (Flushed::All(1), vec![wake_at]));
    let counted = counted_in_all();
    assert_eq!((counted.queued, counted.rings), (5, 2), "P12");
}

#[test]
fn p8_an_entry_for_a_cpu_that_is_offline_is_refused() {
    let machine = start(2);
    let (work, at) = entry(0x20);
    assert!(push(1, work));
    assert_eq!(on(1, || machine.offline()), Ok(1));
    assert_eq!(machine.platform().taken.take(), [at]);
    assert!(!push(1, work));
    assert_eq!(machine.platform().taken.take(), []);
}

#[test]
fn entries_do_not_disturb_what_the_head_keeps_in_its_low_bits() {
    let machine = start(2);
    let (work, at) = entry(0x20);
    let posted = on(0, || machine.post_many(smpcall::To::Others, || log(1))).unwrap();
    assert!(push(1, work));
    machine.post(1, logs(2)).unwrap();
    assert_eq!(posted.ran, 1);
    assert_eq!((flush(1), logged()), (Flushed::All(3), vec![1, 2]));
    assert_eq!(machine.platform().taken.take(), [at]);
}
