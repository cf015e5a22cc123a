//! Counters that other processes may read: what they are sent, whose socket it is, and how it ends.

use crate::site::{bounded, eventually};
use smpcall_host::{Counters, Latencies, Machine};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

fn read(path: &Path) -> String {
    let mut line = String::new();
    UnixStream::connect(path).expect("somebody listens").read_to_string(&mut line).expect("it is text");
    line
}

#[test]
fn who_connects_is_sent_what_was_counted_and_the_socket_goes_with_its_publisher() {
    let _bounded = bounded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let machine = Machine::builder().owned(2).trace(Latencies::with_latencies()).build().unwrap();
    let published = machine.publish(&path).unwrap();
    assert_eq!(published.path(), path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = read(&path);
    assert!(before.starts_with(r#"{"schema":"smpcall.counters/1","#), "{before}");
    assert!(before.contains(r#""stamps":true"#) && before.ends_with("}\n"), "{before}");
    (0..5).for_each(|_| machine.call(1, || ()).unwrap());
    // The target may be off its core between its answer and the last of its counts.
    eventually(|| machine.tracer().total().ran == 5);
    let after = read(&path);
    // This thread is no CPU.
    assert!(after.contains(r#""others":{"queued":5,"#), "{after}");
    assert!(after.contains(r#""ran":5,"#) && after.contains(r#""cpu":1,"online":true"#), "{after}");
    drop(published);
    assert!(!path.exists());
}

#[test]
fn what_runs_is_named_by_its_address() {
    let _bounded = bounded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let machine = Machine::builder().owned(1).trace(Counters::new()).build().unwrap();
    let _published = machine.publish(&path).unwrap();
    // From inside of a function it is sure to run.
    let line = machine.call(0, || read(&path)).unwrap();
    assert!(line.contains(r#""stamps":false"#) && !line.contains(r#""running":null"#), "{line}");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_nothing_else_is() {
    let _bounded = bounded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let machine = Machine::builder().owned(1).trace(Counters::new()).build().unwrap();
    let taken = |path: &Path| machine.publish(path).unwrap_err().kind();
    let other = UnixListener::bind(&path).unwrap();
    assert_eq!(taken(&path), ErrorKind::AddrInUse, "somebody listens there");
    drop(other);
    assert!(path.exists(), "nobody does, but it is still there");
    let published = machine.publish(&path).unwrap();
    assert!(read(&path).ends_with('\n'));
    // Somebody else's by now.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    drop(published);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    assert_eq!(taken(&path), ErrorKind::AddrInUse);
    assert_eq!(taken(&folder.path().join("no/such/folder")), ErrorKind::NotFound);
}

#[test]
fn a_machine_that_ends_first_is_not_held() {
    let _bounded = bounded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let machine = Machine::builder().owned(1).trace(Counters::new()).build().unwrap();
    let published = machine.publish(&path).unwrap();
    drop(machine);
    // Its threads may be about to let go of it.
    eventually(|| {
        let mut line = String::new();
        // Refused: the thread has ended. Nothing: it ends now.
        UnixStream::connect(&path)
            .map_or(Ok(0), |mut stream| stream.read_to_string(&mut line))
            .is_ok_and(|len| len == 0)
    });
    drop(published);
    assert!(!path.exists());
}
