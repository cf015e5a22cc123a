//! Which of the system's CPUs are near to each other: what Linux tells in `/sys/devices/system`.
//!
//! Each CPU has a ladder, one rung for each thing that CPUs can share, the closest first; on a rung stands the number of its
//! group, so that two CPUs share it if the numbers are the same. How far they are apart is the first rung that they share.
//! Where a file is missing, or says nothing, the rung is empty, and shared with nobody.

use crate::here::NO_CORE;
use crate::sysfs::{CPUS_MAX, cpu_list, number, text};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// The closest thing that two CPUs share. (A cluster is a few cores that share a part of a cache, or the way to it.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Core,
    Cache1,
    Cache2,
    Cluster,
    Cache3,
    Cache4,
    Die,
    Package,
    Node,
    /// Nothing that is known of.
    Far,
}

use Distance::{Cache1, Cache2, Cache3, Cache4, Cluster, Core, Die, Far, Node, Package};

const RUNGS: [Distance; 9] = [Core, Cache1, Cache2, Cluster, Cache3, Cache4, Die, Package, Node];

/// The number of a CPU's group on each rung.
type Ladder = [u64; RUNGS.len()];

/// An empty rung.
const UNKNOWN: u64 = u64::MAX;

/// The ladders of all CPUs that the system has, by number.
#[derive(Debug)]
pub(crate) struct Topology {
    cpus: Vec<Ladder>,
}

impl Topology {
    /// That of this system, read once: when the process starts its first machine.
    pub(crate) fn of_this_system() -> &'static Self {
        static THIS: OnceLock<Topology> = OnceLock::new();
        THIS.get_or_init(|| Self::read(Path::new("/sys/devices/system")))
    }

    /// Reads what is below `root`, as Linux has it below `/sys/devices/system`.
    fn read(root: &Path) -> Self {
        let mut cpus = Vec::new();
        for cpu in numbered(&root.join("cpu"), "cpu") {
            *grown(&mut cpus, cpu) = ladder(&root.join(format!("cpu/cpu{cpu}")));
        }
        for node in numbered(&root.join("node"), "node") {
            for cpu in cpu_list(&root.join(format!("node/node{node}/cpulist"))) {
                grown(&mut cpus, cpu)[Node as usize] = node.into();
            }
        }
        Self { cpus }
    }

    /// Returns the one of `among` that is nearest to `cpu`, by the cores that they were last seen on; of several, the next by
    /// number. `None` if it is not known where `cpu` is, or if nothing is known of what it shares with any of them.
    /// Allocates nothing.
    pub(crate) fn nearest(
        &self,
        cpu: u32,
        among: &mut dyn Iterator<Item = u32>,
        core_of: impl Fn(u32) -> u32,
    ) -> Option<u32> {
        let from = core_of(cpu);
        if from == NO_CORE {
            return None;
        }
        let near = |other: u32| {
            let core = core_of(other);
            // Two on one core are nearer than all that two cores can share.
            let distance = if core == from { None } else { Some(self.distance(from, core)) };
            (distance != Some(Far)).then_some((distance, other.wrapping_sub(cpu), other))
        };
        among.filter_map(near).min().map(|(_, _, other)| other)
    }

    /// Returns the closest thing that two of the system's CPUs share.
    fn distance(&self, from: u32, to: u32) -> Distance {
        let ladder = |cpu: u32| self.cpus.get(cpu as usize);
        let (Some(from), Some(to)) = (ladder(from), ladder(to)) else { return Far };
        let shared = |rung: &Distance| {
            let group = from[*rung as usize];
            group != UNKNOWN && group == to[*rung as usize]
        };
        RUNGS.into_iter().find(shared).unwrap_or(Far)
    }
}

fn grown(cpus: &mut Vec<Ladder>, cpu: u32) -> &mut Ladder {
    let len = cpus.len().max(cpu as usize + 1);
    cpus.resize(len, [UNKNOWN; RUNGS.len()]);
    &mut cpus[cpu as usize]
}

