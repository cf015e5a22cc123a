//! What the system says of itself, in the files that Linux has below `/proc` and `/sys`. Where one is missing, nothing is said.

use crate::data::{Core, Environment};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the files are.
#[derive(Clone, Debug)]
pub struct System(PathBuf);

/// What has been taken from the cores since the system started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Time that the hypervisor gave to others, in the kernel's ticks.
    steal: u64,
    /// All time, in ticks.
    total: u64,
    /// How often the process' cgroup was throttled.
    throttled: u64,
}

impl System {
    /// This one.
    pub fn this() -> Self {
        Self(PathBuf::from("/"))
    }

    /// One whose files are below `root`.
    pub fn below(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// What a file says; nothing, if it is not there.
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// What a file of one core says.
    fn of_core(&self, core: usize, path: &str) -> String {
        self.text(&format!("sys/devices/system/cpu/cpu{core}/{path}"))
    }

    /// What it says of itself, as far as that does not change while a report is made.
    pub fn environment(&self, cores: &[usize]) -> Environment {
        let info = self.text("proc/cpuinfo");
        let field = |name: &str| {
            let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
        };
        let mut governors: Vec<_> =
            cores.iter().map(|core| self.of_core(*core, "cpufreq/scaling_governor")).collect();
        governors.retain(|governor| !governor.is_empty());
        governors.sort();
        governors.dedup();
        let load = self.text("proc/loadavg");
        Environment {
            processor: processor(field),
            microcode: field("microcode").to_owned(),
            system: self.system(),
            kernel: self.text("proc/sys/kernel/osrelease"),
            hypervisor: self.hypervisor(field("flags")),
            governors,
            idle_states: self.idle_states(cores.first().copied().unwrap_or(0)),
            clock: self.text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            mitigations: self.mitigations(),
            load_before: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            ..Environment::default()
        }
    }

    fn system(&self) -> String {
        let release = self.text("etc/os-release");
        let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        name.unwrap_or_default().trim_matches('"').to_owned()
    }

    /// Whose virtual machine it is, as far as the clocks that its kernel knows and its firmware say.
    fn hypervisor(&self, flags: &str) -> Option<String> {
        let clocks = self.text("sys/devices/system/clocksource/clocksource0/available_clocksource");
        let by_clock = [("kvm-clock", "KVM"), ("hyperv", "Hyper-V"), ("xen", "Xen")];
        let by_clock = by_clock.into_iter().find(|(clock, _)| clocks.contains(clock)).map(|(_, name)| name);
        let firmware =
            ["sys_vendor", "product_name"].map(|name| self.text(&format!("sys/class/dmi/id/{name}")));
        let firmware = firmware.join(" ").trim().to_owned();
        // Arm and RISC-V have no such flag; there the clock alone tells.
        let is_virtual = flags.split(' ').any(|flag| flag == "hypervisor") || by_clock.is_some();
        is_virtual.then(|| match (by_clock, firmware.as_str()) {
            (Some(name), "") => name.to_owned(),
            (Some(name), firmware) => format!("{name} ({firmware})"),
            (None, "") => "of a kind that it does not say".to_owned(),
            (None, firmware) => firmware.to_owned(),
        })
    }

    /// With how long it takes to leave each.
    fn idle_states(&self, core: usize) -> Vec<String> {
        let state = |at: usize| {
            let of = |name: &str| self.of_core(core, &format!("cpuidle/state{at}/{name}"));
            let (name, latency, off) = (of("name"), of("latency"), of("disable") == "1");
            let off = if off { ", off" } else { "" };
            (!name.is_empty()).then(|| format!("{name} ({latency} µs{off})"))
        };
        let mut states: Vec<String> = (0..).map_while(state).collect();
        let driver = self.text("sys/devices/system/cpu/cpuidle/current_driver");
        let governor = self.text("sys/devices/system/cpu/cpuidle/current_governor_ro");
        if !driver.is_empty() && !states.is_empty() {
            states.push(format!("by {driver}, governor {governor}"));
        }
        states
    }

    fn mitigations(&self) -> Vec<(String, String)> {
        let folder = "sys/devices/system/cpu/vulnerabilities";
        let entries = fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let states = names.into_iter().map(|name| {
            let state = self.text(&format!("{folder}/{name}"));
            (name, state)
        });
        states.filter(|(_, state)| state != "Not affected").collect()
    }

    /// Each core, and what it shares.
    pub fn cores(&self, cores: &[usize]) -> Vec<Core> {
        cores.iter().map(|core| self.core(*core)).collect()
    }

    fn core(&self, number: usize) -> Core {
        let first =
            |list: &str| list.split([',', '-']).next().and_then(|first| first.trim().parse::<usize>().ok());
        let cache = |level: &str| {
            (0..8).find_map(|index| {
                let of = |name: &str| self.of_core(number, &format!("cache/index{index}/{name}"));
                let is_it = of("level") == level && of("type") != "Instruction";
                is_it.then(|| first(&of("shared_cpu_list"))).flatten()
            })
        };
        let topology = |name: &str| self.of_core(number, &format!("topology/{name}"));
        let folder = self.0.join(format!("sys/devices/system/cpu/cpu{number}"));
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let node = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok();
        Core {
            number,
            core: first(&topology("thread_siblings_list")),
            cache2: cache("2"),
            cache3: cache("3"),
            package: topology("physical_package_id").parse().ok(),
            node: entries.filter_map(node).next(),
        }
    }

    /// What has been taken from these cores so far, and from the process' cgroup.
    pub fn taken(&self, cores: &[usize]) -> Taken {
        let stat = self.text("proc/stat");
        let mut taken = Taken { throttled: self.throttled(), ..Taken::default() };
        for core in cores {
            let name = format!("cpu{core} ");
            let ticks = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
            let ticks: Vec<u64> = ticks.split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect();
            // What guests of ours took, the last two, is in the first two already.
            taken.total += ticks.iter().take(8).sum::<u64>();
            taken.steal += ticks.get(7).copied().unwrap_or(0);
        }
        taken
    }

    fn throttled(&self) -> u64 {
        let groups = self.text("proc/self/cgroup");
        let files = groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            match controllers {
                "" => Some(format!("sys/fs/cgroup{path}/cpu.stat")),
                _ if controllers.split(',').any(|one| one == "cpu") => {
                    Some(format!("sys/fs/cgroup/{controllers}{path}/cpu.stat"))
                }
                _ => None,
            }
        });
        let count = |text: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix("nr_throttled "))
                .and_then(|count| count.parse().ok())
        };
        files.filter_map(|file| count(&self.text(&file))).max().unwrap_or(0)
    }
}

