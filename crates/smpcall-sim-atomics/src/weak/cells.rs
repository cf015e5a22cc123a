//! Memory that is no atomic: who has touched it last, and whether who touches it next knows of that. If not, it is a data race.

use super::{Clock, Map, WEAK};

/// Two accesses to memory that is no atomic, of which one is a write, and neither comes before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// What is there: the type's name.
    pub what: &'static str,
    /// Whether the access that is made now writes.
    pub writes: bool,
    /// Who made the other one,
    pub other: usize,
    /// and whether that was a write.
    pub other_writes: bool,
}

/// Who has touched one cell.
#[derive(Default)]
struct Touched {
    /// The last who wrote, and when.
    write: (usize, u32),
    /// Those who have read it since, and when; who knows of another's read stands for it.
    reads: Vec<(usize, u32)>,
}

#[derive(Default)]
pub(super) struct Cells {
    all: Map<Touched>,
    spare: Vec<Touched>,
}

impl Cells {
    pub(super) fn clear(&mut self) {
        self.spare.extend(self.all.drain().map(|(_, cell)| cell));
    }

    pub(super) fn forget(&mut self, at: usize) {
        if let Some(cell) = self.all.remove(&at) {
            self.spare.push(cell);
        }
    }

    fn touch(&mut self, at: usize, by: usize, writes: bool, known: &Clock) -> Option<(usize, bool)> {
        let spare = &mut self.spare;
        let cell = self.all.entry(at).or_insert_with(|| {
            let mut cell = spare.pop().unwrap_or_default();
            cell.write = (0, 0);
            cell.reads.clear();
            cell
        });
        let is_behind = |(who, when): &(usize, u32)| *when <= known[*who];
        let race = if !is_behind(&cell.write) {
            Some((cell.write.0, true))
        } else if writes {
            cell.reads.iter().find(|read| !is_behind(read)).map(|read| (read.0, false))
        } else {
            None
        };
        if writes {
            cell.write = (by, known[by]);
            cell.reads.clear();
        } else {
            cell.reads.retain(|read| !is_behind(read));
            cell.reads.push((by, known[by]));
        }
        race
    }
}

/// The current virtual CPU reads a cell, or writes it.
pub(crate) fn touch(at: usize, what: &'static str, writes: bool) -> Option<Race> {
    WEAK.with_borrow_mut(|weak| {
        let by = weak.current;
        let (other, other_writes) = weak.cells.touch(at, by, writes, &weak.known[by])?;
        Some(Race { what, writes, other, other_writes })
    })
}
