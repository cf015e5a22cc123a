//! `smpcall sim --scale`: what calls cost on machines of 2 to 8192 CPUs, by the simulator's cost model; the core's calls beside
//! Linux's algorithm, as a table, as JSON, and as plots.

use crate::output::{Folder, JsonFile, progress, say, table};
use anyhow::{Context, Result};
use comfy_table::Table;
use plotters::prelude::*;
use serde_json::{Value, json};
use smpcall_sim::scale::{Algorithm, Cost, Floors, Ipi, Pair, Prediction, Price, Workload, predict, price};
use std::fs;
use std::path::{Path, PathBuf};

/// What to price.
#[derive(clap::Args)]
pub(crate) struct Scaling {
    /// Prices calls on growing machines instead, of up to so many CPUs: a model of cache lines and interrupts
    #[arg(long, value_name = "CPUS", num_args = 0..=1, require_equals = true, default_missing_value = "8192",
        value_parser = clap::value_parser!(u32).range(2..=8192))]
    pub(super) scale: Option<u32>,
    /// With --scale: how interrupts are sent (x2apic, x2apic-cluster, sbi, gic)
    #[arg(long, value_name = "MODE", requires = "scale", default_value = "x2apic-cluster", value_parser = ipi)]
    ipi: Ipi,
    /// With --scale: writes a plot for each shape of calls into this folder, as SVG
    #[arg(long, value_name = "DIR", requires = "scale")]
    plots: Option<PathBuf>,
    /// With --scale: takes the near costs from the floors in the JSON file of a `smpcall run`, and predicts rows of its table
    #[arg(long, value_name = "FILE", requires = "scale")]
    calibrate: Option<PathBuf>,
}

fn ipi(text: &str) -> Result<Ipi, String> {
    Ipi::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
        let names: Vec<_> = Ipi::ALL.iter().map(|mode| mode.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

/// Prices under both algorithms, on machines of growing size.
struct Curve {
    workload: Workload,
    ours: Vec<Price>,
    linux: Vec<Price>,
}

/// Prices, prints, writes.
pub(super) fn run(args: &Scaling, cpus_max: u32, json: Option<JsonFile>) -> Result<()> {
    let plots = args.plots.as_deref().map(Plots::open).transpose()?;
    let measured = args.calibrate.as_deref().map(Measured::read).transpose()?;
    let near = measured.as_ref().map_or_else(Cost::default, |run| run.floors.calibrate());
    let cost = Cost { ipi: args.ipi, ..near };
    let predictions = measured.as_ref().map(|run| run.predictions(&cost)).unwrap_or_default();
    let curves = curves(cpus_max, &cost);
    if let Some(plots) = &plots {
        curves.iter().try_for_each(|curve| plots.write(curve))?;
    }
    if let Some(json) = json {
        let predicted: Vec<Value> = predictions.iter().map(PredictedRow::json).collect();
        let rows: Vec<Value> = curves.iter().flat_map(Curve::json).collect();
        let results = json!({ "ipi": cost.ipi.name(), "near_ns": cost.near_ns, "far_ns": cost.far_ns,
            "upgrade_ns": cost.upgrade_ns, "hit_ns": cost.hit_ns, "rmw_ns": cost.rmw_ns, "pause_ns": cost.pause_ns,
            "predictions": predicted, "rows": rows });
        json.write_results("smpcall.sim-scale/1", &results)?;
    }
    if let Some(run) = &measured {
        run.print(&cost, &predictions)?;
    }
    curves.iter().try_for_each(|curve| {
        say!("\n{}: {}\n{}", curve.workload.name(), curve.workload.description(), curve.table())
    })
}

/// The folder of the plots.
struct Plots<'a> {
    path: &'a Path,
    folder: Folder,
}

impl<'a> Plots<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let open = || -> Result<Folder> {
            fs::create_dir_all(path)?;
            Folder::open(path)
        };
        let folder = open().with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(Self { path, folder })
    }

    fn write(&self, curve: &Curve) -> Result<()> {
        let place = self.path.join(format!("{}.svg", curve.workload.name()));
        let plot = curve.plot().map_err(|error| anyhow::anyhow!("cannot draw: {error}"));
        plot.and_then(|plot| self.folder.replace(&place, plot.as_bytes()))
            .with_context(|| format!("cannot write {}", place.display()))
    }
}

