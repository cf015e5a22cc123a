//! Chromium without a window, driven by its DevTools protocol over two pipes: messages of JSON, each ended by a zero byte.

use crate::sh::Cmd;
use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use wait_timeout::ChildExt;

/// A hang guard, and nothing else.
const AT_MOST: Duration = Duration::from_secs(60);
/// Then it is killed.
const CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// The pipes are wanted as descriptors 3 and 4; a shell puts them there.
const SHELL: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";
/// Without what asks the network for something, and without the sandbox, which is not to be had by root.
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update \
    --disable-sync --disable-quic --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe";

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// In pixels.
    pub(super) width: u32,
    /// Whether the reader prefers dark colours.
    pub(super) is_dark: bool,
}

impl View {
    pub(super) fn name(self) -> String {
        format!("{}-{}", self.width, if self.is_dark { "dark" } else { "light" })
    }
}

/// What it says of itself; `None` if it is not there.
pub(super) fn version() -> Option<String> {
    Cmd::new("chromium", "--version").read().ok()
}

/// One that is running, with one page; ended when this is dropped.
pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// The page.
    session: Value,
    next_id: u64,
    /// What came while something else was waited for.
    events: Vec<Value>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to, it ends its other processes first. An error: it has ended.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        if !matches!(self.child.wait_timeout(CLOSES_WITHIN), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Browser {
    /// Starts one whose profile is below `folder`, new.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let profile = folder.join("profile");
        let _ = std::fs::remove_dir_all(&profile);
        let mut child = Command::new("sh")
            .args(["-c", SHELL, "sh", "chromium"])
            .args(FLAGS.split_whitespace())
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start chromium")?;
        let to = child.stdin.take().context("a child without the pipe that was asked for")?;
        let stdout = child.stdout.take().context("a child without the pipe that was asked for")?;
        let (sender, from) = mpsc::channel();
        // Ends with the browser.
        std::thread::spawn(move || {
            for message in BufReader::new(stdout).split(0).map_while(Result::ok) {
                if serde_json::from_slice(&message).map(|message| sender.send(message)).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self { child, to, from, session: Value::Null, next_id: 1, events: Vec::new() };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }))?["targetId"].take();
        let attach = json!({ "targetId": target, "flatten": true });
        browser.session = browser.ask("Target.attachToTarget", attach)?["sessionId"].take();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Opens a file, and has a script look at it. What the browser complains of goes in as `complaints`.
    pub(super) fn look<T: DeserializeOwned>(&mut self, page: &Path, view: View, script: &str) -> Result<T> {
        let size = json!({ "width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if view.is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", media)?;
        self.events.clear();
        let url = format!("file://{}", page.display());
        let navigated = self.ask("Page.navigate", json!({ "url": url }))?;
        ensure!(navigated["errorText"].is_null(), "{url} does not load: {}", navigated["errorText"]);
        self.until("Page.loadEventFired")?;
        let script = json!({ "expression": script, "returnByValue": true });
        let mut said = self.ask("Runtime.evaluate", script)?;
        ensure!(said["exceptionDetails"].is_null(), "the script fails: {}", said["exceptionDetails"]);
        let mut seen = said["result"]["value"].take();
        seen["complaints"] = self.events.iter().filter_map(|event| complaint(event, &url)).collect();
        Ok(serde_json::from_value(seen)?)
    }

    /// The whole page, as PNG.
    pub(super) fn screenshot(&mut self) -> Result<Vec<u8>> {
        let how = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.ask("Page.captureScreenshot", how)?;
        base64(shot["data"].as_str().context("a screenshot")?)
    }

    /// Sends a command, and waits for its answer.
    fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).context("chromium has ended")?;
        loop {
            let mut message =
                self.receive().with_context(|| format!("waiting for the answer to {method}"))?;
            if message["id"] == id {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].take());
            }
            self.events.push(message);
        }
    }

    /// Waits for an event, which may have come.
    fn until(&mut self, method: &str) -> Result<()> {
        while !self.events.iter().any(|event| event["method"] == method) {
            let message = self.receive().with_context(|| format!("waiting for {method}"))?;
            self.events.push(message);
        }
        Ok(())
    }

    fn receive(&self) -> Result<Value> {
        match self.from.recv_timeout(AT_MOST) {
            Ok(message) => Ok(message),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("chromium says nothing for {AT_MOST:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("chromium has ended"),
        }
    }
}

/// What an event complains of, if it does: an error, a warning, or a request for anything but the page.
fn complaint(event: &Value, page: &str) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(format!("a script fails: {}", params["exceptionDetails"])),
        "Runtime.consoleAPICalled" => Some(format!("a script prints: {}", params["args"])),
        "Log.entryAdded" => Some(format!("the browser complains: {}", params["entry"]["text"])),
        "Network.requestWillBeSent" => {
            let url = params["request"]["url"].as_str()?;
            (url != page).then(|| format!("it asks for {url}"))
        }
        _ => None,
    }
}

/// Decodes it; white space and the padding are passed over.
fn base64(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => bail!("no base64: {letter}"),
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        assert_eq!(base64("aGVsbG8gd29ybGQ=").unwrap(), b"hello world");
        assert_eq!(base64("/+8=").unwrap(), [0xff, 0xef]);
        assert!(base64("a-b").is_err());
    }

    #[test]
    fn what_is_a_complaint() {
        let page = "file:///p.html";
        let request = |url: &str| json!({ "method": "Network.requestWillBeSent", "params": { "request": { "url": url } } });
        assert_eq!(complaint(&request(page), page), None);
        assert!(complaint(&request("file:///other"), page).is_some());
        assert!(complaint(&json!({ "method": "Log.entryAdded", "params": {} }), page).is_some());
        assert_eq!(complaint(&json!({ "method": "Page.loadEventFired", "params": {} }), page), None);
    }
}
