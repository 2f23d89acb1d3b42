//! The modules that take bytes and `now` as arguments, so that a capture, a test and a fuzzer run the same lines.

use super::Violation;
use super::source::{Source, whole_words};

const RULE: &str = "purity";
const PURE: [&str; 5] = [
    "observer-common/src/",
    "observer/src/model",
    "observer/src/ledger",
    "observer/src/quality",
    "observer/src/track",
];
/// What a pure module may not name, and what it does instead.
const IMPURE: [(&str, &str); 7] = [
    ("tokio", "take what arrives as an argument; tokio belongs into `app`, `source` and `export`"),
    ("aya", "turn it into a type of `model` inside `source/ebpf`"),
    ("TcpStream", "take bytes as an argument"),
    ("TcpListener", "take bytes as an argument"),
    ("UdpSocket", "take bytes as an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime::now", "take `now` as an argument"),
];

pub(super) fn of(path: &str, source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    if path == "observer-common/src/lib.rs" && !source.code.contains("#![forbid(unsafe_code)]") {
        violations.push(Violation::new(
            1,
            RULE,
            "add `#![forbid(unsafe_code)]`: both sides of the kernel run these lines",
        ));
    }
    // `model.rs` and what is under `model/`, but not `modelling.rs`.
    let pure = PURE.iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| prefix.ends_with('/') || rest.starts_with(['/', '.']))
    });
    if pure {
        for (word, remedy) in IMPURE {
            for at in source.words(word) {
                violations.push(Violation::new(
                    source.line(at),
                    RULE,
                    format!("`{word}` in a pure module: {remedy}"),
                ));
            }
        }
    }
    violations
}

/// The same for the dependencies of the crate that runs in the kernel too.
pub(super) fn of_manifest(text: &str) -> Vec<Violation> {
    let named = |line: &str| {
        // `proptest = …`, `[dependencies.tokio]`
        let name = line
            .trim()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .rsplit("dependencies.")
            .next()
            .unwrap_or_default();
        ["tokio", "aya"].into_iter().find(|stranger| {
            whole_words(name, stranger).first() == Some(&0)
                && name[stranger.len()..].trim_start().starts_with(['=', '.', ' '])
                    | (name == *stranger)
        })
    };
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(number, line)| Some((number, named(line)?)))
        .map(|(number, name)| {
            Violation::new(
                number + 1,
                RULE,
                format!("observer-common may not depend on {name}: it runs in the kernel too"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        of(path, &Source::read(text)).into_iter().map(|one| one.line).collect()
    }

    #[test]
    fn clocks_sockets_and_runtimes_are_found_in_pure_modules() {
        for text in [
            "use tokio::time;",
            "use aya::maps::Array;",
            "let t = Instant::now();",
            "let t = std::time::SystemTime::now();",
            "use std::net::{IpAddr, UdpSocket};",
            "use std::net::TcpStream;",
            "fn f(l: std::net::TcpListener) {}",
        ] {
            assert_eq!(lines("observer/src/track/voice.rs", text), [1], "{text}");
            assert_eq!(lines("observer-common/src/rtp.rs", text), [1], "{text}");
            assert!(lines("observer/src/app.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn pure_code_and_words_in_comments_pass() {
        let text = "use std::net::IpAddr;\n// tokio and aya stay out\nfn f(now: Instant) { let x = \"tokio\"; }";
        assert!(lines("observer/src/ledger.rs", text).is_empty());
        assert!(lines("observer/src/modelling.rs", "use tokio;").is_empty());
    }

    #[test]
    fn the_shared_crate_forbids_unsafe_code() {
        assert_eq!(lines("observer-common/src/lib.rs", "//! #![forbid(unsafe_code)]\n"), [1]);
        assert!(
            lines("observer-common/src/lib.rs", "#![no_std]\n#![forbid(unsafe_code)]\n").is_empty()
        );
    }

    #[test]
    fn its_manifest_names_no_runtime() {
        let at = |text: &str| of_manifest(text).into_iter().map(|one| one.line).collect::<Vec<_>>();
        assert_eq!(at("[dependencies]\ntokio = \"1\"\naya.workspace = true\n"), [2, 3]);
        assert_eq!(at("[dependencies.aya]\n"), [1]);
        assert!(at("[dependencies]\naya-like = \"1\"\nproptest = \"1\" # not tokio\n").is_empty());
    }
}
