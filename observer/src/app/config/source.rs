//! Where each value comes from, and the configuration as it is printed.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::Config;

/// A comment further to the right than this follows its value.
const COMMENT_COLUMN: usize = 40;

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in super::super) enum Source {
    /// Nobody gave one.
    #[default]
    Default,
    /// The file.
    File { path: PathBuf, line: Option<u64> },
    /// An environment variable.
    Environment { variable: String },
    /// The command line.
    Flag { flag: String },
}

/// Of every key.
pub(in super::super) type Sources = HashMap<&'static str, Source>;

/// Of the keys that the command line and the environment give.
pub(in super::super) type Given = HashMap<String, Source>;

impl Source {
    pub(super) fn file(path: &Path, line: Option<u64>) -> Self {
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

impl Config {
    /// A valid observer.yaml, with the source of each value in a comment behind it.
    pub(in super::super) fn yaml(&self, sources: &Sources) -> anyhow::Result<String> {
        let mut entries = Vec::new();
        for (key, value) in self.entries() {
            let text = serde_saphyr::to_string(&BTreeMap::from([(key, value)]))
                .with_context(|| format!("cannot print `{key}`"))?;
            entries.push((text.trim_end().to_owned(), source(sources, key)));
        }
        let widths = entries.iter().map(|(text, _)| text.chars().count());
        let column = widths.filter(|width| *width <= COMMENT_COLUMN).max().unwrap_or(0);
        let line = |(text, source): &(String, Source)| {
            if text.contains('\n') {
                format!("# {source}\n{text}\n")
            } else {
                format!("{text:column$}  # {source}\n")
            }
        };
        Ok(entries.iter().map(line).collect())
    }

    /// The value and the source of each key.
    pub(in super::super) fn json(&self, sources: &Sources) -> serde_json::Result<String> {
        let entry = |(key, value): (&'static str, Value)| {
            (key, json!({"value": value, "source": source(sources, key)}))
        };
        let entries: BTreeMap<_, _> = self.entries().into_iter().map(entry).collect();
        Ok(serde_json::to_string_pretty(&entries)? + "\n")
    }
}

fn source(sources: &Sources, key: &str) -> Source {
    sources.get(key).cloned().unwrap_or_default()
}
