//! What the command line and the environment give.

use std::{env, ffi::OsString};

use clap::{
    ArgMatches, Command, builder::Resettable, error::ContextKind, error::ContextValue,
    parser::ValueSource,
};

use super::{Given, Source, without_credentials};

/// Reads a command line. A variable that is set to nothing is not set, and an error does
/// not repeat what may be secret in a URL.
///
/// # Errors
/// As clap gives them, which includes the wish for help.
pub fn parse(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Command, ArgMatches), clap::Error> {
    let mut command = command.mut_args(|arg| {
        let value = arg.get_env().and_then(env::var_os);
        if value.is_some_and(|value| value.is_empty()) { arg.env(Resettable::Reset) } else { arg }
    });
    let matches = command.try_get_matches_from_mut(arguments).map_err(redacted)?;
    Ok((command, matches))
}

fn redacted(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let value = without_credentials(value).into_owned();
        error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    }
    error
}

/// Which arguments were given, and how.
#[must_use]
pub fn given(command: &Command, matches: &ArgMatches) -> Given {
    let source = |arg: &clap::Arg| match matches.value_source(arg.get_id().as_str())? {
        ValueSource::CommandLine => Some(Source::Flag { flag: format!("--{}", arg.get_long()?) }),
        ValueSource::EnvVariable => {
            Some(Source::Environment { variable: arg.get_env()?.to_str()?.to_owned() })
        }
        _ => None,
    };
    command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().to_string(), source(arg)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn command() -> Command {
        Command::new("it")
            .arg(Arg::new("port").long("port").value_parser(clap::value_parser!(u16)))
            .arg(Arg::new("other").long("other"))
    }

    fn run(line: &str) -> Result<(Command, ArgMatches), clap::Error> {
        parse(command(), line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = run("it --port http://me:secret@a").unwrap_err().to_string();
        assert!(error.contains("***") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn only_what_was_given_has_a_source() {
        let (command, matches) = run("it --port 5").unwrap();
        let given = given(&command, &matches);
        assert_eq!(given["port"], Source::Flag { flag: "--port".to_owned() });
        assert!(!given.contains_key("other"));
    }
}
