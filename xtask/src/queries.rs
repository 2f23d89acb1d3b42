//! `queries`: what sqlx knows of the server's queries, so that it builds without a database.
//!
//! `server/.sqlx` has one file for each `query!`. They are made against a database that the
//! migrations make, and checked the same way.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::{cargo, output, tee};
use crate::place::{self, Places};
use crate::setup::{self, Part};
use crate::terminal::green;

/// What to do with them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only say whether they are as the code and the migrations want them
    #[arg(long)]
    check: bool,
}

/// Writes `server/.sqlx`, or checks it.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    setup::ensure(places, &[Part::Tools], false)?;
    let server = places.root.join("server");
    let folder = places.target.join("sqlx");
    place::create(&folder)?;
    let database = folder.join("queries.db");
    if database.exists() {
        fs::remove_file(&database)
            .with_context(|| format!("cannot remove {}: delete it", database.display()))?;
    }
    let url = format!("sqlite://{}", database.display());
    let mut make = cargo();
    make.args(["sqlx", "database", "setup", "--source", "migrations"]);
    output(make.env("DATABASE_URL", &url).current_dir(&server))
        .context("the migrations in server/migrations do not make a database")?;

    let mut prepare = cargo();
    prepare.args(["sqlx", "prepare"]);
    if args.check {
        prepare.arg("--check");
    }
    prepare.args(["--", "--lib"]);
    let status = tee(prepare.env("DATABASE_URL", &url).current_dir(&server), |_| {})?;
    if !status.success() {
        println!("`cargo xtask queries` writes server/.sqlx anew; commit it");
        return Ok(ExitCode::FAILURE);
    }
    println!("{}", green("the queries are as the code wants them"));
    Ok(ExitCode::SUCCESS)
}
