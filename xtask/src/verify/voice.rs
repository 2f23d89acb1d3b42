//! `verify voice`: people who come to voice rooms and go, beside a call that goes on.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::artifact;
use crate::command::{cargo, command};
use crate::place::Places;
use crate::terminal::{bold, green, red};

/// As many as come and go, and how long they stay: more than a small machine lets in at once.
const RESTLESS: [&str; 10] =
    ["--bots", "320", "--rooms", "80", "--speakers", "1", "--slots", "1", "--churn", "900ms"];

/// How much more memory there may be at most in the second half of the time than in the first:
/// nobody who came is there still. It goes up and down with the passwords that are hashed.
const GROWTH: f64 = 1.15;

/// Descriptors that may stay: connections to the database are opened when they are needed.
const DESCRIPTORS: usize = 64;

/// Joins, and leaves, in a second at least, so that it is one to speak of.
const LEAST: f64 = 100.0;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// What a server holds at a moment.
#[derive(Debug)]
struct Held {
    kib: u64,
    descriptors: usize,
}

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Has them come and go for so long.
pub(super) fn main(places: &Places, minutes: u32) -> Result<ExitCode> {
    let mut build = cargo();
    build.args(["build", "--release", "-p", "vc-server", "-p", "vc-bot", "--bins"]);
    let built = artifact::build(build.current_dir(&places.root))?;
    let (server, bot) = (built.executable("vc-server", "bin")?, built.executable("vc-bot", "bin")?);
    let folder = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let log = folder.path().join("server.log");
    let mut serve = command(server);
    serve.arg("run").current_dir(folder.path()).env("VC_LISTEN", &address);
    serve.env("VC_AUTH_ATTEMPTS_PER_MINUTE", "100000").env("OBSERVABILITY_ENABLED", "false");
    let mut server = start(serve.stdout(fs::File::create(&log)?))?;
    let begun = Instant::now();
    while TcpStream::connect(&address).is_err() {
        ensure!(begun.elapsed() < PATIENCE, "vc-server does not listen on {address}");
        sleep(Duration::from_millis(50));
    }
    let time = Duration::from_secs(60) * minutes;
    println!("people come to voice rooms and go, for {} s", time.as_secs());
    let before = held(server.0.id())?;
    let calm = call(bot, &address, time, &["--bots", "4"])?;
    let restless = call(bot, &address, time, &RESTLESS)?;
    let restless = thread::spawn(move || restless.wait());
    let mut looks = Vec::new();
    while !restless.is_finished() {
        looks.push(held(server.0.id())?.kib);
        sleep(LOOK);
    }
    let restless = restless.join().ok().context("it only reads")??;
    let calm = calm.wait()?;
    let after = held(server.0.id())?;
    let (first, second) = looks.split_at(looks.len() / 2);
    let most = |half: &[u64]| half.iter().max().copied().unwrap_or_default();
    let (first, second) = (most(first), most(second));
    ensure!(server.0.try_wait()?.is_none(), "vc-server has ended by itself: {}", last(&log));
    let log = fs::read_to_string(&log)?;

    let (joins, left) = (&restless["total"]["joins"], restless["total"]["lost"].as_u64());
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let rate = number(&joins["joined"]) / time.as_secs_f64();
    let growth = second as f64 / first as f64;
    let verdicts = [
        (format!("{rate:.0} joins and as many leaves a second"), rate >= LEAST),
        (
            format!("{} of {} joined", joins["joined"], joins["tried"]),
            joins["joined"] == joins["tried"],
        ),
        (
            format!("{} packets that they should have heard were lost", restless["total"]["lost"]),
            left == Some(0),
        ),
        (
            format!(
                "the call heard {} packets, lost {}; 99 % within {} ms",
                calm["total"]["received"], calm["total"]["lost"], calm["total"]["delay_ms"]["p99"]
            ),
            calm["is_well"] == true && number(&calm["total"]["received"]) > 0.0,
        ),
        (
            format!("at most {first} KiB of memory in the first half, {second} in the second"),
            growth <= GROWTH,
        ),
        (
            format!("{} descriptors before, {} after", before.descriptors, after.descriptors),
            after.descriptors <= before.descriptors + DESCRIPTORS,
        ),
        ("no panic".to_owned(), !log.contains("server.panic")),
    ];
    println!("{}", bold("voice"));
    for (what, is_well) in &verdicts {
        println!("  {} {what}", if *is_well { green("ok") } else { red("FAILED") });
    }
    let is_well = verdicts.iter().all(|(_, is_well)| *is_well);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start(command: &mut Command) -> Result<Process> {
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(Process(child.with_context(|| format!("cannot start {command:?}"))?))
}

/// A call that has begun.
struct Call(Process);

fn call(bot: &Path, address: &str, time: Duration, more: &[&str]) -> Result<Call> {
    let time = format!("{}s", time.as_secs());
    let mut call = command(bot);
    call.args(["call", "--server", address, "--format", "json", "--time", &time]).args(more);
    Ok(Call(start(call.stdout(Stdio::piped()))?))
}

impl Call {
    /// What came of it.
    fn wait(mut self) -> Result<Value> {
        let output = self.0.0.stdout.take().context("its output is piped")?;
        serde_json::from_reader(output).context("vc-bot printed no report")
    }
}

fn held(id: u32) -> Result<Held> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = kib.trim().trim_end_matches(" kB").parse().context("/proc says no memory")?;
    Ok(Held { kib, descriptors: fs::read_dir(format!("/proc/{id}/fd"))?.count() })
}

fn last(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.lines().next_back().unwrap_or_default().to_owned()
}
