//! A thread that sleeps in an io_uring, watches a socket by it, and is a CPU: a call is a completion among the others.
//!
//! `cargo run -p smpcall-host --example io_uring` (where the kernel has none, or has it switched off, it says so, and ends)

use io_uring::{IoUring, opcode, types};
use smpcall_host::smpcall::Budget;
use smpcall_host::{Machine, MsgRing};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// The `user_data` of completions.
const DOORBELL: u64 = 0;
const SOCKET: u64 = 1;

static BYTES: AtomicU32 = AtomicU32::new(0);

/// The loop: its calls, and a socket, whose bytes it counts, until the machine is shut down.
fn serve(machine: &Machine, ring: &mut IoUring, bell: MsgRing, mut socket: UnixStream) -> io::Result<()> {
    let mut here = machine.attach_with(0, bell).map_err(io::Error::other)?;
    let watch = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), pollin()).build().user_data(SOCKET);
    let mut is_watched = false;
    while !machine.is_shut_down() {
        if !is_watched {
            // SAFETY: it has no buffer; the socket is closed after the loop.
            unsafe { ring.submission().push(&watch) }.map_err(io::Error::other)?;
            is_watched = true;
        }
        if let Ok(guard) = here.begin_sleep() {
            // From here on the next post sends a completion; before, none did. What is to be submitted goes with the wait.
            let asleep = guard.commit();
            ring.submit_and_wait(1)?;
            let _ = asleep.woken(Budget::DEFAULT);
        } else {
            let _ = here.poll(Budget::DEFAULT);
            ring.submit()?;
        }
        for entry in ring.completion() {
            if entry.user_data() == SOCKET {
                socket.read_exact(&mut [0])?;
                BYTES.fetch_add(1, Ordering::Release);
                is_watched = false;
            }
        }
    }
    Ok(())
}

fn pollin() -> u32 {
    u32::from(nix::poll::PollFlags::POLLIN.bits() as u16)
}

fn ring() -> io::Result<(IoUring, MsgRing)> {
    let ring = IoUring::new(8)?;
    // SAFETY: the ring is there until the doorbell has its own descriptor.
    let bell = MsgRing::new(unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }, DOORBELL)?;
    Ok((ring, bell))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut ring, bell) = match ring() {
        Ok(both) => both,
        Err(error) => {
            println!("skipped: no io_uring here, or an old one: {error}");
            return Ok(());
        }
    };
    let machine = Machine::builder().attachable(1).build()?;
    let (reader, mut writer) = UnixStream::pair()?;
    thread::scope(|scope| {
        let serving = scope.spawn(|| serve(&machine, &mut ring, bell, reader));
        while !machine.is_online_racy(0) && !serving.is_finished() {
            thread::yield_now();
        }
        for round in 0..500 {
            assert_eq!(machine.call(0, || round + 1), Ok(round + 1));
            writer.write_all(&[7])?;
        }
        while BYTES.load(Ordering::Acquire) < 500 && !serving.is_finished() {
            thread::yield_now();
        }
        machine.shutdown()?; // wakes the loop, which ends
        serving.join().expect("it returns its errors")?;
        assert_eq!(BYTES.load(Ordering::Relaxed), 500);
        println!("500 calls and 500 bytes, {} wake-ups", machine.counts().wakes);
        Ok(())
    })
}
