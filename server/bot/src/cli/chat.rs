//! `vc-bot chat`

use std::{process::ExitCode, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};
use vc_bot::{Party, Plan};

const EXAMPLES: &str = "\
Examples:
  vc-bot chat --bots 3 --time 10s                    a little chat on 127.0.0.1:8080
  vc-bot chat --bots 200 --pause 2s --time 1m        load: 100 messages a second, 20,000 heard
  vc-bot chat --bots 10 --drop-every 2s              lose connections, resume, lose nothing

Accounts are made for each run, so a server that limits attempts makes the start slow:
VC_AUTH_ATTEMPTS_PER_MINUTE=100000 lets them in at once.

Exit codes:
  0  every bot heard every message once and in order
  1  something was lost, doubled or out of order
  2  the server cannot be reached, or refuses";

/// What the bots are to do.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Where the server is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: String,
    /// How many bots
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
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

pub(crate) async fn run(options: Options) -> ExitCode {
    let Options { server, bots, pause, time, drop_every } = options;
    let plan = Plan {
        host: server,
        bots,
        pause: pause.max(Duration::from_millis(1)),
        time,
        drop_every,
        name: crate::name(),
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
        Err(error) => crate::refused(&error),
    }
}
