//! Programs with a planted defect, and their sound twins: a sanitizer must report the one and be silent about the
//! other, built with the same flags as the tests.

use super::{Sanitizer, TRIPLE, Tool};
use anyhow::{Result, bail};
use std::fs;

/// Two threads write one word; run with an argument, an atomic one and under a lock.
const RACE: &str = r#"
use std::sync::{Mutex, atomic::{AtomicUsize, Ordering}};
static mut PLAIN: usize = 0;
static ATOMIC: AtomicUsize = AtomicUsize::new(0);
static LOCKED: Mutex<usize> = Mutex::new(0);
fn main() {
    let sound = std::env::args().count() > 1;
    let work = move || for _ in 0..1000 {
        if sound {
            // Relaxed: a count; publishes nothing, and the join orders what comes after.
            ATOMIC.fetch_add(1, Ordering::Relaxed);
            *LOCKED.lock().unwrap() += 1;
        } else {
            unsafe { PLAIN = std::hint::black_box(PLAIN + 1) };
        }
    };
    let other = std::thread::spawn(work);
    work();
    other.join().unwrap();
}
"#;

/// A box is read after it was freed; run with an argument, before.
const USE_AFTER_FREE: &str = r#"
fn main() {
    let sound = std::env::args().count() > 1;
    let pointer = Box::into_raw(Box::new(7_u64));
    if !sound {
        drop(unsafe { Box::from_raw(pointer) });
    }
    println!("{}", unsafe { std::ptr::read_volatile(pointer) });
    if sound {
        drop(unsafe { Box::from_raw(pointer) });
    }
}
"#;

const MANIFEST: &str =
    "[package]\nname = \"proof\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";

/// Builds and runs both twins; an error unless exactly the defect is reported.
pub(super) fn demand_that_it_bites(tool: &Tool) -> Result<()> {
    let (source, report) = match tool.sanitizer {
        Sanitizer::Asan => (USE_AFTER_FREE, "AddressSanitizer: heap-use-after-free"),
        Sanitizer::Tsan => (RACE, "ThreadSanitizer: data race"),
    };
    let folder = tool.target().join("proof");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    fs::write(folder.join("src/main.rs"), source)?;
    tool.cargo("build").dir(&folder).run()?;

    let program = tool.target().join(TRIPLE).join("debug/proof");
    let run = |args| crate::sh::Cmd::new(&program, args).untied().capture();
    let planted = run("")?;
    if planted.ok || !planted.stderr.contains(report) {
        bail!("the sanitizer did not report the defect that we planted:\n{}", planted.stderr);
    }
    let sound = run("sound")?;
    if !sound.ok {
        bail!("the sanitizer reports a program without a defect:\n{}", sound.stderr);
    }
    println!("{:?} reports the planted defect and is silent about the sound twin", tool.sanitizer);
    Ok(())
}
