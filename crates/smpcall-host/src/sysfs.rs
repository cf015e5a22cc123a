//! Small files in which the system tells of itself: a text, a number, a list of CPUs.

use std::fs;
use std::path::Path;

/// More CPUs than any system has; a larger number is taken for nonsense.
pub(crate) const CPUS_MAX: u32 = 1 << 16;

/// What a file says; nothing, if it is not there.
pub(crate) fn text(file: &Path) -> String {
    fs::read_to_string(file).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The number in a file. Linux writes −1 or 65535 where it knows none.
#[cfg(feature = "topology")]
pub(crate) fn number(file: &Path) -> Option<u32> {
    text(file).parse().ok().filter(|number| *number < u16::MAX.into())
}

/// The CPUs in a file like `0-3,8,10-11`; a part that is none of that is passed over.
pub(crate) fn cpu_list(file: &Path) -> impl Iterator<Item = u32> + use<> {
    cpus(&text(file)).collect::<Vec<_>>().into_iter()
}

/// The CPUs in a text like that.
pub(crate) fn cpus(list: &str) -> impl Iterator<Item = u32> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        (last < CPUS_MAX).then_some(first..=last)
    };
    list.trim().split(',').filter_map(part).flatten()
}