fn curves(cpus_max: u32, cost: &Cost) -> Vec<Curve> {
    let sizes = |workload: Workload| {
        (1..=13).map(|power| 1 << power).filter(move |cpus| *cpus <= cpus_max.min(workload.cpus_max()))
    };
    let steps = Workload::ALL.into_iter().map(|workload| sizes(workload).count()).sum::<usize>();
    let bar = progress(steps as u64, "sim --scale");
    let curve = |workload| {
        let mut curve = Curve { workload, ours: Vec::new(), linux: Vec::new() };
        for cpus in sizes(workload) {
            curve.ours.push(price(workload, Algorithm::Ours, cpus, cost));
            curve.linux.push(price(workload, Algorithm::Linux, cpus, cost));
            bar.inc(1);
        }
        curve
    };
    let curves = Workload::ALL.map(curve);
    bar.finish_and_clear();
    curves.into()
}

impl Curve {
    fn table(&self) -> Table {
        let header = ["CPUs", "ns", "linux", "×", "lines", "linux", "doorbells", "linux", "bytes", "linux"];
        let cells = |(ours, linux): (&Price, &Price)| {
            let pair = |of: fn(&Price) -> f64| [ours, linux].map(|price| format!("{:.0}", of(price)));
            let ([ns, linux_ns], [lines, linux_lines]) =
                (pair(|price| price.ns), pair(|price| price.transfers));
            let [doorbells, linux_doorbells] = pair(|price| price.doorbells);
            let [bytes, linux_bytes] = [ours, linux].map(|price| price.bytes.to_string());
            let ratio = format!("{:.2}", ours.ns / linux.ns);
            let cpus = ours.cpus.to_string();
            [cpus, ns, linux_ns, ratio, lines, linux_lines, doorbells, linux_doorbells, bytes, linux_bytes]
        };
        table(header, self.ours.iter().zip(&self.linux).map(cells))
    }

    fn json(&self) -> Vec<Value> {
        let row = |algorithm: Algorithm, price: &Price| {
            json!({ "workload": self.workload.name(), "algorithm": algorithm.name(), "cpus": price.cpus, "ns": price.ns,
                "transfers": price.transfers, "doorbells": price.doorbells, "bytes": price.bytes })
        };
        let ours = self.ours.iter().map(|price| row(Algorithm::Ours, price));
        ours.chain(self.linux.iter().map(|price| row(Algorithm::Linux, price))).collect()
    }

    /// As SVG.
    fn plot(&self) -> Result<String, Box<dyn std::error::Error>> {
        let mut plot = String::new();
        self.draw(&mut plot)?;
        Ok(plot)
    }

