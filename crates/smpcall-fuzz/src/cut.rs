//! What is left out of a program: parts by their numbers, and kinds of parts by their names.

use crate::kinds::Kind;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Numbers of parts, written `3,5-9`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut(BTreeSet<u32>);

impl Cut {
    /// Whether that part is left out.
    pub fn has(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    /// The same and one more.
    #[must_use]
    pub fn and(&self, id: u32) -> Self {
        let mut more = self.clone();
        more.0.insert(id);
        more
    }

    /// The same and all of those.
    #[must_use]
    pub fn and_all(&self, ids: &[u32]) -> Self {
        let mut more = self.clone();
        more.0.extend(ids);
        more
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for id in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *id => *last = *id,
                _ => ranges.push((*id, *id)),
            }
        }
        let words: Vec<String> = ranges
            .into_iter()
            .map(|(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") })
            .collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no part's number"));
        let mut ids = BTreeSet::new();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (number(first)?, number(last)?);
            if last < first || last - first > 100_000 {
                return Err(format!("`{word}` is no range of parts"));
            }
            ids.extend(first..=last);
        }
        Ok(Self(ids))
    }
}

/// Parts that are no steps.
const OTHERS: [&str; 8] =
    ["second-machine", "thread", "stall-handlers", "tracers", "panics", "payloads", "captured", "results"];

/// Names of kinds of parts, written `post,call,panics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Whether that kind is among them.
    pub fn has(&self, what: &str) -> bool {
        self.0.iter().any(|name| name == what)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known: Vec<&str> = Kind::names().chain(OTHERS).collect();
        let names: Vec<String> = text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("no kind `{name}`; there are {}", known.join(", "))),
            None => Ok(Self(names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_reads_what_it_prints() {
        let cut = Cut::default().and_all(&[9, 3, 4, 5]).and(1);
        assert_eq!(cut.to_string(), "1,3-5,9");
        assert_eq!("1,3-5,9".parse(), Ok(cut));
        assert_eq!("".parse(), Ok(Cut::default()));
        assert!("x".parse::<Cut>().is_err() && "5-3".parse::<Cut>().is_err());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        assert!("post,panics".parse::<Names>().is_ok_and(|names| names.has("panics") && !names.has("call")));
        assert!("pots".parse::<Names>().is_err_and(|why| why.contains("no kind `pots`")));
    }
}
