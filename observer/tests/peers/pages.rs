//! Pages of a browser that are used as people do, by the driver of the server's own tests.

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{cache, folder::Folder, namespace::Namespace};

const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/tests/voice/pages.mjs");
const CHROMIUM: &str = "/usr/bin/chromium";
/// Longest wait for the browser to start, or for a page to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const END: Duration = Duration::from_secs(5);

/// A browser. It ends when this goes.
pub(crate) struct Browser {
    child: Child,
    answers: Receiver<String>,
    _home: Folder,
}

/// Somebody's page.
pub(crate) struct Page<'a> {
    browser: &'a RefCell<Browser>,
    pub(crate) name: &'a str,
}

impl Browser {
    /// One in a namespace, which gives its microphone to pages from `url`; nothing where the
    /// set-up did not bring Playwright.
    pub(crate) fn start(test: &str, namespace: &Namespace, url: &str) -> Option<RefCell<Self>> {
        let package = "playwright/node_modules/playwright-core/index.js";
        let playwright = cache::found(test, package, "playwright")?;
        let home = Folder::new();
        let mut command = namespace.command("node");
        command.args([Path::new(DRIVER), &playwright, Path::new(CHROMIUM)]);
        // Microphones are for pages by TLS or from loopback.
        command.arg(format!("--unsafely-treat-insecure-origin-as-secure={url}"));
        command.env("HOME", home.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let out = child.stdout.take().expect("it is piped");
        let (tell, answers) = channel();
        // Ends with the browser's output.
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.for_each(|line| drop(tell.send(line)));
        });
        Some(RefCell::new(Self { child, answers, _home: home }))
    }

    fn ask(&mut self, request: &Value, within: Duration) -> Result<Value, String> {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("{request}\n").as_bytes()).map_err(|error| error.to_string())?;
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
        let _status = self.child.wait();
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

    /// Waits until a script's value is true.
    pub(crate) fn wait(&self, script: &str, within: Duration) {
        let ms = within.as_millis() as u64;
        self.ask("wait", json!({"script": script, "ms": ms}), within);
    }

    fn ask(&self, task: &str, mut request: Value, within: Duration) -> Value {
        request["task"] = task.into();
        request["name"] = self.name.into();
        let answer = self.browser.borrow_mut().ask(&request, within);
        answer.unwrap_or_else(|error| panic!("{}: {request}: {error}\n{}", self.name, self.looks()))
    }

    /// How the page stands, for whoever reads that a test failed.
    fn looks(&self) -> String {
        const STANDS: &str = "JSON.stringify({ ...window.talk?.state(), \
            says: document.querySelector('main')?.innerText, \
            connection: window.talk?.peer?.connectionState })";
        let request = json!({"task": "evaluate", "name": self.name, "script": STANDS});
        let said = json!({"task": "said", "name": self.name});
        let mut browser = self.browser.borrow_mut();
        [request, said].map(|it| format!("{:?}\n", browser.ask(&it, Duration::ZERO))).concat()
    }
}
