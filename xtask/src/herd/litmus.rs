//! A litmus test's file: herd's own format, with a comment in front that says what it is of, and which replacement is which mutant.
//!
//! ```text
//! C busy
//! (*
//!  P2: what races with what.
//!  never: what must not come about            (or: sometimes: …, of a control)
//!  mutant ID, ID: FIND => REPLACE             (FIND occurs once in the program)
//! *)
//! ```

use anyhow::{Context, Result, bail, ensure};

/// What the test's outcome must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    Never,
    Sometimes,
}

/// One file.
#[derive(Debug)]
pub(super) struct Litmus {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) expects: Expects,
    pub(super) mutants: Vec<Replacement>,
}

/// A weaker program, and the mutants of the sources that it stands for.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) ids: Vec<String>,
    find: String,
    replace: String,
}

impl Litmus {
    pub(super) fn parse(name: &str, text: &str) -> Result<Litmus> {
        ensure!(
            text.starts_with(&format!("C {name}\n(*\n")),
            "the first line is not `C {name}`, and a comment after it"
        );
        let (comment, program) = parts(text)?;
        let (mut expects, mut mutants) = (None, Vec::new());
        for line in comment.lines().map(str::trim) {
            if line.starts_with("never: ") {
                expects = Some(Expects::Never);
            } else if line.starts_with("sometimes: ") {
                expects = Some(Expects::Sometimes);
            } else if let Some(row) = line.strip_prefix("mutant ") {
                let (ids, change) = row.split_once(": ").context("a mutant without `: `")?;
                let (find, replace) = change.split_once(" => ").context("a mutant without ` => `")?;
                let found = program.matches(find).count();
                ensure!(found == 1 && find != replace, "`{find}` occurs {found} times in the program");
                let ids = ids.split(", ").map(str::to_owned).collect();
                mutants.push(Replacement { ids, find: find.to_owned(), replace: replace.to_owned() });
            }
        }
        let expects = expects.context("neither `never: ` nor `sometimes: `")?;
        match expects {
            Expects::Never if mutants.is_empty() => bail!("no mutant: nothing shows that it can fail"),
            Expects::Sometimes if !mutants.is_empty() => bail!("a control has no mutants"),
            _ => Ok(Litmus { name: name.to_owned(), text: text.to_owned(), expects, mutants }),
        }
    }

    /// The weaker program.
    pub(super) fn with(&self, mutant: &Replacement) -> Result<String> {
        let (comment, program) = parts(&self.text)?;
        Ok(format!("{comment}*){}", program.replacen(&mutant.find, &mutant.replace, 1)))
    }
}

fn parts(text: &str) -> Result<(&str, &str)> {
    text.split_once("*)").context("its comment does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rows: &str) -> Result<Litmus> {
        Litmus::parse(
            "a",
            &format!("C a\n(*\n P1: it.\n{rows}*)\n{{ x = 0; }}\nP0 (int* x) {{ *x = 1; }}\nexists (x=2)\n"),
        )
    }

    #[test]
    fn a_mutant_is_its_replacement() {
        let test = with(" never: two\n mutant one, two: *x = 1 => *x = 2\n").unwrap();
        assert_eq!(test.mutants[0].ids, ["one", "two"]);
        let weaker = test.with(&test.mutants[0]).unwrap();
        assert!(
            weaker.contains("{ *x = 2; }") && weaker.contains("mutant one, two: *x = 1 => *x = 2"),
            "{weaker}"
        );
    }

    #[test]
    fn what_can_show_nothing_is_refused() {
        for rows in [
            " never: two\n",
            " mutant one: *x = 1 => *x = 2\n",
            " never: two\n mutant one: *y = 1 => *y = 2\n",
            " never: two\n mutant one: x => y\n",
            " sometimes: two\n mutant one: *x = 1 => *x = 2\n",
        ] {
            assert!(with(rows).is_err(), "{rows}");
        }
    }
}
