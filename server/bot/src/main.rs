//! vc-bot: bots that chat or talk on a vc-server, and check what they hear.

mod cli {
    //! One module a subcommand: its options, and what is printed.

    pub(crate) mod chat;

    pub(crate) mod call;
}

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::{call, chat};

/// Bots that chat or talk on a vc-server, and check what they hear.
#[derive(Parser)]
#[command(name = "vc-bot", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bots that chat in a channel, lose connections and come back
    Chat(chat::Options),
    /// Bots that talk in voice channels
    Call(call::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Chat(options) => chat::run(options).await,
        Command::Call(options) => call::run(options).await,
    }
}

/// A name of one run.
fn name() -> String {
    format!("{:x}", fastrand::u32(..))
}

/// There is no report to print.
fn refused(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(2)
}
