//! Lengths, names and attributes.

use super::Violation;
use super::source::Source;

const LENGTH: &str = "length";
const CODE_LINES: usize = 500;
const TEST_LINES: usize = 800;
const README_LINES: usize = 60;
const VAGUE: [&str; 4] = ["utils", "helpers", "manager", "common"];
const CODE: [&str; 8] = [".rs", ".py", ".ts", ".tsx", ".js", ".mjs", ".css", ".sh"];

pub(super) fn of_text(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().count();
    let mut violations = Vec::new();
    if path == "README.md" && lines > README_LINES {
        violations.push(Violation::new(
            README_LINES + 1,
            LENGTH,
            format!("{lines} lines, {README_LINES} are allowed: move the rest to docs/"),
        ));
    }
    if CODE.iter().any(|ending| path.ends_with(ending)) {
        let most = if is_test(path) { TEST_LINES } else { CODE_LINES };
        if lines > most {
            violations.push(Violation::new(
                most + 1,
                LENGTH,
                format!("{lines} lines, {most} are allowed: name the second room and move there"),
            ));
        }
    }
    violations
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.rsplit('/').next().is_some_and(|name| name.starts_with("test_"))
}

pub(super) fn of_source(path: &str, source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for attribute in ["#[allow(", "#![allow("] {
        for (at, _) in source.code.match_indices(attribute) {
            let remedy = "write `#[expect(lint, reason = \"…\")]`: it says why, and complains when it is needed no more";
            violations.push(Violation::new(source.line(at), "attributes", remedy));
        }
    }
    // The crate's own folder may be called anything: `observer-common` is a contract, `common.rs` is a drawer.
    let inside = path.split_once("src/").map_or("", |(_, inside)| inside);
    let vague = inside
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .find(|part| VAGUE.contains(part));
    if let Some(name) = vague {
        violations.push(Violation::new(
            1,
            "names",
            format!("`{name}` says nothing: name the module by the noun that it holds"),
        ));
    }
    for name in VAGUE {
        for at in source.words(name) {
            if source.code[..at].trim_end().ends_with("mod")
                && source.code[at..].contains('{')
                && inline(&source.code[at..])
            {
                violations.push(Violation::new(
                    source.line(at),
                    "names",
                    format!("`mod {name}` says nothing: name it by what it holds"),
                ));
            }
        }
    }
    violations
}

/// `mod name {` and not `mod name;`, which its file answers for.
fn inline(rest: &str) -> bool {
    let after = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start();
    after.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Vec<&'static str> {
        of_source(path, &Source::read(text)).into_iter().map(|one| one.rule).collect()
    }

    #[test]
    fn lengths_differ_for_code_tests_and_the_readme() {
        let long = |path: &str, lines: usize| !of_text(path, &"x\n".repeat(lines)).is_empty();
        assert!(long("observer/src/a.rs", 501) && !long("observer/src/a.rs", 500));
        assert!(long("observer/src/a/tests.rs", 801) && !long("observer/src/a/tests.rs", 800));
        assert!(!long("observer/tests/kernel.rs", 800) && !long("scripts/test_gate.py", 800));
        assert!(long("README.md", 61) && !long("README.md", 60));
        assert!(!long("docs/plan.md", 5000));
    }

    #[test]
    fn a_bare_allow_is_found_and_an_expect_is_not() {
        assert_eq!(source("a/src/b.rs", "#[allow(dead_code)]\nfn f() {}"), ["attributes"]);
        assert_eq!(source("a/src/b.rs", "#![allow(dead_code)]"), ["attributes"]);
        assert!(
            source("a/src/b.rs", "#[expect(dead_code, reason = \"why\")] // #[allow(x)]")
                .is_empty()
        );
    }

    #[test]
    fn vague_modules_are_found_in_crates_and_nowhere_else() {
        assert_eq!(source("observer/src/track/utils.rs", ""), ["names"]);
        assert_eq!(source("observer/src/manager/mod.rs", ""), ["names"]);
        assert_eq!(source("observer/src/track.rs", "mod helpers { fn f() {} }"), ["names"]);
        assert!(source("observer-common/src/rtp.rs", "let common = {}; mod common;").is_empty());
        assert!(source("observer/tests/common/mod.rs", "").is_empty());
    }
}
