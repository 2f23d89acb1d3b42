//! Bugsink, which takes what Sentry's clients send.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use vc_bot::Api;

use super::{
    server::PATIENCE,
    tool::{free, of_cache},
};

const LOOK: Duration = Duration::from_millis(50);

/// An instance with one project. It is killed when this goes.
pub(crate) struct Bugsink {
    child: Child,
    folder: TempDir,
    api: Api,
    dsn: String,
}

impl Bugsink {
    /// One that is ready, or none where the set-up has not brought it.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let manage = of_cache(test, "bugsink/bin/bugsink-manage", "sentry")?;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let [address] = free();
        let host = format!("--host={}", address.ip());
        let port = format!("--port={}", address.port());
        let configure = manage.with_file_name("bugsink-create-conf");
        run(&configure, folder.path(), &["--template=local", &host, &port]);
        let configuration = folder.path().join("bugsink_conf.py");
        let mut file = OpenOptions::new().append(true).open(configuration).unwrap();
        writeln!(file, "BUGSINK[\"PHONEHOME\"] = False").unwrap();
        // It would be shared with every other instance.
        let ingestion = folder.path().join("ingestion");
        writeln!(file, "BUGSINK[\"INGEST_STORE_BASE_DIR\"] = {:?}", ingestion).unwrap();
        run(&manage, folder.path(), &["migrate"]);
        run(&manage, folder.path(), &["migrate", "snappea", "--database=snappea"]);
        let made = run(&manage, folder.path(), &["create_auth_token"]);
        let said = String::from_utf8_lossy(&made.stdout);
        let token = said.lines().last().expect("a token is printed").trim();

        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(&manage)
            .args(["runserver", "--noreload", &address.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("Bugsink is a program");
        let api = Api::new(&address.to_string()).with_token(token);
        let mut this = Self { child, folder, api, dsn: String::new() };
        this.until_ready().await;
        let team = this.make("teams", json!({"name": "vc"})).await;
        let project = this.make("projects", json!({"name": "server", "team": team})).await;
        assert_eq!(project, "1", "the instance is fresh");
        let project = this.read("projects/1/").await;
        this.dsn = project["dsn"].as_str().expect("a project has a DSN").to_owned();
        Some(this)
    }

    /// For the server.
    pub(crate) fn dsn(&self) -> &str {
        &self.dsn
    }

    /// Every event, whole, once there are that many or more.
    pub(crate) async fn events(&self, least: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let mut events = Vec::new();
            for issue in self.ids("issues/?project=1").await {
                for event in self.ids(&format!("events/?issue={issue}")).await {
                    events.push(self.read(&format!("events/{event}/")).await);
                }
            }
            if events.len() >= least {
                return events;
            }
            assert!(begun.elapsed() < PATIENCE, "waited for an event in vain: {}", self.log());
            sleep(LOOK).await;
        }
    }

    /// Everything that the instance keeps, as it is on the disk: its databases and logs.
    pub(crate) fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), std::fs::read(path).unwrap()));
                }
            }
        }
        files
    }

    async fn until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let answer = self.api.get("/health/ready").await;
            if answer.is_ok_and(|answer| answer.status == StatusCode::OK) {
                return;
            }
            let is_gone = self.child.try_wait().expect("it is ours").is_some();
            assert!(!is_gone && begun.elapsed() < PATIENCE, "no Bugsink: {}", self.log());
            sleep(LOOK).await;
        }
    }

    async fn make(&self, what: &str, body: Value) -> String {
        let answer = self.api.post(&format!("/api/canonical/0/{what}/"), &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{what}: {}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    async fn read(&self, what: &str) -> Value {
        let answer = self.api.get(&format!("/api/canonical/0/{what}")).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.body);
        answer.body
    }

    async fn ids(&self, what: &str) -> Vec<String> {
        let list = self.read(what).await;
        let all = list["results"].as_array().expect("a list").iter();
        all.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Bugsink {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

fn run(program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("Bugsink's tools are programs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    output
}