    fn draw(&self, plot: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let all = || self.ours.iter().chain(&self.linux);
        let (low, high) =
            all().fold((f64::MAX, 0.0_f64), |(low, high), price| (low.min(price.ns), high.max(price.ns)));
        let cpus_max = all().map(|price| price.cpus).max().unwrap_or(2);
        let root = SVGBackend::with_string(plot, (640, 420)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(format!("{}: ns by number of CPUs (model)", self.workload.name()), ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d((2..cpus_max).log_scale(), (low / 2.0..high * 2.0).log_scale())?;
        chart.configure_mesh().x_desc("CPUs").y_desc("ns").draw()?;
        for (prices, name, colour) in [(&self.ours, "smpcall", BLUE), (&self.linux, "Linux's algorithm", RED)]
        {
            let points = prices.iter().map(|price| (price.cpus, price.ns));
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        root.present()?;
        Ok(())
    }
}

/// By how much a prediction may be off before it is said to be.
const OFF_MAX: f64 = 0.3;

/// What a `smpcall run` has measured.
struct Measured {
    floors: Floors,
    rows: Vec<(String, f64)>,
}

/// A row of its table, predicted.
struct PredictedRow {
    row: &'static str,
    predicted: Prediction,
    measured_ns: f64,
}

impl PredictedRow {
    /// Of what was measured.
    fn off(&self) -> f64 {
        self.predicted.ns / self.measured_ns - 1.0
    }

    fn is_far_off(&self) -> bool {
        self.off().abs() > OFF_MAX
    }

    fn json(&self) -> Value {
        let Prediction { ns, range_ns: (low, high) } = self.predicted;
        json!({ "row": self.row, "predicted_ns": ns, "predicted_ns_low": low, "predicted_ns_high": high,
            "measured_ns": self.measured_ns, "off": self.off() })
    }
}

impl Measured {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let run: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        Self::of(&run).with_context(|| format!("{} is not what `smpcall run --json` writes", path.display()))
    }

    fn of(run: &Value) -> Option<Self> {
        let more_than_none = |ns: &f64| *ns > 0.0;
        let floor = |key: &str| run["floor"][key].as_f64().filter(more_than_none);
        let row = |row: &Value| Some((row["call"].as_str()?.to_owned(), row["ns_p50"].as_f64()?));
        let rows = run["rows"].as_array()?;
        let oneself = rows.iter().find(|row| row["call"] == "post to oneself")?;
        let floors = Floors {
            line_ns: floor("cache_line_rtt_ns")?,
            looked_at_ns: floor("looked_at_line_rtt_ns")?,
            fetch_or_ns: floor("fetch_or_ns")?,
            pause_ns: floor("pause_ns")?,
            oneself_ns: oneself["ns_p50"].as_f64().filter(more_than_none)?,
        };
        let polling = rows.iter().filter(|row| row["target"] == "polling");
        Some(Self { floors, rows: polling.filter_map(row).collect() })
    }

    fn predictions(&self, cost: &Cost) -> Vec<PredictedRow> {
        let measured = |pair: Pair| self.rows.iter().find(|(call, _)| call == pair.name()).map(|(_, ns)| *ns);
        let predicted = |pair: Pair| {
            let measured_ns = measured(pair)?;
            Some(PredictedRow { row: pair.name(), predicted: predict(pair, cost), measured_ns })
        };
        Pair::ALL.into_iter().filter_map(predicted).collect()
    }

    /// What was taken over, and what comes of it.
    fn print(&self, cost: &Cost, predictions: &[PredictedRow]) -> Result<()> {
        let Floors { line_ns, looked_at_ns, fetch_or_ns, pause_ns, oneself_ns } = self.floors;
        say!(
            "Measured: a line's round trip {line_ns:.1} ns, looked at {looked_at_ns:.1} ns, fetch_or {fetch_or_ns:.1} ns, a \
             pause {pause_ns:.1} ns, a post to oneself {oneself_ns:.1} ns"
        )?;
        say!(
            "so that a line is fetched in {:.1} ns and taken from who looks in {:.1} ns, and an access at hand takes {:.2} ns",
            cost.near_ns,
            cost.upgrade_ns,
            cost.hit_ns
        )?;
        let header = ["row", "predicted ns", "from", "to", "measured ns", "off by", ""];
        let cells = |row: &PredictedRow| {
            let Prediction { ns, range_ns: (low, high) } = row.predicted;
            let [ns, low, high, measured] = [ns, low, high, row.measured_ns].map(|ns| format!("{ns:.1}"));
            let far = if row.is_far_off() { "beyond 30 %" } else { "" };
            let off = format!("{:+.0} %", 100.0 * row.off());
            [row.row.to_owned(), ns, low, high, measured, off, far.to_owned()]
        };
        let table = table(header, predictions.iter().map(cells));
        say!("{table}")
    }
}
