//! What the child of a fork finds: no threads, and machines that say so.

use crate::site::{Count, IDLES, Witness, beside, bounded, counted, eventually};
use nix::libc;
use smpcall_host::smpcall::{CallError, Coalesced, DetachedError, PostError, To};
use smpcall_host::{AttachError, Counters, Machine, Signal};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const OFFLINE: PostError = PostError::Offline { coalesced: Coalesced::No };

/// Runs `f` in a child, and says what became of it: 0, if `f` returned.
fn in_a_child(f: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `f`, which starts no threads and prints only if it fails, and ends; glibc's allocator may be used.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: a guard against a hang: it ends the child by a signal. Then it ends, without the destructors of its parent.
            unsafe {
                libc::alarm(60);
                let failed = catch_unwind(AssertUnwindSafe(f)).is_err();
                libc::_exit(i32::from(failed))
            }
        }
        child => {
            assert!(child > 0, "{}", std::io::Error::last_os_error());
            let mut status = 0;
            // SAFETY: the status is ours.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(waited, child);
            status
        }
    }
}

/// Everything is refused, and nothing hangs.
fn refuses(machine: &Machine) {
    let csd = counted(|| ());
    for cpu in 0..machine.cpus_len() {
        assert_eq!(machine.post(cpu, &csd), Err(OFFLINE));
        assert_eq!(machine.call(cpu, || ()), Err(CallError::Offline));
        assert_eq!(machine.call_blocking(cpu, || ()), Err(CallError::Offline));
        assert_eq!(machine.post_detached(cpu, || ()), Err(DetachedError::Offline));
        assert_eq!(machine.post_lazy(cpu, &csd), Err(OFFLINE));
    }
    machine.call_many(To::All, || panic!("nobody runs it")).unwrap();
    assert!(machine.is_shut_down());
    assert_eq!(machine.shutdown(), Ok(()));
}

#[test]
fn in_the_child_of_a_fork_what_is_published_stays_its_parents() {
    let _bounded = bounded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let machine = Machine::builder().owned(1).trace(Counters::new()).build().unwrap();
    let mut published = Some(machine.publish(&path).unwrap());
    let child = in_a_child(|| drop(published.take()));
    assert_eq!(child, 0);
    let mut line = String::new();
    UnixStream::connect(&path).unwrap().read_to_string(&mut line).unwrap();
    assert!(line.ends_with("}\n"), "{line}");
    drop(published);
    assert!(!path.exists());
}

#[test]
fn p8_in_the_child_of_a_fork_everything_is_refused() {
    let _bounded = bounded();
    for idle in IDLES {
        let (builder, witness) = Witness::new(Machine::builder().owned(2).attachable(1).idle(idle));
        let mut machine = Some(builder.build().unwrap());
        let child = in_a_child(|| {
            let machine = machine.take().unwrap();
            refuses(&machine);
            assert!(matches!(machine.attach(2), Err(AttachError::ShutDown)));
            drop(machine);
        });
        assert_eq!(child, 0);
        // The parent has not noticed.
        let machine = machine.unwrap();
        assert_eq!((machine.call(1, || 3), machine.is_shut_down()), (Ok(3), false));
        drop(machine.attach(2).unwrap());
        drop(machine);
        assert!(witness.is_gone());
    }
}

#[test]
fn p8_a_cpu_that_forks_is_none_in_the_child() {
    let _bounded = bounded();
    let machine = Machine::builder().owned(1).attachable(1).build().unwrap();
    let mut here = Some(machine.attach(1).unwrap());
    let child = in_a_child(|| {
        refuses(&machine);
        let mut here = here.take().unwrap();
        assert_eq!(
            (here.park(None), here.poll(Default::default())),
            (0, smpcall_host::smpcall::Flushed::All(0))
        );
        drop(here);
    });
    assert_eq!(child, 0);
    let csd = counted(|| ());
    machine.post(1, &csd).unwrap();
    assert_eq!(here.unwrap().park(None), 1);
    // One of its own CPUs' threads, which may wait for nothing in the parent.
    assert_eq!(machine.call_blocking(0, || in_a_child(|| refuses(&machine))), Ok(0));
    assert_eq!(machine.call(0, || 4), Ok(4));
}

#[test]
fn a_machine_that_has_ended_is_no_matter_to_a_fork() {
    let _bounded = bounded();
    drop(Machine::builder().owned(1).build().unwrap());
    let machine = Machine::builder().owned(1).build().unwrap();
    machine.shutdown().unwrap();
    assert_eq!(in_a_child(|| refuses(&machine)), 0);
}

#[test]
fn a_thread_that_a_signal_interrupts_is_interrupted_in_the_parent_alone() {
    let _bounded = bounded();
    let machine = Machine::builder().attachable(1).build().unwrap();
    let number = Signal::real_time(3).unwrap();
    // SAFETY: what is posted to it counts.
    let mut here = Some(unsafe { machine.attach_interrupted(0, number) }.unwrap());
    let runs = Arc::new(Count::new());
    let counts = Arc::clone(&runs);
    let csd = counted(move || _ = counts.up());
    let child = in_a_child(|| {
        refuses(&machine);
        // SAFETY: it has a handler, which finds nothing to do.
        assert_eq!(unsafe { libc::raise(number) }, 0);
        drop(here.take());
        assert_eq!(runs.get(), 0);
    });
    assert_eq!(child, 0);
    beside(|| _ = machine.post(0, &csd).unwrap(), || eventually(|| runs.get() == 1));
    drop(here);
}
