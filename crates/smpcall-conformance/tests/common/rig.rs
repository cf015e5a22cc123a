//! The suite on a machine of threads, sound or with one thing broken.

use super::faulty::{self, DropPage, Fault, Faulty};
use super::port::Threads;
use super::signal;
use smpcall::{Broadcast, Budget, Counts, Machine, ManyError, NotInUser, PerCpu, To};
use smpcall_conformance::{Lines, Rig, Suite, Tlb, Woken, memory_bytes};
use std::mem::MaybeUninit;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// The rig of such a machine. `HANDLER`: the suite is told that the doorbell's handler flushes.
struct ThreadRig<const HANDLER: bool> {
    smp: &'static Machine<Faulty, &'static mut [PerCpu]>,
    setup: Setup,
}

/// How a run is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) cpus: u32,
    pub(crate) rounds: u32,
    pub(crate) patience: Duration,
    pub(crate) fault: Fault,
    /// The doorbell is a signal, and its handler flushes.
    pub(crate) interrupts: bool,
    pub(crate) selects: fn(&str) -> bool,
}

impl<const HANDLER: bool> Rig for ThreadRig<HANDLER> {
    type Platform = Faulty;
    type Storage = &'static mut [PerCpu];

    const HANDLER_FLUSHES: bool = HANDLER;

    fn smp(&self) -> &'static Machine<Self::Platform, Self::Storage> {
        self.smp
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        let bytes = match self.setup.fault {
            Fault::TooLittleMemory => 1024,
            _ => memory_bytes(self.setup.cpus),
        };
        vec![MaybeUninit::uninit(); bytes].leak()
    }

    fn rounds(&self) -> u32 {
        self.setup.rounds
    }

    fn patience_ns(&self) -> u64 {
        self.setup.patience.as_nanos() as u64
    }

    fn sleep(&self, limit_ns: u64) -> Woken {
        let limit = Duration::from_nanos(limit_ns);
        if self.setup.interrupts {
            signal::nap(limit);
            return Woken::Unknown;
        }
        self.smp.platform().port.sleep(limit)
    }

    fn rings(&self) -> Option<u64> {
        let rings = self.smp.platform().port.rings.load(Ordering::Relaxed);
        Some(if self.setup.fault == Fault::CountsWrong { rings / 2 } else { rings })
    }

    fn counts(&self) -> Option<Counts> {
        let mut counted = self.smp.platform().port.stats.total();
        if self.setup.fault == Fault::ForgetsBusies {
            counted.busy /= 2;
        }
        Some(counted)
    }

    fn caught(&self) -> Option<u64> {
        Some(self.smp.platform().port.caught.load(Ordering::Relaxed))
    }

    fn unwind(&self) -> Option<fn() -> !> {
        // To panic allocates, which a signal's handler must not.
        if self.setup.interrupts { None } else { Some(|| resume_unwind(Box::new("meant"))) }
    }

    fn in_user(&self, program: &mut dyn FnMut()) -> Result<(), NotInUser> {
        if self.setup.fault != Fault::NeverSaysUser {
            self.smp.enter_user()?;
        }
        program();
        if self.setup.fault != Fault::SkipsCatchUp {
            self.smp.enter_kernel();
        }
        Ok(())
    }

    fn tlb(&self) -> Option<&'static dyn Tlb> {
        Some(self.smp.platform().tlb)
    }

    fn shoot_down(&self, to: To<'_>) -> Option<Result<Broadcast, ManyError>> {
        Some(self.smp.broadcast(to, &DropPage))
    }

    fn interrupt(&self, f: &(dyn Fn() + Sync)) -> bool {
        if self.setup.fault != Fault::LosesInterrupts {
            signal::raise(&|| {
                signal::irq_off();
                f();
                signal::irq_on();
            });
        }
        true
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        match self.setup.fault {
            Fault::LosesNmis => {}
            Fault::RepeatsNmis => signal::raise(&|| (0..2).for_each(|_| f())),
            _ => signal::raise(f),
        }
        true
    }

    fn outside(&self, f: &'static (dyn Fn() + Sync)) -> bool {
        thread::spawn(f);
        true
    }

    fn selects(&self, name: &str) -> bool {
        (self.setup.selects)(name)
    }
}

fn run_as<const HANDLER: bool>(setup: Setup) -> String {
    let storage = (0..setup.cpus).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
    let port = Faulty::new(Threads::new(setup.cpus), setup.fault);
    let smp: &'static Machine<_, _> =
        Box::leak(Box::new(Machine::with_storage(port, storage).expect("1 to 8192 CPUs")));
    let suite: &'static _ = Box::leak(Box::new(Suite::new(ThreadRig::<HANDLER> { smp, setup })));
    let comes = |cpu: &u32| *cpu != 1 || setup.fault != Fault::OneStaysAway;
    let threads: Vec<_> = (0..setup.cpus)
        .filter(comes)
        .map(|cpu| {
            thread::spawn(move || {
                let port = &suite.rig().smp.platform().port;
                port.sit_down(cpu);
                faulty::breaks_catch(setup.fault);
                if setup.interrupts {
                    let flush: &'static _ =
                        Box::leak(Box::new(|| _ = suite.rig().smp.flush(Budget::DEFAULT)));
                    let _ = port.bell(cpu).target.set(signal::Target::here(flush));
                }
                let mut log = Lines(String::new());
                let _ = suite.run(&mut log);
                log.0
            })
        })
        .collect();
    // What a port with doorbells that fail does when there is room again.
    while matches!(setup.fault, Fault::FailsEvery(2..))
        && !threads.iter().all(thread::JoinHandle::is_finished)
    {
        smp.ring_owed();
        thread::sleep(Duration::from_millis(1));
    }
    let logs = threads.into_iter().map(|thread| match thread.join() {
        Ok(log) => log,
        // Of the others; CPU 0 is still there, and says so.
        Err(_) if setup.fault == Fault::CatchUnwinds => String::new(),
        Err(_) => panic!("the suite does not panic"),
    });
    logs.collect::<Vec<_>>().swap_remove(0)
}

/// Runs the suite on a machine of threads, and returns CPU 0's log.
pub(crate) fn run(setup: Setup) -> String {
    match setup.fault {
        _ if setup.interrupts => run_as::<true>(setup),
        Fault::NobodyFlushes => run_as::<true>(setup),
        _ => run_as::<false>(setup),
    }
}