/// The ladder of the CPU that is described in `dir`, but for its node. A group that is listed is known by its first CPU.
fn ladder(dir: &Path) -> Ladder {
    let mut ladder = [UNKNOWN; RUNGS.len()];
    let topology = dir.join("topology");
    let id = |name: &str| number(&topology.join(name)).map(u64::from);
    let package = id("physical_package_id");
    // What is numbered anew in each package, and, if smaller than a die, in each of its dies.
    let within = |die: u64, id: Option<u64>| Some(1 << 62 | package? << 32 | die << 16 | id?);
    let die = id("die_id").unwrap_or(0);
    let siblings = cpu_list(&topology.join("thread_siblings_list")).min().map(u64::from);
    let mut put = |rung: Distance, group: Option<u64>| ladder[rung as usize] = group.unwrap_or(UNKNOWN);
    put(Package, package);
    put(Die, within(0, id("die_id")));
    put(Cluster, within(die, id("cluster_id")));
    put(Core, siblings.or_else(|| within(die, id("core_id"))));
    for index in numbered(&dir.join("cache"), "index") {
        let cache = dir.join(format!("cache/index{index}"));
        let rung = match number(&cache.join("level")) {
            Some(1) => Cache1,
            Some(2) => Cache2,
            Some(3) => Cache3,
            Some(4) => Cache4,
            _ => continue,
        };
        if text(&cache.join("type")) != "Instruction" {
            put(rung, cpu_list(&cache.join("shared_cpu_list")).min().map(u64::from));
        }
    }
    ladder
}

