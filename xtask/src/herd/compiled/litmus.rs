//! Two paths as a litmus test: their accesses, one after another, and that each read what it was assumed to read. What a thread works
//! out in between is left out, and with it what depends on what: so the model allows more here than it does of the code.

use super::path::{Event, Isa, Path};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How a machine is written for herd7.
pub(super) trait Machine: Isa {
    /// The name of the architecture, and of its model.
    fn herd(&self) -> (&'static str, &'static str);
    /// Those that may hold values.
    fn registers(&self) -> Vec<String>;
    /// Which holds the address of the nth place; none, where an instruction names the place.
    fn address(&self, at: usize) -> Option<String>;
    /// An access's instructions; its place as the instructions of this machine name it.
    fn write(&self, event: &Event, place: &str, constants: &mut Constants) -> Result<Vec<String>>;
}

/// Which registers of a thread hold what from the start, and what they must hold at the end.
pub(super) struct Constants {
    free: Vec<String>,
    holds: Vec<(String, u64)>,
    reads: Vec<(String, u64)>,
}

impl Constants {
    pub(super) fn fresh(&mut self) -> Result<String> {
        self.free.pop().context("a path with more accesses than there are registers")
    }

    /// A register that holds this value.
    pub(super) fn holds(&mut self, value: u64) -> Result<String> {
        let register = self.fresh()?;
        self.holds.push((register.clone(), value));
        Ok(register)
    }

    /// A register in which this value must be found.
    pub(super) fn reads(&mut self, value: u64) -> Result<String> {
        let register = self.fresh()?;
        self.reads.push((register.clone(), value));
        Ok(register)
    }

    /// One that holds one value, and is given another.
    pub(super) fn holds_and_reads(&mut self, held: u64, read: u64) -> Result<String> {
        let register = self.holds(held)?;
        self.reads.push((register.clone(), read));
        Ok(register)
    }
}

/// A place that both threads use.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) bytes: u32,
    pub(super) initial: u64,
}

/// The test: whether these two paths can both come about, with these values left in memory.
pub(super) fn litmus(
    machine: &dyn Machine,
    name: &str,
    paths: [&Path; 2],
    places: &BTreeMap<u64, Place>,
    left: &[(String, u64)],
) -> Result<String> {
    let mut columns = Vec::new();
    let (mut before, mut after) = (String::new(), Vec::new());
    for place in places.values() {
        write!(before, "uint{}_t {}={}; ", 8 * place.bytes, place.name, place.initial)?;
    }
    for (at, path) in paths.iter().enumerate() {
        let mut free = machine.registers();
        free.reverse();
        let mut constants = Constants { free, holds: Vec::new(), reads: Vec::new() };
        let mut column = Vec::new();
        for event in &path.events {
            let nth = places.keys().position(|place| *place == event.place);
            let place = match (nth, nth.and_then(|nth| machine.address(nth))) {
                (Some(_), Some(register)) => register,
                (Some(_), None) => places[&event.place].name.clone(),
                (None, _) => String::new(),
            };
            column.extend(machine.write(event, &place, &mut constants)?);
        }
        for (nth, place) in places.values().enumerate() {
            if let Some(register) = machine.address(nth) {
                write!(before, "{at}:{register}={}; ", place.name)?;
            }
        }
        for (register, value) in &constants.holds {
            write!(before, "{at}:{register}={value}; ")?;
        }
        after.extend(constants.reads.iter().map(|(register, value)| format!("{at}:{register}={value}")));
        columns.push(column);
    }
    after.extend(left.iter().map(|(place, value)| format!("{place}={value}")));
    let mut text = format!("{} {name}\n{{ {before}}}\n P0 | P1 ;\n", machine.herd().0);
    for row in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
        let cell = |at: usize| columns[at].get(row).map_or("", String::as_str);
        writeln!(text, " {} | {} ;", cell(0), cell(1))?;
    }
    // Without a read nothing is assumed.
    let condition = if after.is_empty() { "true".to_owned() } else { after.join(" /\\ ") };
    writeln!(text, "exists ({condition})")?;
    Ok(text)
}
