//! Files of processes that were made up.

use super::*;

struct Fixture(tempfile::TempDir);

impl Fixture {
    /// A process with a thread for each of these masks.
    fn new(masks: &[&str]) -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        for (task, mask) in masks.iter().enumerate() {
            let status =
                format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{mask}\nMems_allowed_list:\t7");
            fixture.write(&format!("proc/self/task/{task}/status"), &status);
        }
        fixture
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
        self
    }

    fn cores(&self, at_start: &[usize]) -> Vec<usize> {
        Allowance::read(self.0.path(), at_start.iter().copied()).cores
    }

    fn quota_millis(&self) -> Option<u64> {
        Allowance::read(self.0.path(), [0].into_iter()).quota_millis
    }

    /// Version 2, mounted as systemd does, with the process in a group of a group.
    fn version_2(self) -> Self {
        self.write("proc/self/cgroup", "0::/a.slice/b.scope").write(
            "proc/self/mountinfo",
            "20 1 8:1 / / rw - ext4 /dev/root rw\n31 20 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw",
        );
        self
    }

    /// Version 1 in a container that sees its own group as the top.
    fn version_1(self) -> Self {
        self.write("proc/self/cgroup", "9:cpuset:/docker/x\n5:cpu,cpuacct:/docker/x/in\n1:name=systemd:/cpu")
            .write(
                "proc/self/mountinfo",
                "40 1 0:30 /docker/x /cg/cpuset ro - cgroup cgroup rw,cpuset\n\
             41 1 0:31 /docker/x /cg/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
             42 1 0:32 / /cg/systemd ro - cgroup cgroup rw,name=systemd",
            );
        self
    }
}

#[test]
fn the_process_may_use_what_any_of_its_threads_may() {
    assert_eq!(Fixture::new(&["0", "2-3"]).cores(&[]), [0, 2, 3]);
    assert_eq!(Fixture::new(&["1"]).cores(&[0, 1, 5]), [0, 1, 5], "all its threads are pinned; it was not");
    assert_eq!(Fixture::new(&["0-3"]).cores(&[0]), [0, 1, 2, 3], "the masks have grown since");
}

#[test]
fn a_cpuset_and_what_is_online_take_cores_away() {
    let fixture = Fixture::new(&["0-7"]).version_2();
    fixture.write("sys/devices/system/cpu/online", "0-5");
    assert_eq!(fixture.cores(&[]), [0, 1, 2, 3, 4, 5]);
    fixture.write("sys/fs/cgroup/cpuset.cpus.effective", "0-7");
    fixture.write("sys/fs/cgroup/a.slice/cpuset.cpus.effective", "4-9");
    assert_eq!(fixture.cores(&[]), [4, 5], "the group's own says nothing, that around it does");
    fixture.write("sys/fs/cgroup/a.slice/b.scope/cpuset.cpus.effective", "5");
    assert_eq!(fixture.cores(&[]), [5]);
    let fixture = Fixture::new(&["0-7"]).version_1();
    fixture.write("cg/cpuset/cpuset.cpus", "0-3").write("cg/cpuset/docker/x/cpuset.cpus", "7");
    assert_eq!(fixture.cores(&[]), [0, 1, 2, 3]);
    fixture.write("cg/cpuset/cpuset.effective_cpus", "2-3");
    assert_eq!(fixture.cores(&[]), [2, 3]);
}

#[test]
fn the_smallest_quota_of_all_groups_around_counts() {
    let fixture = Fixture::new(&["0-3"]).version_2();
    assert_eq!(fixture.quota_millis(), None);
    fixture.write("sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000");
    assert_eq!(fixture.quota_millis(), None);
    fixture.write("sys/fs/cgroup/a.slice/cpu.max", "50000 100000");
    assert_eq!(fixture.quota_millis(), Some(500));
    fixture.write("sys/fs/cgroup/a.slice/b.scope/cpu.max", "150000 100000");
    assert_eq!(fixture.quota_millis(), Some(500));
    let fixture = Fixture::new(&["0-3"]).version_1();
    fixture
        .write("cg/cpu,cpuacct/in/cpu.cfs_quota_us", "-1")
        .write("cg/cpu,cpuacct/in/cpu.cfs_period_us", "100000");
    assert_eq!(fixture.quota_millis(), None);
    fixture
        .write("cg/cpu,cpuacct/cpu.cfs_quota_us", "250000")
        .write("cg/cpu,cpuacct/cpu.cfs_period_us", "100000");
    assert_eq!(fixture.quota_millis(), Some(2_500));
}

#[test]
fn one_core_or_the_time_of_one_is_one_core() {
    let allowance = |cores: &[usize], quota_millis| Allowance { cores: cores.to_vec(), quota_millis };
    assert!(allowance(&[3], None).is_one_core() && allowance(&[0, 1], Some(1_000)).is_one_core());
    assert!(!allowance(&[0, 1], None).is_one_core() && !allowance(&[0, 1], Some(1_001)).is_one_core());
    assert!(!allowance(&[], None).is_one_core(), "nobody knows");
}

#[test]
fn nonsense_is_passed_over() {
    let fixture = Fixture::new(&["x", "1-,,-", "99999999", "2"]).version_2();
    fixture.write("proc/self/task/9/status", "Cpus_allowed_list").write("proc/self/task/x", "no folder");
    assert_eq!(fixture.cores(&[]), [2]);
    // A cpuset and a list of what is online that have none of the cores that its threads run on.
    fixture.write("sys/fs/cgroup/cpuset.cpus.effective", "9").write("sys/devices/system/cpu/online", "none");
    assert_eq!(fixture.cores(&[]), [2]);
    for max in ["0 0", "5", "-1 100000", "99999999999999999999 1", "max", "1 x"] {
        assert_eq!(fixture.write("sys/fs/cgroup/a.slice/cpu.max", max).quota_millis(), None, "{max}");
    }
    fixture.write("sys/fs/cgroup/a.slice/cpu.max", &format!("{} 1", u64::MAX));
    assert_eq!(fixture.quota_millis(), Some(u64::MAX));
    for cgroup in ["", "0", "::", "0::/../../elsewhere", "0::a", "x:y:z:w", "3:cpu:/gone"] {
        fixture.write("proc/self/cgroup", cgroup).write("sys/fs/cgroup/cpu.max", "1000 100000");
        let own = cgroup.starts_with("0::") || cgroup == "::";
        assert_eq!(fixture.quota_millis(), own.then_some(10), "{cgroup}: what its mount shows, or nothing");
    }
    for mounts in ["", " - ", "a b c - d", "31 20 0:28 / /sys/fs/cgroup", "31 20 0:28 / - cgroup2"] {
        fixture.write("proc/self/cgroup", "0::/").write("proc/self/mountinfo", mounts);
        assert_eq!(fixture.quota_millis(), None, "{mounts}");
    }
    let nothing = Fixture::new(&[]);
    assert_eq!((nothing.cores(&[]), nothing.quota_millis()), (vec![], None));
    nothing.write("sys/devices/system/cpu/online", "0-1");
    assert_eq!(nothing.cores(&[]), [0, 1], "better than nothing");
}

#[test]
fn this_process_is_read() {
    let allowance = Allowance::of_this_process();
    let all = crate::allowed_cores();
    assert!(!all.is_empty() && all.iter().all(|core| allowance.cores.contains(core)));
    assert!(allowance.quota_millis.is_none_or(|quota| quota > 0));
}
