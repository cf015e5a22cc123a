// For the examples in the documents: a machine of one CPU, which is the thread that runs the example.

use std::pin::Pin;

/// Makes a port of `$port`: nothing rings, since the one CPU flushes by hand.
macro_rules! one_cpu {
    ($port:ty) => {
        // SAFETY: 1. One thread uses it. 2. Nothing interrupts that. 3. The example flushes after each post. 4. Nothing unwinds.
        // 5. Nobody else is there to be waited for.
        unsafe impl ::smpcall::Platform for $port {
            type IrqState = ();
            ::smpcall::no_unwinding!();

            fn current_cpu(&self) -> Option<u32> {
                Some(0)
            }

            fn can_wait(&self) -> bool {
                true
            }

            fn ring(&self, _cpu: u32) -> Result<(), ::smpcall::RingError> {
                Ok(())
            }

            fn irq_save(&self) {}
            fn irq_restore(&self, (): ()) {}
            fn relax(&self) {}

            fn now_ns(&self) -> u64 {
                1_000
            }
        }
    };
}

#[derive(Debug)]
pub struct One;
one_cpu!(One);
smpcall::simple_port!(One);

#[allow(dead_code, reason = "some need the port only")]
pub fn machine<P: smpcall::Platform>(port: P) -> Pin<Box<smpcall::Machine<P, [smpcall::PerCpu; 1]>>> {
    Box::pin(smpcall::Machine::new(port, [smpcall::PerCpu::new()]))
}
