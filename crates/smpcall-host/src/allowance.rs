//! Which cores the process may use, and how much of their time: what Linux tells in `/proc`, in the cgroups' files (version 1
//! and 2) and in `/sys`. Where a file is missing, or says nothing that makes sense, it is passed over.

use crate::affinity::cores_at_start;
use crate::sysfs::{cpu_list, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the process may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The cores, lowest first; none if nothing is known.
    pub(crate) cores: Vec<usize>,
    /// How much time its cgroups grant to all its threads together, in thousandths of one core's; `None`: all there is.
    pub(crate) quota_millis: Option<u64>,
}

impl Allowance {
    pub(crate) fn of_this_process() -> Self {
        Self::read(Path::new("/"), cores_at_start())
    }

    /// Reads what is below `root`, as Linux has it below `/`, for a process that was started on the cores `at_start`.
    fn read(root: &Path, at_start: impl Iterator<Item = usize>) -> Self {
        let tasks = fs::read_dir(root.join("proc/self/task")).into_iter().flatten().flatten();
        let masks = tasks.flat_map(|task| cpus_allowed(&task.path()));
        let mut cores: BTreeSet<usize> = at_start.chain(masks).collect();
        for limit in [cpuset(root), list(&root.join("sys/devices/system/cpu/online"))] {
            // One that leaves nothing is of another time, or of another process.
            if cores.is_empty() || !limit.is_disjoint(&cores) {
                cores = if cores.is_empty() { limit } else { &cores & &limit };
            }
        }
        let quotas = groups(root, "cpu").into_iter().filter_map(|group| quota_millis(&group));
        Self { cores: cores.into_iter().collect(), quota_millis: quotas.min() }
    }

    /// Whether no two threads of the process run at the same time, or not for long.
    pub(crate) fn is_one_core(&self) -> bool {
        self.cores.len() == 1 || self.quota_millis.is_some_and(|quota| quota <= 1_000)
    }
}

fn list(file: &Path) -> BTreeSet<usize> {
    cpu_list(file).map(|core| core as usize).collect()
}

/// The cores in a thread's `status`.
fn cpus_allowed(task: &Path) -> impl Iterator<Item = usize> + use<> {
    let status = text(&task.join("status"));
    let value = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    crate::sysfs::cpus(value).map(|core| core as usize).collect::<Vec<_>>().into_iter()
}

/// The cores of the process' cpuset: of the innermost group that has one.
fn cpuset(root: &Path) -> BTreeSet<usize> {
    const NAMES: [&str; 3] = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"];
    let groups = groups(root, "cpuset");
    let lists = groups.iter().flat_map(|group| NAMES.map(|name| list(&group.join(name))));
    lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

/// What one group grants.
fn quota_millis(group: &Path) -> Option<u64> {
    let both = text(&group.join("cpu.max"));
    let one = |name: &str| text(&group.join(name));
    // "max" and −1 are no numbers here: no limit.
    let (quota, period) = match both.split_once(' ') {
        Some((quota, period)) => (quota.parse::<u64>(), period.parse()),
        None => (one("cpu.cfs_quota_us").parse(), one("cpu.cfs_period_us").parse::<u64>()),
    };
    quota.ok()?.saturating_mul(1_000).checked_div(period.ok()?)
}

/// The folders of the cgroups that the process is in as far as `controller` is concerned, the innermost first.
fn groups(root: &Path, controller: &str) -> Vec<PathBuf> {
    let (cgroups, mounts) = (text(&root.join("proc/self/cgroup")), text(&root.join("proc/self/mountinfo")));
    let mut folders = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version_2 = controllers.is_empty();
        if version_2 || controllers.split(',').any(|name| name == controller) {
            let of_mount =
                |mount: &str| folders_of(mount, path, if version_2 { None } else { Some(controller) });
            folders.extend(mounts.lines().find_map(of_mount).unwrap_or_default());
        }
    }
    folders.iter().map(|folder| root.join(folder.trim_start_matches('/'))).collect()
}

/// The folders of a group and of those around it, if `mount`, a line of mountinfo, shows them: version 2's, or those of a
/// controller of version 1.
fn folders_of(mount: &str, group: &str, controller: Option<&str>) -> Option<Vec<String>> {
    let (left, right) = mount.split_once(" - ")?;
    let (top, folder) = (left.split(' ').nth(3)?, left.split(' ').nth(4)?);
    let (kind, options) = (right.split(' ').next()?, right.split(' ').nth(2).unwrap_or_default());
    let shown = match controller {
        None => kind == "cgroup2",
        Some(name) => kind == "cgroup" && options.split(',').any(|option| option == name),
    };
    // In a container the mount may begin at the container's own group, or show none of what the path names.
    let inner = Path::new(group).strip_prefix(top).unwrap_or(Path::new(""));
    let inner = if inner.iter().any(|part| part == "..") { Path::new("") } else { inner };
    let around = inner.ancestors().map(|path| Path::new(folder).join(path).to_string_lossy().into_owned());
    shown.then(|| around.collect())
}

#[cfg(test)]
mod tests;
