//! vc-bot: bots that chat on a vc-server, and check what they hear.

mod cli {
    //! One module a subcommand: its options, and what is printed.

    pub(crate) mod chat;
}

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::chat;

/// Bots that chat on a vc-server, and check what they hear.
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
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Chat(options) => chat::run(options).await,
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
