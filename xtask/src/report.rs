//! `report`: the page of `smpcall report`, opened in Chromium. It must load without an error and without a request for anything else,
//! show each plot, need no more than the width that there is, also at 400 pixels, and have text that can be read, in light and in dark.
//!
//! [`browser`] drives Chromium; xtask/report/judge.js is what looks at the page from inside. That it can see a fault, pages with one
//! show first.

mod browser;

use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use browser::{Browser, View};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Debian's packages that this needs.
pub(crate) const DEBIAN: [&str; 1] = ["chromium"];

/// Looks at a page from inside.
const JUDGE: &str = include_str!("../report/judge.js");
/// What WCAG asks for (AA).
const CONTRAST_MIN: f64 = 4.5;
/// In pixels.
const TEXT_MIN: f64 = 9.0;
const BYTES_MAX: u64 = 500_000;
/// Two widths, each in light and in dark; the narrow one is that of a small phone.
const VIEWS: [View; 4] = [
    View { width: 1200, is_dark: false },
    View { width: 1200, is_dark: true },
    View { width: 400, is_dark: false },
    View { width: 400, is_dark: true },
];

/// Why it cannot be looked at, if it cannot.
pub(crate) fn missing() -> Option<String> {
    browser::version().is_none().then(|| "no chromium".to_owned())
}

/// Measures a little, makes pages, and judges them; an error if there is no browser.
pub(crate) fn run() -> Result<()> {
    let Some(version) = browser::version() else { bail!("no chromium") };
    println!("  {version}");
    let folder = sh::target_dir().join("report");
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    let mut browser = Browser::start(&folder)?;
    sees_faults(&mut browser, &folder)?;
    let pages = pages(&folder)?;
    for page in &pages {
        for view in VIEWS {
            let seen: Seen = browser.look(&page.path, view, JUDGE)?;
            let problems = seen.problems(page, view)?;
            let shot = page.path.with_extension(format!("{}.png", view.name()));
            fs::write(&shot, browser.screenshot()?)?;
            ensure!(
                problems.is_empty(),
                "{}, {}: {}",
                sh::shown(&page.path),
                view.name(),
                problems.join("; ")
            );
        }
        println!(
            "  {}: {} plots, readable at both widths, in light and in dark",
            sh::shown(&page.path),
            page.plots()
        );
    }
    println!("  screenshots beside them");
    Ok(())
}

/// A page, and how many plots of each kind it is to show.
struct Page {
    path: PathBuf,
    heat: usize,
    strip: usize,
    lines: usize,
}

impl Page {
    fn plots(&self) -> usize {
        self.heat + self.strip + self.lines
    }

    /// Of a report's own data.
    fn of(path: PathBuf, report: &Value) -> Self {
        let len = |value: &Value| value.as_array().map_or(0, Vec::len);
        Self {
            path,
            heat: if len(&report["pairs"]) > 0 { 4 } else { 0 },
            strip: len(&report["rows"]) + len(&report["peers"]["rows"]),
            lines: len(&report["growth"]),
        }
    }
}

