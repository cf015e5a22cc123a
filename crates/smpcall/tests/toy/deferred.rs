//! Deferred posts: no doorbell in user space, the next entry's catch-up runs them; in the kernel they ring like any other.

use crate::port::{OwnCpu, as_cpu, csd, flush, log, logged, logs, on, rings, start};
use smpcall::{Budget, Cancel, Coalesced, Deferred, Flushed, NotInUser, PostError, Posted, WaitError};
use std::time::Duration;

const BUSY: Result<Deferred, PostError> = Ok(Deferred::Busy { cpu: 1 });
const AT_ENTRY: Result<Deferred, PostError> = Ok(Deferred::AtEntry);
const SOON: Result<Deferred, PostError> = Ok(Deferred::Soon);

#[test]
fn p1_in_user_space_nobody_rings_and_the_entry_runs_it() {
    let machine = start(2);
    let (first, second) = (logs(1), logs(2));
    on(1, || machine.enter_user()).unwrap();
    assert_eq!((machine.post_deferred(1, first), machine.post_deferred(1, second)), (AT_ENTRY, AT_ENTRY));
    assert_eq!(machine.post_deferred(1, first), BUSY);
    assert_eq!((rings(), logged()), (vec![], vec![]));
    assert!(first.is_pending() && !on(1, || machine.has_work()));
    assert_eq!(on(1, || machine.enter_kernel()), 2);
    assert_eq!((rings(), logged(), first.is_pending()), (vec![], vec![1, 2], false));
    assert_eq!(on(1, || machine.enter_kernel()), 0, "once is enough");
    // And again, in the same way.
    on(1, || machine.enter_user()).unwrap();
    assert_eq!(machine.post_deferred(1, first), AT_ENTRY);
    assert_eq!((on(1, || machine.enter_kernel()), rings(), logged()), (1, vec![], vec![1]));
}

#[test]
fn p7_in_the_kernel_it_rings_once_like_any_other() {
    let machine = start(2);
    assert_eq!((machine.post_deferred(1, logs(1)), rings()), (SOON, vec![1]));
    assert_eq!((machine.post_deferred(1, logs(2)), rings()), (SOON, vec![]));
    assert!(on(1, || machine.has_work()));
    assert_eq!((flush(1), logged()), (Flushed::All(2), vec![1, 2]));
    // A flush leaves it in the kernel.
    assert_eq!((machine.post_deferred(1, logs(3)), rings(), flush(1)), (SOON, vec![1], Flushed::All(1)));
    // One that polls is not rung, and looks.
    on(1, || machine.poll_begin());
    assert_eq!((machine.post_deferred(1, logs(4)), rings()), (SOON, vec![]));
    assert!(on(1, || machine.has_work()));
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![3, 4]));
}

#[test]
fn p7_a_plain_post_rings_in_user_space_too() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    on(1, || machine.enter_user()).unwrap();
    assert_eq!((machine.post(1, logs(2)), rings()), (Ok(Posted::Queued), vec![1]), "it polls no more");
    assert_eq!(machine.post_deferred(1, logs(1)), AT_ENTRY);
    // The doorbell interrupts the program: the entry comes before the handler.
    assert_eq!((on(1, || machine.enter_kernel()), logged()), (2, vec![1, 2]), "deferred ones come first");
    assert_eq!((flush(1), rings()), (Flushed::All(0), vec![]));
}

#[test]
fn p1_before_user_space_there_is_nothing_left_to_flush() {
    let machine = start(2);
    machine.post(1, logs(1)).unwrap();
    assert_eq!(on(1, || machine.enter_user()), Err(NotInUser::Work));
    assert_eq!((flush(1), on(1, || machine.enter_user())), (Flushed::All(1), Ok(())));
    on(1, || machine.enter_kernel());
    assert_eq!(machine.post_deferred(1, logs(2)), SOON);
    assert_eq!(on(1, || machine.enter_user()), Err(NotInUser::Work));
    assert_eq!((flush(1), on(1, || machine.enter_user())), (Flushed::All(1), Ok(())));
    assert_eq!(on(1, || machine.enter_user()), Ok(()), "it is there already");
    assert_eq!((rings(), logged()), (vec![1, 1], vec![1, 2]));
}

#[test]
fn p1_lazy_ones_keep_nobody_in_the_kernel_and_run_at_the_entry() {
    let machine = start(2);
    machine.post_lazy(1, logs(1)).unwrap();
    on(1, || machine.enter_user()).unwrap();
    machine.post_lazy(1, logs(2)).unwrap();
    let csd = logs(3);
    machine.post_lazy(1, csd).unwrap();
    assert_eq!((machine.post_deferred(1, csd), machine.post_deferred(1, logs(4))), (BUSY, AT_ENTRY));
    assert_eq!((rings(), on(1, || machine.enter_kernel()), logged()), (vec![], 4, vec![1, 2, 3, 4]));
}

