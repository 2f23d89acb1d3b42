//! Where each value comes from, and a configuration as it is printed.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Value, json};

/// A comment further to the right than this follows its value.
const COMMENT_COLUMN: usize = 40;

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// Nobody gave one.
    #[default]
    Default,
    /// The file.
    File {
        /// Which.
        path: PathBuf,
        /// The line of the key, where it is known.
        line: Option<u64>,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The option, with its dashes.
        flag: String,
    },
}

/// Of every key.
pub type Sources = HashMap<&'static str, Source>;

/// Of the keys that the command line and the environment give.
pub type Given = HashMap<String, Source>;

impl Source {
    /// A line of a file.
    #[must_use]
    pub fn file(path: &Path, line: Option<u64>) -> Self {
        Self::File { path: path.to_owned(), line }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line } => {
                // A comment is one line, whatever a file is called.
                write!(out, "{}", path.to_string_lossy().escape_debug())?;
                line.map_or(Ok(()), |line| write!(out, ", line {line}"))
            }
            Self::Environment { variable } => out.write_str(variable),
            Self::Flag { flag } => out.write_str(flag),
        }
    }
}

/// A valid file, with the source of each value in a comment behind it.
///
/// # Errors
/// When a value cannot be written as YAML.
pub fn yaml(
    entries: impl IntoIterator<Item = (&'static str, Value)>,
    sources: &Sources,
) -> Result<String, serde_saphyr::ser::Error> {
    let mut lines = Vec::new();
    for (key, value) in entries {
        let text = serde_saphyr::to_string(&BTreeMap::from([(key, value)]))?;
        lines.push((text.trim_end().to_owned(), source(sources, key)));
    }
    let widths = lines.iter().map(|(text, _)| text.chars().count());
    let column = widths.filter(|width| *width <= COMMENT_COLUMN).max().unwrap_or(0);
    let line = |(text, source): &(String, Source)| {
        if text.contains('\n') {
            format!("# {source}\n{text}\n")
        } else {
            format!("{text:column$}  # {source}\n")
        }
    };
    Ok(lines.iter().map(line).collect())
}

/// The value and the source of each key.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn json(
    entries: impl IntoIterator<Item = (&'static str, Value)>,
    sources: &Sources,
) -> serde_json::Result<String> {
    let entry = |(key, value): (&'static str, Value)| {
        (key, json!({"value": value, "source": source(sources, key)}))
    };
    let entries: BTreeMap<_, _> = entries.into_iter().map(entry).collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

fn source(sources: &Sources, key: &str) -> Source {
    sources.get(key).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back() {
        let sources = Sources::from([("port", Source::file(Path::new("a\nb.yaml"), Some(3)))]);
        let text = yaml([("port", json!(5)), ("name", json!("x")), ("list", json!([1]))], &sources);
        let text = text.unwrap();
        assert_eq!(text.lines().next(), Some("port: 5    # a\\nb.yaml, line 3"));
        let back: BTreeMap<String, Value> = serde_saphyr::from_str(&text).unwrap();
        assert_eq!((&back["port"], &back["list"]), (&json!(5), &json!([1])));
    }
}
