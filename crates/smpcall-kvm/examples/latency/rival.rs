//! The loop that signals until it is answered.

use crate::measure::Kicked;
use crate::vm::Vm;
use kvm_ioctls::VcpuFd;
use nix::libc;
use smpcall_host::{Signal, pin_this_thread};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a vCPU's thread and who kicks it share. As in the original, all of it is `SeqCst`.
struct Shared {
    kicked: AtomicBool,
    interrupted: AtomicBool,
    /// When it was seen to be out of the guest, in ns since `began`.
    out_at: AtomicU64,
    stop: AtomicBool,
    began: Instant,
}

pub(crate) struct Rival {
    shared: &'static Shared,
    vcpu: Option<JoinHandle<()>>,
    thread: libc::pthread_t,
    pub(crate) sent: u64,
    pub(crate) given_up: u64,
    _vm: Vm,
}

extern "C" fn on_signal(_: i32) {}

fn signal() -> i32 {
    Signal::real_time(1).expect("there are more")
}

impl Rival {
    pub(crate) fn start(vm: Vm, vcpu: VcpuFd, core: Option<usize>) -> Self {
        // SAFETY: it does nothing.
        unsafe { smpcall_host::handler::install(signal(), on_signal) }.expect("nobody has it");
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            kicked: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            out_at: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            began: Instant::now(),
        }));
        let (tell, told) = std::sync::mpsc::channel();
        let vcpu = thread::spawn(move || {
            if let Some(core) = core {
                pin_this_thread(core).expect("it is ours");
            }
            // SAFETY: asks for the calling thread's own.
            tell.send(unsafe { libc::pthread_self() }).expect("it waits");
            run(shared, vcpu);
        });
        let thread = told.recv().expect("it tells");
        Self { shared, vcpu: Some(vcpu), thread, sent: 0, given_up: 0, _vm: vm }
    }

    fn signal(&mut self) {
        self.sent += 1;
        // SAFETY: the thread is there until it was joined.
        assert_eq!(unsafe { libc::pthread_kill(self.thread, signal()) }, 0);
    }

    /// Kicks, and waits for the answer; then the vCPU goes on.
    pub(crate) fn kick(&mut self) -> Kicked {
        let began = Instant::now();
        // SeqCst: as the original; the flag against the answer.
        self.shared.kicked.store(true, Ordering::SeqCst);
        self.signal();
        let mut looks = 0;
        // SeqCst: as above.
        while !self.shared.interrupted.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
            looks += 1;
            if looks % 1_000 == 0 {
                // There it ends. Here it is counted, and goes on.
                self.given_up += 1;
            }
            if looks % 10 == 0 {
                self.signal();
            }
        }
        let known = began.elapsed();
        // SeqCst: as above.
        let out = self.shared.began + Duration::from_nanos(self.shared.out_at.load(Ordering::SeqCst));
        // SeqCst: as above.
        self.shared.kicked.store(false, Ordering::SeqCst);
        if let Some(vcpu) = &self.vcpu {
            vcpu.thread().unpark();
        }
        // SeqCst: as above. It is on its way to the guest.
        while self.shared.interrupted.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        Kicked { out: out.saturating_duration_since(began), known }
    }
}

fn run(shared: &Shared, mut vcpu: VcpuFd) {
    loop {
        // SeqCst: as the original.
        if shared.kicked.load(Ordering::SeqCst) {
            let now = shared.began.elapsed().as_nanos() as u64;
            // SeqCst: as above.
            shared.out_at.store(now, Ordering::SeqCst);
            // SeqCst: as above.
            shared.interrupted.store(true, Ordering::SeqCst);
            // SeqCst: as above.
            while shared.kicked.load(Ordering::SeqCst) {
                thread::park();
            }
            // SeqCst: as above.
            shared.interrupted.store(false, Ordering::SeqCst);
        }
        // SeqCst: as above.
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        match vcpu.run() {
            Err(error) if error.errno() == libc::EINTR => {}
            other => panic!("it leaves: {other:?}"),
        }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // SeqCst: as above.
        self.shared.stop.store(true, Ordering::SeqCst);
        self.kick();
        if let Some(vcpu) = self.vcpu.take() {
            vcpu.join().expect("it ends");
        }
    }
}
