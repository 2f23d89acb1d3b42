//! The file: read within bounds, and explained where it is wrong.

use std::{
    borrow::Cow,
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_saphyr::{Error, MessageFormatter as _, Spanned, UserMessageFormatter};

/// What a configuration file may have, in bytes; every key takes a few hundred.
const LIMIT: u64 = 1 << 20;

/// The keys that a file gives, and the line of each where it is known.
pub type Lines = HashMap<String, Option<u64>>;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not end.
    #[error("{0} is larger than 1 MiB, and no configuration is")]
    Large(PathBuf),
    /// It has a key that means nothing.
    #[error("{path}, line {line}: there is no key `{key}`{nearest}; {hint}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What stands there.
        key: String,
        /// `; the nearest is …`, or nothing.
        nearest: String,
        /// Where to see every key.
        hint: &'static str,
    },
    /// A value is wrong, or the file is not YAML there.
    #[error("{path}, line {line}: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

impl FileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a file; `hint` says where to see every key.
///
/// # Errors
/// [`FileError`].
pub fn read<T>(path: &Path, hint: &'static str) -> Result<(T, Lines), FileError>
where
    T: DeserializeOwned + Default,
{
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text))
        .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > LIMIT {
        return Err(FileError::Large(path.to_owned()));
    }
    parse(path, &text, hint)
}

/// Reads what stands in a file.
///
/// # Errors
/// [`FileError::UnknownKey`] and [`FileError::Value`].
pub fn parse<T>(path: &Path, text: &str, hint: &'static str) -> Result<(T, Lines), FileError>
where
    T: for<'a> Deserialize<'a> + Default,
{
    let explain = |error: Error| explain(path, text, hint, &error);
    let settings: Option<T> = serde_saphyr::from_str(text).map_err(explain)?;
    Ok((settings.unwrap_or_default(), lines(text).map_err(explain)?))
}

/// A key without a value is not given.
fn lines(text: &str) -> Result<Lines, Error> {
    let keys: Option<HashMap<String, Spanned<Option<IgnoredAny>>>> = serde_saphyr::from_str(text)?;
    let given = keys.unwrap_or_default().into_iter().filter(|(_, place)| place.value.is_some());
    let line = |place: Spanned<_>| Some(place.referenced.line()).filter(|line| *line > 0);
    Ok(given.map(|(key, place)| (key, line(place))).collect())
}

fn explain(path: &Path, text: &str, hint: &'static str, error: &Error) -> FileError {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line());
    let path = path.to_owned();
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let nearest = nearest(field, expected)
                .map_or_else(String::new, |key| format!("; the nearest is `{key}`"));
            FileError::UnknownKey { path, line, key: field.clone(), nearest, hint }
        }
        other => {
            let what = match other {
                Error::InvalidScalar { ty, .. } if ty.starts_with(['u', 'i']) => {
                    "no whole number".into()
                }
                Error::Unexpected { expected: "string scalar", .. } => "no single value".into(),
                Error::Unexpected { expected: "mapping start", .. } => "no `key: value`".into(),
                Error::MultipleDocuments { .. } => "a second document; one is read".into(),
                other => UserMessageFormatter.format_message(other),
            };
            let index = usize::try_from(line).unwrap_or(1).saturating_sub(1);
            let line_text = text.lines().nth(index).unwrap_or_default().trim();
            let message = format!("`{}`: {what}", without_credentials(line_text));
            FileError::Value { path, line, message }
        }
    }
}

/// The valid key that is most like `key`, if one is like it at all.
fn nearest<'a>(key: &str, valid: &[&'a str]) -> Option<&'a str> {
    valid
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A text that may be printed: what may be secret in a URL, a user, a password or a query,
/// is left out.
#[must_use]
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match (user, rest.split_once('?')) {
        ("", None) => text.into(),
        (user, None) => format!("{scheme}://{user}{rest}").into(),
        (user, Some((path, _))) => format!("{scheme}://{user}{path}?***").into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Keys {
        listen: Option<SocketAddr>,
        most: Option<u32>,
        note: Option<String>,
    }

    fn said(text: &str) -> String {
        let outcome = parse::<Keys>(Path::new("it.yaml"), text, "`it config` prints every key");
        outcome.expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line_and_the_nearest_valid_one() {
        let said_of = said("# comment\nlisten: 127.0.0.1:9000\nmots: 10\n");
        assert_eq!(
            said_of,
            "it.yaml, line 3: there is no key `mots`; the nearest is `most`; `it config` prints every key"
        );
        assert!(!said("zzz: 1\n").contains("nearest"));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line_and_without_its_password() {
        for (text, line) in [
            ("note: x\nlisten: nowhere\n", "line 2"),
            ("\nmost: many\n", "line 2"),
            ("most: 1\nmost: 2\n", "line"),
            ("listen: http://me:secret@a\n", "line 1"),
        ] {
            let said = said(text);
            assert!(said.contains(line) && !said.contains("secret"), "{said}");
            for internal in ["serde", "::", "u32", "Keys"] {
                assert!(!said.contains(internal), "{internal}: {said}");
            }
        }
    }

    #[test]
    fn lines_are_those_of_the_keys_that_have_a_value() {
        let text = "listen:\n\nmost: 5\nnote: hello\n";
        let (keys, lines) = parse::<Keys>(Path::new("it.yaml"), text, "").unwrap();
        assert_eq!((keys.listen, keys.most, keys.note.as_deref()), (None, Some(5), Some("hello")));
        assert_eq!(lines, Lines::from([("most".into(), Some(3)), ("note".into(), Some(4))]));
        assert!(parse::<Keys>(Path::new("it.yaml"), "", "").unwrap().1.is_empty());
    }

    #[test]
    fn what_may_be_secret_is_not_printed() {
        for (text, printed) in [
            ("otlp_endpoint: http://me:pa/ss@a:1/x", "otlp_endpoint: http://***@a:1/x"),
            ("http://a/?token=1", "http://a/?***"),
            ("http://a@b@c?d?e", "http://***@c?***"),
            ("http://a:4317", "http://a:4317"),
            ("me@a", "me@a"),
        ] {
            assert_eq!(without_credentials(text), printed);
        }
    }
}