/// This machine's page, beside an earlier report and peers; and one of 96 cores, made up of it.
fn pages(folder: &Path) -> Result<Vec<Page>> {
    let [first, second, large, peers] =
        ["first.json", "second.json", "large.json", "peers.json"].map(|name| folder.join(name));
    let smpcall = || Cmd::cargo("run --release --quiet -p smpcall-cli -- report");
    let short = "--seconds 2 --rounds 4 --posts 20000";
    smpcall().args(short).arg("--json").arg(&first).arg("--out").arg(folder.join("first.html")).read()?;
    fs::write(&peers, made_up_peers().to_string())?;
    let page = folder.join("this-machine.html");
    let said = smpcall().args(short).arg("--json").arg(&second).arg("--out").arg(&page);
    let said = said.arg("--against").arg(&first).arg("--peers").arg(&peers).read()?;
    ensure!(said.contains("within the noise"), "nothing is said of the earlier report: {said}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&second)?)?;
    let mut pages = vec![Page::of(page, &report)];
    let many = made_up(report);
    fs::write(&large, many.to_string())?;
    let page = folder.join("many-cores.html");
    smpcall().arg("--from").arg(&large).arg("--out").arg(&page).read()?;
    pages.push(Page::of(page, &many));
    for Page { path, .. } in &pages {
        let bytes = fs::metadata(path)?.len();
        ensure!(bytes <= BYTES_MAX, "{} has {bytes} bytes, more than {BYTES_MAX}", path.display());
    }
    Ok(pages)
}

fn made_up_peers() -> Value {
    let beside = |name: &str, is_floor: bool, ns: f64| {
        json!({ "name": name, "floor": is_floor, "figures": { "ns": ns }, "ratio": 100.0 / ns, "ratio_least": 90.0 / ns,
            "ratio_most": 120.0 / ns })
    };
    let row = |call: &str| {
        json!({ "group": "peers", "call": call, "target": "polling", "ours": { "ns": 100.0 },
            "beside": [beside("line", true, 60.0), beside("a channel", false, 300.0), beside("a ring", false, 250.0)] })
    };
    json!({ "machine": "a machine that was made up", "rounds": 3, "rows": [row("waiting call"), row("flood")] })
}

/// The same report, of a machine of 96 cores in four packages, each core with two threads, that has all there is to warn of.
fn made_up(mut report: Value) -> Value {
    let package = |core: u64| core / 24;
    let shown = || (0..24_u64).map(|at| at * 4);
    let pair = |from: u64, to: u64| {
        let line =
            if package(from) == package(to) { 60.0 } else { 420.0 } + ((from * 7 + to * 13) % 11) as f64;
        json!({ "from": from, "to": to, "line_ns": line, "call_ns": 1.8 * line, "futex_ns": 20_000.0 + 9.0 * line,
            "doorbell_ns": 9_000.0 + 7.0 * line })
    };
    let pairs = shown().flat_map(|from| shown().map(move |to| (from, to)));
    report["pairs"] = pairs.filter(|(from, to)| from != to).map(|(from, to)| pair(from, to)).collect();
    let core = |number: u64| {
        json!({ "number": number, "core": number / 2 * 2, "cache2": number / 2 * 2, "cache3": package(number) * 24,
            "package": package(number), "node": package(number) })
    };
    report["cores"] = (0..96).map(core).collect();
    let environment = &mut report["environment"];
    environment["hypervisor"] = json!("a hypervisor with <a name> that has to be escaped");
    environment["governors"] = json!(["powersave"]);
    environment["steal_percent"] = json!(3.5);
    environment["preempted_per_s"] = json!(250.0);
    environment["timed_between"] = json!([0, 1]);
    report
}

/// What the script found.
#[derive(Deserialize)]
struct Seen {
    title: String,
    headings: usize,
    /// Of each kind of plot how many are there.
    plots: BTreeMap<String, usize>,
    /// Those that show nothing.
    empty: Vec<String>,
    /// How wide the page is, with everything unfolded.
    width: u32,
    /// The text with the least contrast to what is behind it.
    contrast: Least,
    /// The smallest text, in pixels.
    text: Least,
    /// Whether the page's own dark colours are in force.
    is_dark: bool,
    /// What the browser said: errors, warnings, requests.
    #[serde(default)]
    complaints: Vec<String>,
}

#[derive(Deserialize)]
struct Least {
    least: f64,
    of: String,
}

impl Seen {
    /// What is wrong with it.
    fn problems(&self, page: &Page, view: View) -> Result<Vec<String>> {
        let mut problems = self.complaints.clone();
        let mut demand = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        demand(!self.title.is_empty() && self.headings > 0, "it has no title, or no headings".to_owned());
        for (kind, wanted) in [("heat", page.heat), ("strip", page.strip), ("lines", page.lines)] {
            let shown = self.plots.get(kind).copied().context("the script counts each kind")?;
            demand(shown == wanted, format!("{shown} plots of the kind {kind}, not {wanted}"));
        }
        demand(self.empty.is_empty(), format!("empty plots: {:?}", self.empty));
        demand(self.width <= view.width, format!("it is {} pixels wide", self.width));
        let Least { least, of } = &self.contrast;
        demand(*least >= CONTRAST_MIN, format!("contrast {least:.2}, less than {CONTRAST_MIN}: {of}"));
        let Least { least, of } = &self.text;
        demand(*least >= TEXT_MIN, format!("text of {least:.1} pixels: {of}"));
        demand(self.is_dark == view.is_dark, "its colours do not follow the reader's choice".to_owned());
        Ok(problems)
    }
}

/// Pages with one fault each, and what must be said of them.
fn sees_faults(browser: &mut Browser, folder: &Path) -> Result<()> {
    const PLOT: &str = "<svg class=plot-lines width=50 height=50><rect width=9 height=9 /></svg>";
    let path = folder.join("fault.html");
    let page = Page { path, heat: 0, strip: 0, lines: 1 };
    let view = View { width: 400, is_dark: true };
    let dark = "<meta name=color-scheme content='light dark'><style>:root{color-scheme:light dark}</style>";
    for (fault, body) in [
        ("", PLOT.to_owned()),
        ("no such thing", format!("{PLOT}<script>throw Error('no such thing')</script>")),
        ("asks for", format!("{PLOT}<img alt=x src='nowhere.png'>")),
        ("of the kind lines", String::new()),
        ("empty plots", "<svg class=plot-lines width=50 height=50></svg>".to_owned()),
        ("pixels wide", format!("{PLOT}<div style='width:500px'>wide</div>")),
        ("contrast", format!("{PLOT}<p style='color:#333;background:#222'>hardly to be read</p>")),
        ("text of", format!("{PLOT}<p style='font-size:6px'>small</p>")),
    ] {
        fs::write(&page.path, format!("<!doctype html><title>t</title>{dark}<h1>h</h1>{body}"))?;
        let seen: Seen = browser.look(&page.path, view, JUDGE)?;
        let problems = seen.problems(&page, view)?;
        let is_seen = match fault {
            "" => problems.is_empty(),
            _ => problems.iter().any(|problem| problem.contains(fault)),
        };
        ensure!(is_seen, "a page whose fault is {fault:?} is judged so: {problems:?}");
    }
    Ok(())
}
