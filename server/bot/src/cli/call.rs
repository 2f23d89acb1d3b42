//! `vc-bot call`

use std::{
    io::{IsTerminal as _, stdout},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use vc_bot::call::{Call, Loss, Plan, Progress, Report, Style};

const EXAMPLES: &str = "\
Examples:
  vc-bot call --bots 2 --time 10s                    two that talk, on 127.0.0.1:8080
  vc-bot call --bots 10 --time 1m --format json      ten in a room, and figures for a program
  vc-bot call --bots 100 --rooms 10 --speakers 3     load: ten rooms, three talk in each
  vc-bot call --bots 6 --churn 10s --time 2m         come and go, and miss nothing meanwhile
  vc-bot call --bots 4 --loss 5 --loss-in 5          bad paths: lose that and nothing more

The bots make accounts, a community and its voice channels, and connect by ICE, DTLS and SRTP.
They say half a minute of recorded speech over and over, each from another place, and send
nothing in its pauses. What they send is held against what each of the others receives: a
stream counts from its first packet, and packets that come late are not lost.

Accounts are made for each run, so a server that limits attempts makes the start slow:
VC_AUTH_ATTEMPTS_PER_MINUTE=100000 lets them in at once.

Exit codes:
  0  all heard what was sent to them, but for what was dropped on purpose
  1  something was lost or sent to others, or a bot could not join or stay
  2  the server cannot be reached, or refuses";

/// Time between two words on how far it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the bots are to do.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Where the server is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: String,
    /// How many bots
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = count(1, 10_000))]
    bots: usize,
    /// How many voice channels they are spread over
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1, 1_000))]
    rooms: usize,
    /// How many of each room talk; the others listen [default: all]
    #[arg(long, value_name = "N", value_parser = count(0, 10_000))]
    speakers: Option<usize>,
    /// How long they talk
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// How long a bot stays before it leaves and joins again, give or take a half [default: to the end]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    churn: Option<Duration>,
    /// Share of what each bot sends that is dropped on purpose
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    loss: f64,
    /// Share of what each bot receives that is dropped on purpose
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    loss_in: f64,
    /// How many others each bot can hear at once [default: all others, but 9 at most]
    #[arg(long, value_name = "N", value_parser = count(0, 100))]
    slots: Option<usize>,
    /// How the report is written: for people, or for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn count(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=100.0).contains(&percent) { Ok(percent) } else { Err("not 0 to 100".to_owned()) }
}

pub(crate) async fn run(options: Options) -> ExitCode {
    let format = options.format;
    let outcome = call(options.into()).await;
    let report = match outcome {
        Ok(report) => report,
        Err(error) => return crate::refused(&error),
    };
    match format {
        Format::Table => println!("{}", report.table(style())),
        Format::Json => match serde_json::to_string_pretty(&report) {
            Ok(json) => println!("{json}"),
            Err(error) => return crate::refused(&error.into()),
        },
    }
    if report.is_well() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

async fn call(plan: Plan) -> anyhow::Result<Report> {
    let (bots, time) = (plan.bots, plan.time);
    let progress = Arc::new(Progress::default());
    eprintln!("{bots} bots make accounts");
    let gathering = Call::gather(plan, Arc::clone(&progress));
    let call =
        meanwhile(gathering, |_| format!("{} of {bots} accounts", progress.accounts())).await?;
    let whole = humantime::format_duration(time);
    eprintln!("invitation: {}", call.invitation());
    eprintln!("they talk for {whole}");
    meanwhile(call.run(), |passed| {
        let passed = humantime::format_duration(Duration::from_secs(passed.min(time).as_secs()));
        format!("{passed} of {whole}, {} of {bots} connected", progress.connected())
    })
    .await
}

/// Says how far something is while it takes long.
async fn meanwhile<T>(what: impl Future<Output = T>, words: impl Fn(Duration) -> String) -> T {
    let began = tokio::time::Instant::now();
    let mut clock = tokio::time::interval_at(began + PATIENCE, PATIENCE);
    tokio::pin!(what);
    loop {
        tokio::select! {
            done = &mut what => return done,
            _ = clock.tick() => eprintln!("  {}", words(began.elapsed())),
        }
    }
}

/// Colours where they are welcome (<https://no-color.org>).
fn style() -> Style {
    let is_welcome = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if is_welcome && stdout().is_terminal() { Style::Coloured } else { Style::Plain }
}

impl From<Options> for Plan {
    fn from(options: Options) -> Self {
        let Options { server, bots, rooms, speakers, time, churn, loss, loss_in, slots, .. } =
            options;
        Self {
            host: server,
            bots,
            rooms,
            speakers,
            time,
            churn,
            loss: Loss { outward: loss / 100.0, inward: loss_in / 100.0 },
            slots: slots.unwrap_or((bots - 1).min(9)),
            name: crate::name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_is_0_to_100_with_or_without_its_sign() {
        assert_eq!(percent("2.5"), Ok(2.5));
        assert_eq!(percent("100%"), Ok(100.0));
        for text in ["-1", "101", "NaN", "much", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
