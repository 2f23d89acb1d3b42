//! People who talk by way of an SFU: a real server, and bots that check what they hear.

use std::{
    fs, io,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{Slice, Traffic, clock::Clock, condition::Condition, echo::Spell};

/// In a room of so many these talk: for each packet that the server receives it sends 49.
const BOTS: &str = "50";
const SPEAKERS: &str = "10";

/// How long the call may take to be under way.
const PATIENCE: Duration = Duration::from_secs(90);

/// Datagrams in a second of a call that is under way.
const UNDER_WAY: u64 = 2_000;

/// A call.
pub(crate) struct Call {
    server: Process,
    bots: Process,
    _folder: TempDir,
}

/// A process that ends with this.
struct Process {
    child: Child,
    clock: Clock,
}

/// Moves this process, and what it starts, where nobody else sends anything.
pub(crate) fn be_alone() -> Result<()> {
    // SAFETY: no memory is involved.
    let error = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    ensure!(error == 0, "cannot make a network namespace: {}", io::Error::last_os_error());
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    ensure!(up.context("cannot start ip")?.success(), "loopback does not come up");
    Ok(())
}

impl Call {
    /// Returns when everybody talks.
    pub(crate) fn start(server: &str, bot: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut serve = Command::new(server);
        serve.arg("run").current_dir(folder.path()).env("VC_LISTEN", &address);
        serve.env("VC_AUTH_ATTEMPTS_PER_MINUTE", "100000").env("OBSERVABILITY_ENABLED", "false");
        let server = Process::start(&mut serve)?;
        let begun = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "the server does not listen");
            sleep(Duration::from_millis(50));
        }
        let mut talk = Command::new(bot);
        talk.args(["call", "--server", &address, "--bots", BOTS, "--speakers", SPEAKERS]);
        // It is ended before.
        let bots = Process::start(talk.args(["--time", "1day"]))?;
        let call = Self { server, bots, _folder: folder };
        loop {
            let before = datagrams()?;
            sleep(Duration::from_secs(1));
            if datagrams()? - before >= UNDER_WAY {
                return Ok(call);
            }
            ensure!(begun.elapsed() < PATIENCE, "the bots do not talk");
        }
    }

    /// Makes sure that it went on to here.
    pub(crate) fn end(mut self) -> Result<()> {
        for process in [&mut self.server, &mut self.bots] {
            ensure!(process.child.try_wait()?.is_none(), "the call has ended by itself");
        }
        Ok(())
    }

    fn cpu(&self) -> Duration {
        self.server.clock.now() + self.bots.clock.now()
    }
}

impl Traffic for Call {
    fn name(&self) -> &'static str {
        "Voice by way of vc-server: 50 in a room, 10 talk"
    }

    /// Speech has pauses, so some slices have more to carry than others.
    fn has_budgets(&self) -> bool {
        false
    }

    fn alternations(&self) -> u32 {
        2
    }

    fn spell(&mut self, _: Condition, slice: Slice) -> Result<Spell> {
        let time = match slice {
            Slice::WarmUp => Duration::from_millis(20),
            Slice::Short => Duration::from_millis(400),
            Slice::Long => Duration::from_millis(1_200),
        };
        let (cpu, packets) = (self.cpu(), datagrams()?);
        sleep(time);
        let (cpu, packets) = (self.cpu().saturating_sub(cpu), datagrams()? - packets);
        ensure!(packets > 0 || slice == Slice::WarmUp, "nobody talks any more");
        Ok(Spell { cpu, packets, round_trips: Vec::new() })
    }
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let clock = Clock::of_process(child.id())?;
        Ok(Self { child, clock })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// UDP datagrams that were sent in this network namespace.
fn datagrams() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut all = names.split(' ').zip(values.split(' '));
    let sent = all.find(|(name, _)| *name == "OutDatagrams");
    sent.and_then(|(_, value)| value.parse().ok()).context("the kernel counts no datagrams")
}
