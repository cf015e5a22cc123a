//! One walk over all that can be taken out of a program: it gives numbers, takes out, and lists.

use super::{Body, Drops, MachineSpec, Panic, Program, Step};
use crate::cut::Cut;

/// Something that can be taken out.
#[derive(Debug)]
pub struct Part<'a> {
    /// Its number.
    pub id: &'a mut u32,
    /// What it is: the name of a step's kind, or of another part.
    pub what: &'static str,
    /// Which machine it means, if it is a step.
    pub machine: Option<&'a mut usize>,
}

impl<'a> Part<'a> {
    fn new(id: &'a mut u32, what: &'static str) -> Self {
        Self { id, what, machine: None }
    }
}

type Keep<'k> = dyn FnMut(Part<'_>) -> bool + 'k;

impl Program {
    /// Takes out each part that `keep` refuses, with all that is in it.
    pub fn retain(&mut self, keep: &mut Keep<'_>) {
        self.machines.retain_mut(|machine| {
            let kept = machine.id == 1 || keep(Part::new(&mut machine.id, "second-machine"));
            machine.retain(keep);
            kept
        });
        for csd in &mut self.csds {
            csd.body.retain(keep);
        }
        self.threads.retain_mut(|thread| {
            let kept = keep(Part::new(&mut thread.id, "thread"));
            retain(&mut thread.steps, keep);
            kept
        });
    }

    /// Gives each part its number.
    pub(crate) fn number(&mut self) {
        // The first machine is there always, and has no other use for its number than to say so.
        self.machines[0].id = 1;
        let mut next = 1;
        self.retain(&mut |part| {
            next += 1;
            *part.id = next;
            true
        });
    }

    /// Returns the program without what was cut.
    #[must_use]
    pub fn without(&self, cut: &Cut) -> Self {
        let mut cut_program = self.clone();
        cut_program.retain(&mut |part| !cut.has(*part.id));
        cut_program
    }

    /// Returns the numbers of all parts.
    pub fn parts(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        self.clone().retain(&mut |part| {
            ids.push(*part.id);
            true
        });
        ids
    }
}

impl MachineSpec {
    fn retain(&mut self, keep: &mut Keep<'_>) {
        drops(&mut self.stall, "stall-handlers", keep);
        if let Some(tap) = &mut self.tap {
            if !keep(Part::new(&mut tap.acts.id, "tracers")) {
                self.tap = None;
                return;
            }
            tap.acts.retain(keep);
        }
    }
}

impl Body {
    fn retain(&mut self, keep: &mut Keep<'_>) {
        retain(&mut self.steps, keep);
        if let Some(Panic { id, payload }) = &mut self.panic {
            if keep(Part::new(id, "panics")) {
                drops(payload, "payloads", keep);
            } else {
                self.panic = None;
            }
        }
        drops(&mut self.captured, "captured", keep);
        drops(&mut self.result, "results", keep);
    }
}

impl Drops {
    fn retain(&mut self, keep: &mut Keep<'_>) {
        retain(&mut self.steps, keep);
        if let Some(id) = &mut self.panic
            && !keep(Part::new(id, "panics"))
        {
            self.panic = None;
        }
    }
}

fn drops(place: &mut Option<Drops>, what: &'static str, keep: &mut Keep<'_>) {
    if let Some(there) = place {
        if keep(Part::new(&mut there.id, what)) {
            there.retain(keep);
        } else {
            *place = None;
        }
    }
}

fn retain(steps: &mut Vec<Step>, keep: &mut Keep<'_>) {
    steps.retain_mut(|step| {
        let kept = keep(Part { id: &mut step.id, what: step.kind.name(), machine: Some(&mut step.machine) });
        if kept {
            step.body.retain(keep);
            step.aside.retain(keep);
        }
        kept
    });
}
