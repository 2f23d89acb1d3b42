//! Chromium with several people's pages, each with a microphone that beeps.

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{namespace::Namespace, tool};

/// How long the browser may take to start, or to load a page.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const END: Duration = Duration::from_secs(5);

/// The system's.
const CHROMIUM: &str = "/usr/bin/chromium";

/// A browser. It ends when this goes.
pub(crate) struct Browser {
    child: Child,
    answers: Receiver<String>,
}

/// Somebody's page.
pub(crate) struct Page<'a> {
    browser: &'a RefCell<Browser>,
    pub(crate) name: &'a str,
}

impl Browser {
    /// One in a namespace; nothing where the set-up did not bring what it takes.
    pub(crate) fn start(test: &str, namespace: &Namespace) -> Option<RefCell<Self>> {
        let package = "playwright/node_modules/playwright-core/index.js";
        let playwright = tool::of_cache(test, package, "playwright")?;
        if !Path::new(CHROMIUM).is_file() {
            println!("skipped: {test}: no chromium: `cargo xtask setup --only packages` brings it");
            return None;
        }
        let mut command = Command::new("node");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/voice/pages.mjs"));
        command.arg(playwright).arg(CHROMIUM);
        let mut command = namespace.inside(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let out = child.stdout.take().expect("it is piped");
        let (tell, answers) = channel();
        // Ends with the browser's output.
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.for_each(|line| drop(tell.send(line)));
        });
        Some(RefCell::new(Self { child, answers }))
    }

    fn ask(&mut self, request: &Value, within: Duration) -> Result<Value, String> {
        let line = format!("{request}\n");
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        let answer = self.answers.recv_timeout(within + PATIENCE);
        let answer = answer.map_err(|error| format!("the browser says nothing: {error}"))?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|_| answer)?;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["value"].take()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < END {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // A browser ends when the pipe to it is closed.
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

impl<'a> Page<'a> {
    /// Loads a page for somebody.
    pub(crate) fn open(browser: &'a RefCell<Browser>, name: &'a str, url: &str) -> Self {
        let page = Self { browser, name };
        page.ask("open", json!({"url": url}), Duration::ZERO);
        page
    }

    pub(crate) fn fill(&self, selector: &str, value: &str) {
        self.ask("fill", json!({"selector": selector, "value": value}), Duration::ZERO);
    }

    pub(crate) fn click(&self, selector: &str) {
        self.ask("click", json!({"selector": selector}), Duration::ZERO);
    }

    /// The value of a script.
    pub(crate) fn evaluate(&self, script: &str) -> Value {
        self.ask("evaluate", json!({"script": script}), Duration::ZERO)
    }

    /// Waits until a script's value is true, and gives it.
    pub(crate) fn wait(&self, script: &str, within: Duration) -> Value {
        let ms = u64::try_from(within.as_millis()).expect("a test is not that long");
        self.ask("wait", json!({"script": script, "ms": ms}), within)
    }

    /// What the page wrote to the console.
    pub(crate) fn said(&self) -> Vec<String> {
        let said = self.ask("said", json!({}), Duration::ZERO);
        serde_json::from_value(said).expect("a list of lines")
    }

    fn ask(&self, task: &str, mut request: Value, within: Duration) -> Value {
        request["task"] = task.into();
        request["name"] = self.name.into();
        let answer = self.browser.borrow_mut().ask(&request, within);
        answer.unwrap_or_else(|error| panic!("{}: {request}: {error}\n{}", self.name, self.looks()))
    }

    /// How the page stands, for whoever reads that a test failed.
    fn looks(&self) -> String {
        let mut browser = self.browser.borrow_mut();
        let looks = "JSON.stringify({ ...window.talk?.state(), says: document.querySelector('main').innerText, \
            connection: window.talk?.peer?.connectionState, ice: window.talk?.peer?.iceConnectionState })";
        let mut tell = |request: Value| {
            let answer = browser.ask(&request, Duration::ZERO);
            answer.map_or_else(|error| error, |value| format!("{value:#}"))
        };
        let stands = tell(json!({"task": "evaluate", "name": self.name, "script": looks}));
        let said = tell(json!({"task": "said", "name": self.name}));
        format!("it stands like this: {stands}\nand said: {said}")
    }
}
