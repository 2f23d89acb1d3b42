//! `run --demo`: a call on loopback, and the observer that watches it.

mod call;
mod screen;

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use signal_hook::iterator::Signals;

use self::call::Call;
use self::screen::Screen;
use super::guard::{self, GLANCE, Guarded};
use crate::command::{as_root, output};
use crate::terminal::bold;

/// Where an observer listens that is told nothing else.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// How long it may take until there is something to see: the observer's own start takes a few
/// seconds, and longer on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs all of it until the observer ends, or a signal comes.
pub(super) fn main(
    observer: &Path,
    server: &Path,
    bot: &Path,
    rest: &[String],
) -> Result<ExitCode> {
    // From here on a signal ends it in good order.
    let mut signals = guard::signals()?;
    let listen = listen(observer, rest)?;
    ensure!(
        !answers(listen),
        "{listen} is taken, perhaps by another observer: end it, or choose another address with `-- --listen 127.0.0.1:PORT`"
    );
    println!("{}", bold("demo"));
    let mut call = Call::start(server, bot)?;
    let mut run = as_root(env::current_exe().context("this program has no path")?)?;
    run.args(["guard", "--"]).arg(observer).arg("run").args(rest);
    if Screen::is_there() {
        // Its log has to wait while the view is shown.
        run.stderr(Stdio::piped());
    }
    let mut run = Guarded::start(&mut run)?;
    let mut screen = run.says().map(|log| Screen::new(log, observer, listen));
    let outcome = watch(&mut signals, &mut run, &mut call, screen.as_mut(), observer, listen);
    if let Some(screen) = &mut screen {
        screen.leave();
    }
    call.release();
    let status = run.end()?;
    if let Some(screen) = screen {
        screen.close();
    }
    outcome?;
    Ok(guard::code(status))
}

/// Until the observer ends, or a signal comes.
fn watch(
    signals: &mut Signals,
    run: &mut Guarded,
    call: &mut Call,
    mut screen: Option<&mut Screen>,
    observer: &Path,
    listen: SocketAddr,
) -> Result<()> {
    let begun = Instant::now();
    let mut is_told = false;
    while run.ended()?.is_none() && signals.pending().count() == 0 {
        let has_begun = call.keep_up()?;
        if has_begun && is_told {
            println!("the bots begin another call: {}", call.page());
        }
        if !is_told && call.is_under_way() && answers(listen) {
            tell(call, observer, listen, screen.is_some());
            is_told = true;
        }
        ensure!(
            is_told || begun.elapsed() < PATIENCE,
            "there is nothing to see after {} s: look above, and at what the bots say: {}",
            PATIENCE.as_secs(),
            call.log()
        );
        if let Some(screen) = &mut screen {
            screen.attend(is_told)?;
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// What there is, and where to look.
fn tell(call: &Call, observer: &Path, listen: SocketAddr, has_screen: bool) {
    let here = env::current_dir().unwrap_or_default();
    let observer = observer.strip_prefix(here).unwrap_or(observer).display();
    let listening =
        if listen == USUAL { String::new() } else { format!(" --listen {}", reachable(listen)) };
    let enter = if has_screen { "; or press Enter here" } else { "" };
    println!("  {call}, on loopback alone");
    println!("  watch it   {observer} top{listening}    in a second terminal{enter}");
    println!("  figures    http://{0}/api/v1/snapshot and http://{0}/metrics", reachable(listen));
    println!("  join it    {}    in a browser on this machine", call.page());
    println!("  logs       {}, until it ends", call.folder().display());
    println!("  end it     Ctrl-C");
}

/// Where the observer will listen.
fn listen(observer: &Path, rest: &[String]) -> Result<SocketAddr> {
    // As root, who may read a file that the user may not; and a password is asked for before
    // anything runs.
    let mut config = as_root(observer)?;
    let text = output(config.args(["config", "--format", "json"]).args(rest))?;
    let config: Value = serde_json::from_str(&text).context("`observer config` printed no JSON")?;
    let listen = config["listen"]["value"].as_str().unwrap_or_default();
    listen.parse().with_context(|| format!("`{listen}` is no address to listen on"))
}

/// Where to reach what listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn answers(listen: SocketAddr) -> bool {
    TcpStream::connect_timeout(&reachable(listen), Duration::from_secs(1)).is_ok()
}
