//! vc-bot: bots that chat on a vc-server, and check what they hear.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use vc_bot::{Party, Plan};

const EXAMPLES: &str = "\
Examples:
  vc-bot --bots 3 --time 10s                         a little chat on 127.0.0.1:8080
  vc-bot --bots 200 --pause 2s --time 1m             load: 100 messages a second, 20,000 heard
  vc-bot --bots 10 --drop-every 2s                   lose connections, resume, lose nothing

Accounts are made for each run, so a server that limits attempts makes the start slow:
VC_AUTH_ATTEMPTS_PER_MINUTE=100000 lets them in at once.

Exit codes:
  0  every bot heard every message once and in order
  1  something was lost, doubled or out of order
  2  the server cannot be reached, or refuses";

/// Bots that chat on a vc-server, and check what they hear.
#[derive(Parser)]
#[command(name = "vc-bot", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// Where the server is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: String,
    /// How many bots
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    bots: usize,
    /// Time between two messages of a bot
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pause: Duration,
    /// How long they chat
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Time between two losses of a bot's connection, give or take a half [default: none]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    drop_every: Option<Duration>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { server, bots, pause, time, drop_every } = Cli::parse();
    let name = format!("{:x}", fastrand::u32(..));
    let plan = Plan {
        host: server,
        bots,
        pause: pause.max(Duration::from_millis(1)),
        time,
        drop_every,
        name,
    };
    let outcome = async {
        eprintln!("{bots} bots make accounts");
        let party = Party::gather(plan).await?;
        eprintln!("they chat for {}", humantime::format_duration(time));
        party.chat().await
    };
    match outcome.await {
        Ok(report) => {
            println!("{report}");
            if report.is_well() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
