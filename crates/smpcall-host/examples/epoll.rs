//! A thread that sleeps in epoll, serves a socket, and is a CPU: calls wake it by its eventfd, with no time-out.
//!
//! `cargo run -p smpcall-host --example epoll`

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use smpcall_host::smpcall::Budget;
use smpcall_host::{EventFd, Machine};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

/// What epoll says is ready.
const DOORBELL: u64 = 0;
const SOCKET: u64 = 1;

/// The loop: its calls, and one socket, of which it answers each byte, until the machine is shut down. Returns how many bytes it
/// answered.
fn serve(machine: &Machine, mut socket: UnixStream) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let mut here = machine.attach_with(0, EventFd::new()?)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&here, EpollEvent::new(EpollFlags::EPOLLIN, DOORBELL))?;
    epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, SOCKET))?;
    let mut answered = 0;
    while !machine.is_shut_down() {
        let mut events = [EpollEvent::empty(); 2];
        let ready = if let Ok(guard) = here.begin_sleep() {
            // From here on the next post writes the eventfd; before, none did.
            let asleep = guard.commit();
            let ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
            let _ = asleep.woken(Budget::DEFAULT);
            ready
        } else {
            // There is work: the sockets are looked at all the same, without sleeping.
            let _ = here.poll(Budget::DEFAULT);
            epoll.wait(&mut events, EpollTimeout::ZERO)?
        };
        for event in &events[..ready] {
            if event.data() == SOCKET {
                let mut byte = [0];
                socket.read_exact(&mut byte)?;
                socket.write_all(&byte)?;
                answered += 1;
            }
        }
    }
    Ok(answered)
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let machine = Machine::builder().attachable(1).build()?;
    let (mut client, server) = UnixStream::pair()?;
    thread::scope(|scope| {
        let serving = scope.spawn(|| serve(&machine, server));
        while !machine.is_online_racy(0) {
            thread::yield_now();
        }
        for round in 0..1_000 {
            assert_eq!(machine.call(0, || round + 1), Ok(round + 1));
            let (sent, mut got) = ([round as u8], [0]);
            client.write_all(&sent)?;
            client.read_exact(&mut got)?;
            assert_eq!(got, sent);
        }
        machine.shutdown()?; // wakes the loop, which ends
        assert_eq!(serving.join().expect("it returns its errors")?, 1_000);
        println!("1,000 calls and 1,000 bytes, {} wake-ups", machine.counts().wakes);
        Ok(())
    })
}