#[test]
fn p2_in_the_kernel_a_deferred_post_of_a_lazy_one_expedites_it() {
    let machine = start(2);
    let csd = logs(1);
    machine.post_lazy(1, csd).unwrap();
    assert_eq!((rings(), machine.post_deferred(1, csd), rings()), (vec![], BUSY, vec![1]));
    assert_eq!((machine.post_deferred(1, csd), rings()), (BUSY, vec![]), "once is enough");
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
    // Behind a lazy one it rings for both.
    machine.post_lazy(1, csd).unwrap();
    assert_eq!((machine.post_deferred(1, logs(2)), rings()), (SOON, vec![1]));
    assert_eq!((flush(1), logged()), (Flushed::All(2), vec![1, 2]));
}

#[test]
fn p2_what_was_posted_plainly_has_run_by_the_end_of_the_entry() {
    let machine = start(2);
    let csd = logs(1);
    on(1, || machine.enter_user()).unwrap();
    machine.post(1, csd).unwrap();
    assert_eq!((machine.post_deferred(1, csd), on(1, || machine.enter_kernel())), (BUSY, 1));
    assert_eq!(logged(), [1]);
}

#[test]
fn p2_whoever_is_urgent_rings_in_user_space() {
    let machine = start(2);
    let csd = logs(1);
    on(1, || machine.enter_user()).unwrap();
    machine.post_deferred(1, csd).unwrap();
    assert_eq!((machine.post(1, csd), rings()), (Ok(Posted::Busy { cpu: 1 }), vec![1]));
    assert_eq!((on(1, || machine.enter_kernel()), logged()), (1, vec![1]));
    on(1, || machine.enter_user()).unwrap();
    machine.post_deferred(1, csd).unwrap();
    let waited = as_cpu(None, || machine.wait_timeout(csd, Duration::ZERO));
    assert!(matches!(waited, Err(WaitError::TimedOut(_))));
    assert_eq!((rings(), on(1, || machine.enter_kernel()), logged()), (vec![1], 1, vec![1]));
}

#[test]
fn p1_a_deferred_one_is_cancelled() {
    let machine = start(2);
    let csd = logs(1);
    on(1, || machine.enter_user()).unwrap();
    machine.post_deferred(1, csd).unwrap();
    assert_eq!(machine.post_deferred(1, csd), BUSY);
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
    assert_eq!(
        (machine.post_deferred(1, csd), on(1, || machine.enter_kernel()), logged()),
        (BUSY, 1, vec![1])
    );
}

#[test]
fn p6_the_order_holds_across_the_entry() {
    let machine = start(2);
    // In the kernel, in user space, and in the kernel again.
    assert_eq!(machine.post_deferred(1, logs(1)), SOON);
    let _ = flush(1);
    on(1, || machine.enter_user()).unwrap();
    machine.post_deferred(1, logs(2)).unwrap();
    machine.post_deferred(1, logs(3)).unwrap();
    assert_eq!(on(1, || machine.enter_kernel()), 2);
    assert_eq!(machine.post_deferred(1, logs(4)), SOON);
    let _ = flush(1);
    assert_eq!(logged(), [1, 2, 3, 4]);
}

#[test]
fn p5_posted_from_the_catch_up_it_runs_in_its_flush_and_rings_nobody() {
    let machine = start(2);
    let again = logs(2);
    let first = csd(move || {
        log(1);
        assert_eq!(crate::port::machine().post_deferred(1, again), SOON);
        assert_eq!(crate::port::machine().enter_kernel(), 0, "in call context");
        assert_eq!(crate::port::machine().enter_user(), Err(NotInUser::InCall));
    });
    on(1, || machine.enter_user()).unwrap();
    machine.post_deferred(1, first).unwrap();
    on(1, || machine.enter_kernel());
    assert_eq!((logged(), rings()), (vec![1, 2], vec![]));
    assert_eq!(on(1, || machine.enter_user()), Ok(()));
}

#[test]
fn p1_the_catch_up_has_no_budget() {
    let machine = start(2);
    on(1, || machine.enter_user()).unwrap();
    for _ in 0..1_000 {
        machine.post_deferred(1, csd(|| ())).unwrap();
    }
    assert_eq!((on(1, || machine.enter_kernel()), rings()), (1_000, vec![]));
    assert_eq!(on(1, || machine.flush(Budget::DEFAULT)), Flushed::All(0));
}

#[test]
fn p8_an_offline_cpu_refuses_it_and_one_that_goes_runs_it() {
    let machine = start(2);
    let csd = logs(1);
    on(1, || machine.enter_user()).unwrap();
    machine.post_deferred(1, csd).unwrap();
    assert_eq!((on(1, || machine.offline()), logged()), (Ok(1), vec![1]));
    assert_eq!(machine.post_deferred(1, csd), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(on(1, || (machine.enter_user(), machine.enter_kernel())), (Err(NotInUser::Offline), 0));
    assert_eq!(machine.post_deferred(9, csd), Err(PostError::NoSuchCpu));
    let nobody = as_cpu(None, || (machine.enter_user(), machine.enter_kernel()));
    assert_eq!(nobody, (Err(NotInUser::NotACpu), 0));
    // Back online, it is in the kernel.
    on(1, || machine.come_online()).unwrap();
    assert_eq!((machine.post_deferred(1, csd), rings(), flush(1)), (SOON, vec![1], Flushed::All(1)));
}
