//! smpcall for virtual machine monitors: a CPU is the thread that runs a vCPU, and its doorbell is what ends `KVM_RUN`.
//!
//! A monitor stops its vCPUs to pause them, to read their registers, to inject an interrupt, to end. The ways in use lose a kick now and then (a signal that
//! comes just before the guest is entered does nothing), so they send it again every so many milliseconds until the thread has answered, and
//! give up after a second. Here a kick is a doorbell of the machine's: `immediate_exit` first, then one signal to one thread, only if
//! that is in the guest ([`Kick`]). And what is asked for is a function that runs on the vCPU's thread, out of the guest, with its
//! [`VcpuFd`](kvm_ioctls::VcpuFd) at hand.
//!
//! ```no_run
//! use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};
//! use smpcall_host::{Machine, Signal};
//! use smpcall_kvm::{Ran, Vcpu, Vcpus};
//!
//! let vm = Kvm::new()?.create_vm()?;
//! let machine = Machine::builder().attachable(1).build()?;
//! let signal = Signal::real_time(0).expect("there are some");
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         let fd = vm.create_vcpu(0).unwrap();
//!         let mut vcpu = Vcpu::attach(&machine, 0, fd, signal).map_err(|(why, _)| why).unwrap();
//!         while vcpu.run(|exit| println!("{exit:?}")).unwrap() != Ran::ShutDown {}
//!     });
//!     while !machine.is_online_racy(0) { std::thread::yield_now() }
//!     let state = machine.call_vcpu(0, |vcpu: &mut VcpuFd| vcpu.get_mp_state()).unwrap();
//!     println!("{state:?}");
//!     machine.shutdown().unwrap();
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | |
//! |---|---|
//! | [`Vcpu`] | the thread's own: attach, run, park |
//! | [`Vcpus`] | what others ask: run on a vCPU, pause, resume |
//! | [`with_guest`], [`pause_here`], [`resume_here`] | the same, inside of functions of any shape: posts, multicasts, calls that are awaited |
//! | [`Guest`] | what is run: a `VcpuFd`, or a type of the monitor's |
//!
//! **Signals.** All vCPUs of a process may share one. It is to be blocked in no vCPU's thread; attaching opens it. Where there are no more
//! than `RLIMIT_SIGPENDING` vCPUs in the guest at a time, none is refused by the kernel: each has one under way at most, and late ones
//! are few. One that is refused fails the ring ([`RingError`](smpcall_host::smpcall::RingError)): what is queued stays, and is rung for again by the next post, a waiter, or a watchdog.
//!
//! **Linux only.** Elsewhere the crate is empty.

#![cfg(target_os = "linux")]

mod calls;
#[cfg(all(doctest, target_arch = "x86_64"))]
mod doctests;
mod error;
mod exit_flag;
mod guest;
mod here;
mod kick;
mod vcpu;

pub use calls::Vcpus;
pub use error::{GuestError, RunError, VcpuAttachError, VcpuError};
pub use guest::Guest;
pub use here::{pause_here, resume_here, with_guest};
pub use kick::Kick;
pub use vcpu::{Ran, Vcpu};
