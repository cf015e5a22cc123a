//! `smpcall sim --scale`: what calls cost on machines of 2 to 8192 CPUs, by the simulator's cost model; the core's calls beside
//! Linux's algorithm, as a table, as JSON, and as plots.

use crate::output::{JsonFile, progress};
use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use plotters::prelude::*;
use serde_json::{Value, json};
use smpcall_sim::scale::{Algorithm, Cost, Ipi, Pair, Price, Workload, calibrated, predict, price};
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
    /// With --scale: takes the near costs from the JSON file of a `smpcall run`, and predicts its rows
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
    if let Some(dir) = &args.plots {
        fs::create_dir_all(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    }
    let measured = args.calibrate.as_deref().map(Measured::read).transpose()?;
    let near = measured.as_ref().map_or_else(Cost::default, |run| calibrated(run.line_ns, run.fetch_or_ns));
    let cost = Cost { ipi: args.ipi, ..near };
    let predictions = measured.as_ref().map(|run| run.predictions(&cost)).unwrap_or_default();
    for prediction in &predictions {
        println!(
            "{}: predicted {:.1} ns, measured {:.1} ns, {:+.0} %",
            prediction.row,
            prediction.ns,
            prediction.measured_ns,
            100.0 * (prediction.ns / prediction.measured_ns - 1.0)
        );
    }
    let curves = curves(cpus_max, &cost);
    for curve in &curves {
        println!("\n{}: {}\n{}", curve.workload.name(), curve.workload.description(), curve.table());
        if let Some(dir) = &args.plots {
            curve.plot(&dir.join(format!("{}.svg", curve.workload.name())))?;
        }
    }
    if let Some(json) = json {
        let predicted: Vec<Value> = predictions.iter().map(Prediction::json).collect();
        let rows: Vec<Value> = curves.iter().flat_map(Curve::json).collect();
        json.write(&json!({ "ipi": cost.ipi.name(), "near_ns": cost.near_ns, "far_ns": cost.far_ns,
            "rmw_ns": cost.rmw_ns, "predictions": predicted, "rows": rows }))?;
    }
    Ok(())
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
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header([
            "CPUs",
            "ns",
            "linux",
            "×",
            "lines",
            "linux",
            "doorbells",
            "linux",
            "bytes",
            "linux",
        ]);
        for (ours, linux) in self.ours.iter().zip(&self.linux) {
            table.add_row([
                ours.cpus.to_string(),
                format!("{:.0}", ours.ns),
                format!("{:.0}", linux.ns),
                format!("{:.2}", ours.ns / linux.ns),
                format!("{:.0}", ours.transfers),
                format!("{:.0}", linux.transfers),
                format!("{:.0}", ours.doorbells),
                format!("{:.0}", linux.doorbells),
                ours.bytes.to_string(),
                linux.bytes.to_string(),
            ]);
        }
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn json(&self) -> Vec<Value> {
        let row = |algorithm: Algorithm, price: &Price| {
            json!({ "workload": self.workload.name(), "algorithm": algorithm.name(), "cpus": price.cpus, "ns": price.ns,
                "transfers": price.transfers, "doorbells": price.doorbells, "bytes": price.bytes })
        };
        let ours = self.ours.iter().map(|price| row(Algorithm::Ours, price));
        ours.chain(self.linux.iter().map(|price| row(Algorithm::Linux, price))).collect()
    }

    fn plot(&self, path: &Path) -> Result<()> {
        self.draw(path).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
    }

    fn draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error + '_>> {
        let all = || self.ours.iter().chain(&self.linux);
        let (low, high) =
            all().fold((f64::MAX, 0.0_f64), |(low, high), price| (low.min(price.ns), high.max(price.ns)));
        let cpus_max = all().map(|price| price.cpus).max().unwrap_or(2);
        let root = SVGBackend::new(path, (640, 420)).into_drawing_area();
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

/// What a `smpcall run` has measured.
struct Measured {
    line_ns: f64,
    fetch_or_ns: f64,
    rows: Vec<(String, f64)>,
}

/// A row of its table, predicted.
struct Prediction {
    row: &'static str,
    ns: f64,
    measured_ns: f64,
}

impl Prediction {
    fn json(&self) -> Value {
        json!({ "row": self.row, "predicted_ns": self.ns, "measured_ns": self.measured_ns })
    }
}

impl Measured {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let run: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        let floor = |key: &str| run["floor"][key].as_f64().filter(|ns| *ns > 0.0);
        let (Some(line_ns), Some(fetch_or_ns), Some(rows)) =
            (floor("cache_line_rtt_ns"), floor("fetch_or_ns"), run["rows"].as_array())
        else {
            bail!("{} is not what `smpcall run --json` writes", path.display());
        };
        let polling = |row: &&Value| row["target"] == "polling";
        let row = |row: &Value| Some((row["call"].as_str()?.to_owned(), row["ns_p50"].as_f64()?));
        Ok(Self { line_ns, fetch_or_ns, rows: rows.iter().filter(polling).filter_map(row).collect() })
    }

    fn predictions(&self, cost: &Cost) -> Vec<Prediction> {
        let measured = |pair: Pair| self.rows.iter().find(|(call, _)| call == pair.name()).map(|(_, ns)| *ns);
        let predicted = |pair: Pair| {
            Some(Prediction { row: pair.name(), ns: predict(pair, cost), measured_ns: measured(pair)? })
        };
        Pair::ALL.into_iter().filter_map(predicted).collect()
    }
}
