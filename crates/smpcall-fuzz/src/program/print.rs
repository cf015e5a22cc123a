//! A program as a readable list of steps.

use super::{Body, Drops, Program, Step};
use crate::kinds::Uses;
use std::fmt::{Display, Formatter, Result};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, machine) in self.machines.iter().enumerate() {
            let super::MachineSpec { id, owned, attachable, idle, stall_us, .. } = machine;
            writeln!(f, "[{id}] machine {at}: {owned} owned ({idle:?}), {attachable} attachable")?;
            if let Some(stall) = &machine.stall {
                writeln!(f, "    reports after {stall_us} us, and then")?;
                drops(f, 4, "in its handlers", Some(stall))?;
            }
            if let Some(tap) = &machine.tap {
                drops(f, 4, &format!("at tracepoint {}", tap.at), Some(&tap.acts))?;
            }
        }
        for (at, csd) in self.csds.iter().enumerate() {
            writeln!(f, "csd {at} ({:?})", csd.held)?;
            body(f, 4, &csd.body)?;
        }
        for (at, thread) in self.threads.iter().enumerate() {
            let super::ThreadSpec { id, serve, leave, .. } = thread;
            writeln!(f, "[{id}] thread {at} (at its end: {serve:?}, {leave:?})")?;
            steps(f, 4, &thread.steps)?;
        }
        Ok(())
    }
}

fn steps(f: &mut Formatter<'_>, by: usize, all: &[Step]) -> Result {
    for one in all {
        writeln!(f, "{:by$}[{}] {one}", "", one.id)?;
        body(f, by + 4, &one.body)?;
        if one.aside != Body::default() {
            writeln!(f, "{:by$}    each time it is asked:", "")?;
            body(f, by + 8, &one.aside)?;
        }
    }
    Ok(())
}

fn body(f: &mut Formatter<'_>, by: usize, body: &Body) -> Result {
    steps(f, by, &body.steps)?;
    if let Some(panic) = &body.panic {
        writeln!(f, "{:by$}[{}] panics", "", panic.id)?;
        drops(f, by, "when the payload is dropped", panic.payload.as_ref())?;
    }
    drops(f, by, "when what it holds is dropped", body.captured.as_ref())?;
    drops(f, by, "when its result is dropped", body.result.as_ref())
}

fn drops(f: &mut Formatter<'_>, by: usize, when: &str, drops: Option<&Drops>) -> Result {
    let Some(drops) = drops else { return Ok(()) };
    writeln!(f, "{:by$}[{}] {when}:", "", drops.id)?;
    steps(f, by + 4, &drops.steps)?;
    if let Some(id) = drops.panic {
        writeln!(f, "{:by$}    [{id}] panics", "")?;
    }
    Ok(())
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.kind.name())?;
        for uses in self.kind.uses() {
            match uses {
                Uses::Machine => write!(f, " machine {}", self.machine)?,
                Uses::Cpu => write!(f, " cpu {}", self.cpu)?,
                Uses::Csd => write!(f, " csd {}", self.csd)?,
                Uses::Time => write!(f, " {} us", self.us)?,
                Uses::Mask => write!(f, " mask {:#b}", self.mask)?,
                Uses::To => write!(f, " to {:?}", self.to)?,
                Uses::Body | Uses::Aside => {}
            }
        }
        Ok(())
    }
}
