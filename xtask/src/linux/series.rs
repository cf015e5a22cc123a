//! Which Linux the call layer is cut out of, and where its sources are from.

use crate::debian::Unpacked;
use crate::sh::Cmd;
use anyhow::Result;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// A series of kernels for which the cut and the glue are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Series {
    /// 6.12, installed from this Debian's own backports
    #[value(name = "6.12")]
    L6_12,
    /// 7.3, from those of the next Debian, unpacked into the target folder
    #[value(name = "7.3")]
    L7_3,
}

const NEWER: Unpacked =
    Unpacked { folder: "linux-source-7.3", suite: "trixie-backports", packages: "linux-source-7.3" };

impl Series {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::L6_12 => "6.12",
            Self::L7_3 => "7.3",
        }
    }

    pub(super) fn version(self) -> (u32, u32) {
        match self {
            Self::L6_12 => (6, 12),
            Self::L7_3 => (7, 3),
        }
    }

    pub(super) fn sources(self) -> PathBuf {
        let archive = format!("usr/src/linux-source-{}.tar.xz", self.name());
        match self {
            Self::L6_12 => Path::new("/").join(archive),
            Self::L7_3 => NEWER.root().join(archive),
        }
    }

    /// Why its sources are not here, in a line that says how to get them.
    pub(super) fn missing(self) -> Option<String> {
        let sources = self.sources();
        let how = match self {
            Self::L6_12 => "`cargo xtask setup` as root, or `apt-get install linux-source-6.12`",
            Self::L7_3 => "`cargo xtask linux` fetches it where Debian's archive can be reached",
        };
        (!sources.exists()).then(|| format!("no {}: {how}", sources.display()))
    }

    /// Fetches those that need not be installed, once.
    pub(crate) fn fetch(self) -> Result<()> {
        match self {
            Self::L6_12 => Ok(()),
            Self::L7_3 => NEWER.fetch(),
        }
    }

    pub(super) fn package_version(self) -> Result<String> {
        match self {
            Self::L6_12 => Cmd::new("dpkg-query", "-W -f=${Version} linux-source-6.12").read(),
            Self::L7_3 => NEWER.version("linux-source-7.3"),
        }
    }

    /// The line of a configuration by which tasks are preempted least. 7.3 has no voluntary preemption on x86 any more.
    pub(super) fn least_preemption(self) -> &'static str {
        match self {
            Self::L6_12 => "CONFIG_PREEMPT_VOLUNTARY=y",
            Self::L7_3 => "CONFIG_PREEMPT_LAZY=y",
        }
    }

    /// A line of our configurations, which are written for 6.12, as this series has it.
    pub(super) fn own_line(self, line: &str) -> &str {
        if line == Self::L6_12.least_preemption() { self.least_preemption() } else { line }
    }
}

/// The series that a kernel's Makefile names.
pub(super) fn of_makefile(makefile: &str) -> Option<(u32, u32)> {
    let value = |name: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='))?;
        line.trim().parse().ok()
    };
    Some((value("VERSION")?, value("PATCHLEVEL")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_from_the_makefile() {
        let makefile = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n";
        assert_eq!(of_makefile(makefile), Some(Series::L6_12.version()));
        assert_eq!(of_makefile(&makefile.replace("12", "1")), Some((6, 1)));
        assert_eq!(of_makefile("all:\n"), None);
    }

    #[test]
    fn only_what_there_is_can_be_asked_for() {
        let names: Vec<_> = Series::value_variants().iter().map(|series| series.name()).collect();
        assert_eq!(names, ["6.12", "7.3"]);
        for series in Series::value_variants() {
            assert_eq!(Series::from_str(series.name(), false).as_ref(), Ok(series));
        }
        assert!(Series::from_str("6.13", false).is_err());
    }
}
