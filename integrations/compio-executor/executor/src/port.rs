//! All that touches smpcall: the executor's CPU, and the csd of a task.

use crate::ready::Ready;
use crate::task::Task;
use compio_send_wrapper::SendWrapper;
use smpcall::{Budget, Cpu, CsdOwner, Here, Machine, PerCpu, Platform, RingError, csd_field};
use std::any::Any;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::Waker;
use std::time::Instant;

/// The executor's CPU, of a machine that has no other.
const CPU: u32 = 0;

/// How many wake-ups a tick takes off the queue before it polls tasks. Each is a few writes.
const WAKES_MAX: Budget = Budget::calls(NonZeroU32::new(4096).unwrap());

/// The port: a CPU that is a thread, and whose doorbell is a waker.
pub(crate) struct Port {
    doorbell: Option<Waker>,
    /// The thread's own. Left alone, not dropped, since whoever drops the last waker may be any thread; the executor's drop has
    /// emptied it.
    ready: ManuallyDrop<SendWrapper<Ready>>,
}

// SAFETY: 1. `ready` knows the one thread that is CPU 0 by an id that is never used again. 2. There are no interrupts, only
// that thread flushes, and it never posts (its wakes go to `ready`): so nothing of its own is under way when it does. 3. The
// doorbell's owner ticks after each ring, as `ExecutorConfig::waker` asks; a tick begins and ends with a read-modify-write of the
// queue's head, so that it sees the push of whoever rang before, also if the waker orders nothing. 4. `catch_unwind`. 5. Nobody
// parks. 6. A waker's panic is caught in `ring`; nothing else here calls code of a user's.
unsafe impl Platform for Port {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    fn current_cpu(&self) -> Option<u32> {
        self.ready.valid().then_some(CPU)
    }

    fn can_wait(&self) -> bool {
        true
    }

    fn ring(&self, _cpu: u32) -> Result<(), RingError> {
        let Some(doorbell) = &self.doorbell else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| doorbell.wake_by_ref())).map_err(|panic| {
            // Its own drop may panic in turn.
            std::mem::forget(panic);
            RingError
        })
    }

    fn irq_save(&self) {}

    fn irq_restore(&self, (): ()) {}

    fn relax(&self) {
        std::hint::spin_loop();
    }

    fn now_ns(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_nanos() as u64
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        catch_unwind(AssertUnwindSafe(f))
    }

    fn resume(panic: Self::Panic) -> ! {
        resume_unwind(panic)
    }
}

smpcall::simple_port!(Port);

/// An executor's machine. Whoever has a task has one, so that a task can be woken when the executor is gone.
#[derive(Clone)]
pub(crate) struct Home(Pin<Arc<Machine<Port, [PerCpu; 1]>>>);

impl Home {
    /// A machine whose CPU is the caller's thread.
    pub(crate) fn new(doorbell: Option<Waker>, room: usize) -> Self {
        let ready = ManuallyDrop::new(SendWrapper::new(Ready::new(room)));
        let home = Self(Arc::pin(Machine::new(Port { doorbell, ready }, [PerCpu::new()])));
        // The handle is asked for again at each use: tasks have a machine, too, and no thread but this one gets it.
        let _ = home.0.as_ref().online().expect("a new machine's CPU is offline");
        home
    }

    /// What is the thread's own, if the caller is that thread.
    #[inline]
    pub(crate) fn ready(&self) -> Option<&Ready> {
        self.0.platform().ready.get()
    }

    /// Schedules a task from any thread. Queued: its csd runs at the next tick. Busy: that is so already, and the poll to come
    /// sees all that the caller wrote. Refused: the executor is gone, and the task with it.
    #[inline]
    pub(crate) fn post<F: Future + 'static>(&self, task: &Arc<Task<F>>) {
        let _ = self.0.post(CPU, task);
    }

    /// Wakes who waits for the executor's thread.
    pub(crate) fn ring(&self) {
        if let Some(doorbell) = &self.0.platform().doorbell {
            doorbell.wake_by_ref();
        }
    }

    fn cpu(&self) -> Cpu<'_, Port, [PerCpu; 1]> {
        self.0.as_ref().this_cpu().expect("the executor's own thread, outside of a flush")
    }

    /// Takes the wake-ups of other threads. From here on nobody rings.
    pub(crate) fn collect(&self) {
        let mut cpu = self.cpu();
        cpu.poll_begin();
        let _ = cpu.flush(WAKES_MAX);
    }

    /// Rests: the next wake-up of another thread rings. `false` if one came before.
    pub(crate) fn rest(&self) -> bool {
        // The sleep is the driver's, and ends at the next tick.
        self.cpu().begin_sleep().map(|guard| _ = guard.commit()).is_ok()
    }

    /// Takes no further wake-ups.
    pub(crate) fn close(&self) {
        let _ = self.cpu().offline().map_err(|(_, why)| why).expect("no flush is below");
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Home").field(&(&raw const *self.0)).finish()
    }
}

csd_field! { impl{F: Future + 'static} Task<F> { csd } }

impl<F: Future + 'static> CsdOwner for Task<F> {
    type Pointer = Arc<Self>;

    /// At home, in a flush: the task is ready.
    fn run(this: Arc<Self>, _: Here<'_>) {
        this.schedule();
    }
}
