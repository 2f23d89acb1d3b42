//! Configuration of a program: a YAML file whose mistakes are named with their line and
//! the nearest valid key, a command line and an environment that win over it, and for
//! each value where it comes from.
//!
//! What programs that export by OTLP have in common is here too.
//!
//! A program declares its keys once, as one struct of options for clap and serde.

#![forbid(unsafe_code)]

mod command;
mod file;
pub mod otlp;
mod source;

pub use command::{given, parse};
pub use file::{FileError, Lines, parse as parse_file, read, without_credentials};
pub use source::{Given, Source, Sources, json, yaml};
