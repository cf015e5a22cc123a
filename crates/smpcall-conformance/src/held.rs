//! How a case keeps a CPU from its queue, and lets it look again.

use crate::ctx::{Ctx, Done, Pairs};
use crate::idle::{Idle, Idled};
use crate::rig::Rig;
use crate::words::Count;
use smpcall::{Budget, Platform};

/// CPUs that do not look at their queues.
impl<R: Rig> Ctx<R> {
    /// Calls `body` with local interrupts off.
    pub(crate) fn irqs_off<T>(self, body: impl FnOnce() -> T) -> T {
        let platform = self.smp().platform();
        let state = platform.irq_save();
        let result = body();
        platform.irq_restore(state);
        result
    }

    /// Returns whether `held` calls `body` on this CPU, for [`Pairs::All`].
    pub(crate) fn is_poster(self) -> bool {
        self.cpu() & 1 == 0
    }

    /// On the first CPU of each pair calls `body` with the number of the second, which holds its queue meanwhile: it takes
    /// no interrupt and does not flush. A CPU with no neighbour is both, and calls `body` with its own interrupts off.
    #[track_caller]
    pub(crate) fn held(self, pairs: Pairs, body: impl FnOnce(u32) -> Done) -> Done {
        self.held_then(pairs, body, || Ok(()))
    }

    /// As `held`; then the second CPU of each pair calls `then`, before it looks at its queue.
    #[track_caller]
    pub(crate) fn held_then(
        self,
        pairs: Pairs,
        body: impl FnOnce(u32) -> Done,
        then: impl FnOnce() -> Done,
    ) -> Done {
        let holds = self.share_each(|_| [const { Count::new() }; 2])?;
        let me = self.cpu();
        if pairs == Pairs::First && me > 1 {
            return Ok(());
        }
        let [held, done] = &holds[(me & !1) as usize];
        if me ^ 1 >= self.cpus() {
            return self.irqs_off(|| body(me).and_then(|()| then()));
        }
        if me & 1 == 1 {
            return self.irqs_off(|| {
                held.set(1);
                self.spin(|| done.get() == 1, "the poster of the pair did not finish")?;
                then()
            });
        }
        self.until(|| held.get() == 1, "the other CPU of the pair did not come")?;
        let outcome = body(me ^ 1);
        done.set(1);
        outcome
    }

    /// Looks at the queue once, as an idle loop would.
    pub(crate) fn idle_once(self) {
        if Idle::new(self.rig()).step(self.rig()) == Idled::DoorbellLost {
            self.doorbell_lost();
        }
    }

    /// Ends the polling that `poll_begin` began.
    #[track_caller]
    pub(crate) fn stop_polling(self) -> Done {
        let mut cpu = self.handle()?;
        let stop = || {
            let sleeps = cpu.begin_sleep().map(|guard| _ = guard.commit()).is_ok();
            if !sleeps {
                // What is left over is seen at the next look.
                let _ = cpu.flush(Budget::DEFAULT);
            }
            sleeps
        };
        self.spin(stop, "a CPU that polls has work without end")
    }
}
