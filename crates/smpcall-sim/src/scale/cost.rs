//! What things cost: the constants of the model, in one table, with their sources.
//!
//! | constant | value | source |
//! |---|---|---|
//! | `near_ns` | 12 | about a quarter of a line's round trip between two cores of one cluster, as `smpcall run` measures it (54.5 ns on two virtual cores of an AMD EPYC): each way is a line made exclusive and a line fetched |
//! | `far_ns` | 80 | the same between cores far apart (320 to 330 ns on that machine, on other days) |
//! | `shared_ns` | 5 | an assumption: a line that many read is served by its home one after another, faster than it travels |
//! | `hold_ns` | 3 | an assumption: so long a core keeps a line that it got to write, whoever asks for it: its instruction and a few more |
//! | `hit_ns` | 0.5 | a load or store of a line at hand, with the instructions around it |
//! | `rmw_ns` | 2.6 | an uncontended `fetch_or`, as `smpcall run` measures it |
//! | `pause_ns` | 10 | a spin's pause instruction (some 40 cycles) |
//! | `cluster` | 8 | an assumption: so many cores are near to each other, as behind one third-level cache of that EPYC |
//! | `entry_ns`, `exit_ns` | 300, 100 | an assumption: an interrupt's way into its handler, and its acknowledgement and return |
//! | `function_ns` | 100 | an assumption: what a called function does, a TLB entry thrown out, say |
//!
//! Of the interrupt controllers, by [`Ipi`]:
//!
//! | mode | one write reaches | write | flight | source |
//! |---|---|---|---|---|
//! | x2APIC, unicast | one CPU | 100 ns | 500 ns | an assumption, of the order that is quoted for it: about 100 ns for each send, 1 to 3 µs for the round trip |
//! | x2APIC, cluster | up to 16 of one cluster | 100 ns | 500 ns | Intel SDM vol. 3, 11.12.9 (logical destination: 16 CPUs a cluster); times as above |
//! | SBI | up to 64 harts of one mask | 400 ns | 500 ns | RISC-V SBI 2.0, ch. 7 (a mask of XLEN harts a call); an ecall and a software interrupt for each, an assumption |
//! | GICv3 | up to 16 of one affinity group | 150 ns | 500 ns | Arm IHI 0069, ICC_SGI1R_EL1 (target list of 16); Norov's benchmark on a 112-CPU ThunderX2 has 23 µs for a broadcast and 6.3 µs for one |
//!
//! An assumption is just that: the two algorithms are compared under the same ones, and `smpcall sim --scale` takes others.

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

/// The constants; the module has their table.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is explained in the module's table")]
pub struct Cost {
    pub near_ns: f64,
    pub far_ns: f64,
    pub shared_ns: f64,
    pub hold_ns: f64,
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
            near_ns: 12.0,
            far_ns: 80.0,
            shared_ns: 5.0,
            hold_ns: 3.0,
            hit_ns: 0.5,
            rmw_ns: 2.6,
            pause_ns: 10.0,
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

    /// How many writes it takes to interrupt the CPUs `first + n` for each bit `n`.
    pub(super) fn ipi_writes(&self, first: u32, mut cpus: usize) -> u32 {
        let reach = self.ipi.reach();
        let mut writes = 0;
        while cpus != 0 {
            let group = (first + cpus.trailing_zeros()) / reach;
            writes += 1;
            while cpus != 0 && (first + cpus.trailing_zeros()) / reach == group {
                cpus &= cpus - 1;
            }
        }
        writes
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
        let with = |ipi| Cost { ipi, ..Cost::default() };
        assert_eq!(with(Ipi::X2apic).ipi_writes(0, 0b1011), 3);
        assert_eq!(with(Ipi::X2apicCluster).ipi_writes(0, 0xffff), 1);
        assert_eq!(with(Ipi::X2apicCluster).ipi_writes(64, 0x1_8001), 2);
        assert_eq!(with(Ipi::X2apicCluster).ipi_writes(64, usize::MAX), usize::BITS / 16);
        assert_eq!(with(Ipi::Sbi).ipi_writes(128, usize::MAX), 1);
        assert_eq!(with(Ipi::Gic).ipi_writes(0, 0), 0);
    }

    #[test]
    fn near_is_nearer_than_far() {
        let cost = Cost::default();
        assert!(cost.transfer(0, 7) < cost.transfer(7, 8));
        assert_eq!(cost.transfer(9, 15), ps(cost.near_ns));
    }
}
