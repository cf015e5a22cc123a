//! What things cost: the constants of the model.

/// How interrupts reach other CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipi {
    /// x2APIC, one CPU a write.
    X2apic,
    /// x2APIC, up to 16 CPUs of one cluster a write.
    X2apicCluster,
    /// RISC-V SBI, up to 64 harts a call.
    Sbi,
    /// Arm GICv3, up to 16 CPUs of one affinity group a write.
    Gic,
}

impl Ipi {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::X2apic, Self::X2apicCluster, Self::Sbi, Self::Gic];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::X2apic => "x2apic",
            Self::X2apicCluster => "x2apic-cluster",
            Self::Sbi => "sbi",
            Self::Gic => "gic",
        }
    }

    /// How many CPUs, neighbours by number, one write reaches.
    fn reach(self) -> u32 {
        match self {
            Self::X2apic => 1,
            Self::X2apicCluster | Self::Gic => 16,
            Self::Sbi => 64,
        }
    }

    /// What one write costs the sender.
    fn write_ns(self) -> f64 {
        match self {
            Self::X2apic | Self::X2apicCluster => 100.0,
            Self::Sbi => 400.0,
            Self::Gic => 150.0,
        }
    }
}

/// What things cost: the constants of the model, with their sources.
///
/// | constant | value | source |
/// |---|---|---|
/// | `near_ns` | 27 | half of a line's round trip between two cores of one cluster, as `smpcall run` measures it (54.5 ns on two virtual cores of an AMD EPYC): each side writes at once when it has seen the other's word, so that the line moves twice |
/// | `far_ns` | 160 | the same between cores far apart (320 to 330 ns on that machine, on other days) |
/// | `upgrade_ns` | 45 | half of what the round trip of a line at which the other side looks before it is written takes more: 143 ns instead of 58, on another EPYC |
/// | `upgrade_far_ns` | 45 | an assumption: far apart it took no more there (365 to 390 ns, both) |
/// | a quarter | of a journey | a request's way to who has the line. There, on near cores, a write costs nothing more if it comes within 5 ns of the line, and an upgrade if it comes after 9. Of two such cores that push on one list as fast as they can, with a load and a compare-and-swap, at most 8 % of the pushes need a second try, and less than 0.05 % a third |
/// | `shared_ns` | 5 | an assumption: a line that many read is served by its home one after another, faster than it travels |
/// | `hit_ns` | 1 | a load or store of a line at hand, with the instructions around it: a post to oneself with its flush, as `smpcall run` measures it, less its read-modify-writes |
/// | `rmw_ns` | 2.6 | an uncontended `fetch_or`, as `smpcall run` measures it |
/// | `pause_ns` | 18 | a waiting caller's pause between two looks, as `smpcall run` measures it |
/// | `cluster` | 8 | an assumption: so many cores are near to each other, as behind one third-level cache of that EPYC |
/// | `entry_ns`, `exit_ns` | 300, 100 | an assumption: an interrupt's way into its handler, and its acknowledgement and return |
/// | `function_ns` | 100 | an assumption: what a called function does, a TLB entry thrown out, say |
///
/// Of the interrupt controllers, by [`Ipi`]:
///
/// | mode | one write reaches | write | flight | source |
/// |---|---|---|---|---|
/// | x2APIC, unicast | one CPU | 100 ns | 500 ns | an assumption, of the order that is quoted for it: about 100 ns for each send, 1 to 3 µs for the round trip |
/// | x2APIC, cluster | up to 16 of one cluster | 100 ns | 500 ns | Intel SDM vol. 3, 11.12.9 (logical destination: 16 CPUs a cluster); times as above |
/// | SBI | up to 64 harts of one mask | 400 ns | 500 ns | RISC-V SBI 2.0, ch. 7 (a mask of XLEN harts a call); an ecall and a software interrupt for each, an assumption |
/// | GICv3 | up to 16 of one affinity group | 150 ns | 500 ns | Arm IHI 0069, ICC_SGI1R_EL1 (target list of 16); Norov's benchmark on a 112-CPU ThunderX2 has 23 µs for a broadcast and 6.3 µs for one |
///
/// An assumption is just that: the two algorithms are compared under the same ones, and `smpcall sim --scale` takes others.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is explained in the table above")]
pub struct Cost {
    pub near_ns: f64,
    pub far_ns: f64,
    pub upgrade_ns: f64,
    pub upgrade_far_ns: f64,
    pub shared_ns: f64,
    pub hit_ns: f64,
    pub rmw_ns: f64,
    pub pause_ns: f64,
    pub cluster: u32,
    pub entry_ns: f64,
    pub exit_ns: f64,
    pub function_ns: f64,
    pub flight_ns: f64,
    pub ipi: Ipi,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            near_ns: 27.0,
            far_ns: 160.0,
            upgrade_ns: 45.0,
            upgrade_far_ns: 45.0,
            shared_ns: 5.0,
            hit_ns: 1.0,
            rmw_ns: 2.6,
            pause_ns: 18.0,
            cluster: 8,
            entry_ns: 300.0,
            exit_ns: 100.0,
            function_ns: 100.0,
            flight_ns: 500.0,
            ipi: Ipi::X2apicCluster,
        }
    }
}

/// Time inside of the model, in picoseconds: integers, so that sums do not depend on their order.
pub(super) type Ps = u64;

pub(super) fn ps(ns: f64) -> Ps {
    (ns * 1000.0).round() as Ps
}

impl Cost {
    /// What it takes to move a line from one CPU's cache to another's.
    pub(super) fn transfer(&self, from: u32, to: u32) -> Ps {
        ps(if from / self.cluster == to / self.cluster { self.near_ns } else { self.far_ns })
    }

    /// Of the CPUs `first + n` for each bit `n`, at least one, those that the next write interrupts.
    pub(super) fn ipi_reaches(&self, first: u32, cpus: usize) -> usize {
        let reach = self.ipi.reach();
        let lowest = cpus.trailing_zeros();
        let beyond = ((first + lowest) / reach + 1) * reach - first;
        cpus & usize::MAX.checked_shl(beyond).map_or(usize::MAX, |others| !others)
    }

    pub(super) fn ipi_write(&self) -> Ps {
        ps(self.ipi.write_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_reaches_what_its_mode_says() {
        let writes = |ipi, first, mut cpus| {
            let cost = Cost { ipi, ..Cost::default() };
            let mut writes = 0;
            while cpus != 0 {
                cpus &= !cost.ipi_reaches(first, cpus);
                writes += 1;
            }
            writes
        };
        assert_eq!(writes(Ipi::X2apic, 0, 0b1011), 3);
        assert_eq!(writes(Ipi::X2apicCluster, 0, 0xffff), 1);
        assert_eq!(writes(Ipi::X2apicCluster, 64, 0x1_8001), 2);
        assert_eq!(writes(Ipi::X2apicCluster, 8, 0x1ff), 2);
        assert_eq!(writes(Ipi::X2apicCluster, 64, usize::MAX), usize::BITS / 16);
        assert_eq!(writes(Ipi::Sbi, 128, usize::MAX), 1);
    }

    #[test]
    fn near_is_nearer_than_far() {
        let cost = Cost::default();
        assert!(cost.transfer(0, 7) < cost.transfer(7, 8));
        assert_eq!(cost.transfer(9, 15), ps(cost.near_ns));
    }
}
