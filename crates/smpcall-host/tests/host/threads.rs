//! What a machine's own threads are like: names, stacks, and what they do before they come online.

use crate::site::{IDLES, Site, Witness, bounded};
use smpcall_host::smpcall::Platform;
use smpcall_host::{AttachError, BuildError, Cores, Machine, allowed_cores};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;

thread_local! {
    static STARTED: Cell<Option<u32>> = const { Cell::new(None) };
}

#[test]
fn names_are_as_told() {
    let _bounded = bounded();
    let name = || thread::current().name().map(str::to_owned);
    let site = Site::new(Machine::builder().owned(2));
    assert_eq!(site.call(1, name), Ok(Some("smpcall-1".to_owned())));
    let site = Site::new(Machine::builder().owned(2).thread_name(|cpu| format!("shard {cpu}")));
    assert_eq!(site.call(0, name), Ok(Some("shard 0".to_owned())));
    let (builder, witness) = Witness::new(Machine::builder().owned(2));
    let built = builder.thread_name(|cpu| if cpu == 1 { "a\0b".to_owned() } else { String::new() }).build();
    assert!(matches!(built, Err(BuildError::Spawn(_))), "{built:?}");
    assert!(witness.is_gone());
}

#[test]
fn stacks_are_as_large_as_told() {
    /// A frame of a megabyte that the compiler cannot leave out.
    #[inline(never)]
    fn deep(depth: u32) -> u32 {
        let frame = std::hint::black_box([depth as u8; 1 << 20]);
        let below = if depth == 0 { 0 } else { deep(depth - 1) };
        below + u32::from(std::hint::black_box(&frame)[1 << 19] == depth as u8)
    }
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).stack_size(64 << 20));
    assert_eq!(site.call(0, || deep(15)), Ok(16), "16 MiB at least, where 2 are usual");
    let (builder, witness) = Witness::new(Machine::builder().owned(1));
    let built = builder.stack_size(1 << 60).build();
    assert!(matches!(built, Err(BuildError::Spawn(_))), "{built:?}");
    assert!(witness.is_gone());
}

#[test]
fn each_thread_starts_as_told_where_it_will_run_before_its_cpu_is_online() {
    let _bounded = bounded();
    let core = allowed_cores()[0];
    for idle in IDLES {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&starts);
        let other = Site::new(Machine::builder().attachable(1));
        let attaches = other.handle();
        let on_start = move |cpu| {
            STARTED.set(Some(cpu));
            let attached = attaches.attach(0).map(|_| ());
            let refused = matches!(attached, Err(AttachError::ThreadIsACpu));
            seen.lock().unwrap().push((cpu, allowed_cores(), refused));
        };
        let cores = Cores::These(vec![core]);
        let site = Site::new(Machine::builder().owned(2).cores(cores).idle(idle).on_start(on_start));
        let mut starts = std::mem::take(&mut *starts.lock().unwrap());
        starts.sort_unstable();
        assert_eq!(starts, [(0, vec![core], true), (1, vec![core], true)], "once each, before build returns");
        for cpu in 0..2 {
            assert_eq!(site.call(cpu, || STARTED.get()), Ok(Some(cpu)));
            assert_eq!(site.call(cpu, || site.platform().current_cpu()), Ok(Some(cpu)));
        }
    }
}

#[test]
fn a_start_that_panics_is_an_error_that_says_so_and_leaves_nothing_behind() {
    let _bounded = bounded();
    for idle in IDLES {
        let built = |payload: fn() -> Box<dyn std::any::Any + Send>| {
            let (builder, witness) = Witness::new(Machine::builder().owned(3).idle(idle));
            let on_start = move |cpu| {
                if cpu == 1 {
                    resume_unwind(payload());
                }
            };
            let error = builder.on_start(on_start).build().unwrap_err();
            assert!(witness.is_gone(), "its threads have ended");
            error
        };
        let text = built(|| Box::new("no shard"));
        assert!(matches!(&text, BuildError::OnStart { cpu: 1, panic } if panic == "no shard"), "{text:?}");
        assert_eq!(text.to_string(), "the start of CPU 1 panicked: no shard");
        let text = built(|| Box::new(String::from("nor this")));
        assert!(matches!(&text, BuildError::OnStart { cpu: 1, panic } if panic == "nor this"), "{text:?}");
        let other = built(|| Box::new(7));
        assert!(
            matches!(&other, BuildError::OnStart { cpu: 1, panic } if panic.contains("no text")),
            "{other:?}"
        );
    }
}