fn processor<'a>(field: impl Fn(&str) -> &'a str) -> String {
    let known = |name: &str| match field(name) {
        "" => None,
        value => Some(value.to_owned()),
    };
    let named = known("model name").or_else(|| known("Model")).or_else(|| known("uarch"));
    let name = named.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    match (known("cpu family"), known("model")) {
        (Some(family), Some(model)) => format!("{name}, family {family}, model {model}"),
        _ => name,
    }
}

impl Taken {
    /// How much of the time since `before` the hypervisor gave to others, in percent.
    pub fn steal_percent_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total);
        100.0 * self.steal.saturating_sub(before.steal) as f64 / total.max(1) as f64
    }

    /// How often the cgroup was throttled since `before`.
    pub fn throttled_since(&self, before: &Self) -> u64 {
        self.throttled.saturating_sub(before.throttled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system that was made up.
    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }

        fn system(&self) -> System {
            System::below(self.0.path())
        }
    }

    #[test]
    fn a_system_without_files_says_nothing() {
        let system = Fixture::new().system();
        let environment = system.environment(&[0, 1]);
        assert_eq!(environment.processor, std::env::consts::ARCH);
        assert_eq!((environment.hypervisor, environment.governors.len()), (None, 0));
        assert_eq!(system.cores(&[3]), [Core { number: 3, ..Core::default() }]);
        assert_eq!(system.taken(&[0]), Taken::default());
    }

    #[test]
    fn a_virtual_machine_is_known_by_its_clocks_and_its_governors_are_named_once() {
        let fixture = Fixture::new();
        fixture.write(
            "proc/cpuinfo",
            "processor\t: 0\nmodel name\t: A CPU\ncpu family\t: 6\nmodel\t\t: 7\nflags\t\t: fpu hypervisor",
        );
        fixture.write("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc kvm-clock");
        for core in 0..2 {
            fixture.write(&format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"), "powersave");
        }
        fixture.write("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "C1");
        fixture.write("sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "2");
        fixture.write("sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected");
        fixture.write("sys/devices/system/cpu/vulnerabilities/retbleed", "Vulnerable");
        let environment = fixture.system().environment(&[0, 1]);
        assert_eq!(environment.processor, "A CPU, family 6, model 7");
        assert_eq!(environment.hypervisor.as_deref(), Some("KVM"));
        assert_eq!(environment.governors, ["powersave"]);
        assert_eq!(environment.idle_states, ["C1 (2 µs)"]);
        assert_eq!(environment.mitigations, [("retbleed".to_owned(), "Vulnerable".to_owned())]);
    }

    #[test]
    fn what_cores_share_is_known_by_its_first_core() {
        let fixture = Fixture::new();
        let write =
            |name: &str, text: &str| fixture.write(&format!("sys/devices/system/cpu/cpu5/{name}"), text);
        write("topology/thread_siblings_list", "1,5");
        write("topology/physical_package_id", "0");
        write("cache/index0/level", "3");
        write("cache/index0/type", "Unified");
        write("cache/index0/shared_cpu_list", "0-7");
        write("node2/cpulist", "0-7");
        let core = fixture.system().cores(&[5]).remove(0);
        let expected =
            Core { number: 5, core: Some(1), cache2: None, cache3: Some(0), package: Some(0), node: Some(2) };
        assert_eq!(core, expected);
    }

    #[test]
    fn what_is_taken_is_a_part_of_the_time_between_two_looks() {
        let fixture = Fixture::new();
        fixture.write(
            "proc/stat",
            "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 10 0 0 90 0 0 0 0 5 0\ncpu1 9 9 9 9 9 9 9 9 0 0",
        );
        let before = fixture.system().taken(&[0]);
        fixture.write("proc/stat", "cpu0 60 0 0 120 0 0 0 20 5 0\ncpu1 9 9 9 9 9 9 9 9 0 0");
        fixture.write("proc/self/cgroup", "3:cpuset:/\n2:cpu,cpuacct:/a\n0::/b");
        fixture.write("sys/fs/cgroup/b/cpu.stat", "usage_usec 5\nnr_throttled 4");
        let now = fixture.system().taken(&[0]);
        assert_eq!((now.steal_percent_since(&before), now.throttled_since(&before)), (20.0, 4));
    }

    #[test]
    fn this_system_has_a_kernel_and_time_passes() {
        let system = System::this();
        assert!(!system.environment(&[0]).kernel.is_empty());
        assert!(system.taken(&[0]).total > 0);
    }
}