/// The numbers of those entries of `dir` that are called `name` and a number.
fn numbered(dir: &Path, name: &'static str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let number = move |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(name)?.parse().ok();
    entries.filter_map(number).filter(|number| *number < CPUS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a system that was made up.
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

        fn read(&self) -> Topology {
            Topology::read(self.0.path())
        }
    }

    /// Two packages, each a node, of two cores with two threads; as on x86, thread n and n + 4 are one core's. A second
    /// level for each core, a third for each package.
    fn two_packages() -> Fixture {
        let fixture = Fixture::new();
        for cpu in 0..8 {
            let (core, package) = (cpu % 4, cpu % 4 / 2);
            let write = |name: &str, text: &str| fixture.write(&format!("cpu/cpu{cpu}/{name}"), text);
            let siblings = format!("{core},{}", core + 4);
            write("topology/thread_siblings_list", &siblings);
            write("topology/core_id", &(core % 2).to_string());
            write("topology/physical_package_id", &package.to_string());
            write("topology/die_id", "0");
            write("topology/cluster_id", "65535");
            let (low, high) = (package * 2, package * 2 + 1);
            let all = format!("{low}-{high},{}-{}", low + 4, high + 4);
            for (index, level, kind, shared) in [
                (0, "1", "Data", &siblings),
                (1, "1", "Instruction", &all),
                (2, "2", "Unified", &siblings),
                (3, "3", "Unified", &all),
            ] {
                write(&format!("cache/index{index}/level"), level);
                write(&format!("cache/index{index}/type"), kind);
                write(&format!("cache/index{index}/shared_cpu_list"), shared);
            }
        }
        fixture.write("cpu/cpufreq/x", "not a CPU");
        fixture.write("node/node0/cpulist", "0-1,4-5");
        fixture.write("node/node1/cpulist", "2-3,6-7");
        fixture
    }

    #[test]
    fn two_packages_with_two_threads_a_core() {
        let topology = two_packages().read();
        let from_1: Vec<_> = (0..9).map(|to| topology.distance(1, to)).collect();
        assert_eq!(from_1, [Cache3, Core, Far, Far, Cache3, Core, Far, Far, Far]);
        for (from, to) in (0..9).flat_map(|from| (0..9).map(move |to| (from, to))) {
            assert_eq!(topology.distance(from, to), topology.distance(to, from));
        }
    }

    #[test]
    fn the_nearest_is_on_the_same_core_then_a_sibling_then_in_the_package() {
        let topology = two_packages().read();
        // Which core each CPU of the machine is kept on.
        let cores = [0, 4, 5, 2, 0, NO_CORE, NO_CORE, 7, 3];
        let nearest =
            |cpu, among: &[u32]| topology.nearest(cpu, &mut among.iter().copied(), |cpu| cores[cpu as usize]);
        assert_eq!(nearest(0, &[1, 2, 3, 4, 5]), Some(4), "the same core");
        assert_eq!(nearest(0, &[1, 2, 3, 5]), Some(1), "a sibling");
        assert_eq!(nearest(0, &[2, 3, 5]), Some(2), "a core that shares a cache");
        assert_eq!(nearest(0, &[3, 5, 6, 7]), None, "none of them shares anything that is known of");
        assert_eq!(nearest(2, &[0, 1, 3, 4]), Some(4), "of equals the next by number");
        assert_eq!(nearest(7, &[0, 3, 8]), Some(8), "and not the first, which is nearer by number alone");
        assert_eq!(nearest(2, &[]), None);
        for cpu in [5, 6] {
            assert_eq!(nearest(cpu, &[0, 1, 5, 6]), None, "nobody knows where it is");
        }
    }

    #[test]
    fn each_file_that_is_missing_takes_away_what_it_says() {
        let fixture = two_packages();
        let remove = |name: &str| {
            for cpu in 0..8 {
                let path = fixture.0.path().join(format!("cpu/cpu{cpu}/{name}"));
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
        };
        // Of CPU 1: itself in package 0, its sibling, the other core there, and one of the other package.
        let seen = || {
            let topology = fixture.read();
            [5, 0, 2].map(|to| topology.distance(1, to))
        };
        remove("topology/thread_siblings_list");
        assert_eq!(seen(), [Core, Cache3, Far], "by the core's number");
        remove("topology/core_id");
        assert_eq!(seen(), [Cache1, Cache3, Far]);
        remove("cache/index3");
        assert_eq!(seen(), [Cache1, Die, Far]);
        remove("topology/die_id");
        assert_eq!(seen(), [Cache1, Package, Far]);
        remove("topology/physical_package_id");
        assert_eq!(seen(), [Cache1, Node, Far]);
        remove("cache");
        assert_eq!(seen(), [Node, Node, Far]);
        fs::remove_dir_all(fixture.0.path().join("node")).unwrap();
        assert_eq!(seen(), [Far; 3]);
        assert_eq!(Fixture::new().read().distance(0, 0), Far, "nothing at all");
    }

    #[test]
    fn a_cluster_is_closer_than_the_cache_around_it_and_a_node_may_have_packages() {
        let fixture = Fixture::new();
        for cpu in 0..8 {
            fixture.write(&format!("cpu/cpu{cpu}/topology/physical_package_id"), &(cpu / 4).to_string());
            fixture.write(&format!("cpu/cpu{cpu}/topology/cluster_id"), &(cpu % 4 / 2).to_string());
            fixture.write(&format!("cpu/cpu{cpu}/cache/index0/level"), "3");
            let shared = if cpu < 4 { "0-3" } else { "4-7" };
            fixture.write(&format!("cpu/cpu{cpu}/cache/index0/shared_cpu_list"), shared);
        }
        fixture.write("node/node0/cpulist", "0-7");
        let topology = fixture.read();
        assert_eq!([1, 2, 4].map(|to| topology.distance(0, to)), [Cluster, Cache3, Node]);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let fixture = Fixture::new();
        fixture.write("cpu/cpu0/topology/physical_package_id", "-1");
        fixture.write("cpu/cpu0/topology/thread_siblings_list", "");
        fixture.write("cpu/cpu1/topology/physical_package_id", "-1");
        fixture.write("cpu/cpu1/topology/thread_siblings_list", "x,1-,-,4294967295,0-99999999");
        fixture.write("cpu/cpu99999999/topology/core_id", "0");
        fixture.write("cpu/cpu2/cache/index0/level", "none");
        fixture.write("cpu/cpu3/cache/index0/level", "9");
        fixture.write("node/node0/cpulist", "3-1,2,,3");
        let topology = fixture.read();
        assert_eq!(topology.cpus.len(), 4);
        assert_eq!((topology.distance(0, 1), topology.distance(2, 3)), (Far, Node));
    }

    #[test]
    fn this_system_is_read() {
        let topology = Topology::of_this_system();
        for cpu in crate::allowed_cores() {
            let cpu = u32::try_from(cpu).unwrap();
            for other in 0..topology.cpus.len() as u32 + 1 {
                assert_eq!(topology.distance(cpu, other), topology.distance(other, cpu));
            }
        }
    }
}
