//! A scenario, in words.

use super::{Arrival, Op, Plan, Scenario};
use crate::kinds::KINDS;
use smpcall_sim_atomics::Memory;
use std::fmt;

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", KINDS[self.kind].name)?;
        if !self.csds.is_empty() {
            write!(f, " csd {:?}", self.csds)?;
        }
        if !self.cpus.is_empty() {
            write!(f, " CPU {:?}", self.cpus)?;
        }
        if self.amount > 0 {
            write!(f, " × {}", self.amount)?;
        }
        f.write_str(if self.flag { " !" } else { "" })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} CPUs, {} callers; {:?}; {}; doorbells {}; callers {}; {}left alone 1 in {}; budget {}, posts {}; {:?}",
            self.cpus,
            self.callers,
            self.strategy,
            match self.memory {
                Memory::Tso => format!("stores drain 1 in {}", self.drain_every),
                Memory::Weak =>
                    format!("1 load in {} is old, by up to {} steps", self.old.every, self.old.steps),
            },
            if self.interrupts { "interrupt" } else { "end sleeps" },
            if self.parks { "park" } else { "spin" },
            if self.counts { "counted; " } else { "" },
            self.alone,
            self.budget,
            self.posts,
            self.manners
        )?;
        writeln!(f, "faults: {}", self.faults)?;
        for (number, plan) in self.csds.iter().enumerate().filter(|(_, plan)| **plan != Plan::default()) {
            writeln!(f, "csd {number}: {plan:?}")?;
        }
        for (thread, program) in self.programs.iter().enumerate() {
            let who = if thread < self.cpus { "CPU" } else { "thread" };
            let ops: Vec<String> = program.iter().map(Op::to_string).collect();
            writeln!(f, "{who} {thread}: {}", ops.join("; "))?;
        }
        for Arrival { step, cpu, nmi, op } in &self.arrivals {
            writeln!(f, "{} on CPU {cpu} at step {step}: {op}", if *nmi { "NMI" } else { "interrupt" })?;
        }
        Ok(())
    }
}
