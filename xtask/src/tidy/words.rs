//! Words that do not belong: promises without an issue, paths of one machine.

use super::Violation;
use super::source::whole_words;

/// Spelt in two, so that this file passes its own rule.
const PROMISES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const MACHINES: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

pub(super) fn of(path: &str, text: &str) -> Vec<Violation> {
    // Written by cargo from the registry's own words.
    if path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let said = if path.ends_with(".py") { python_comment(line) } else { line };
        let promise = PROMISES.into_iter().find(|word| !whole_words(said, word).is_empty());
        if let Some(word) = promise.filter(|_| !names_an_issue(line)) {
            violations.push(Violation::new(
                number + 1,
                "promises",
                format!(
                    "`{word}` without an issue: do it, or name the issue as #12 on the same line"
                ),
            ));
        }
        if let Some(found) = MACHINES.into_iter().find(|place| is_machine_path(line, place)) {
            violations.push(Violation::new(number + 1, "places", format!("`{found}…` is a path of one machine: write it relative to the clone, or as ~ or $HOME")));
        }
    }
    violations
}

/// The comment of a line of Python: the gate's own patterns for these words are no promises.
fn python_comment(line: &str) -> &str {
    let quotes = |at: usize| line[..at].matches(['"', '\'']).count();
    line.match_indices('#').find(|(at, _)| quotes(*at) % 2 == 0).map_or("", |(at, _)| &line[at..])
}

fn names_an_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The path from the root of the file system, and not a part of a longer one.
fn is_machine_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let inside = line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}~/".contains(c));
        let rest = &line[at + place.len()..];
        !inside && (!place.ends_with("me/") || rest.starts_with(|c: char| c.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        of("docs/a.md", text).into_iter().map(|one| one.rule).collect()
    }

    #[test]
    fn a_promise_needs_an_issue() {
        for word in PROMISES {
            assert_eq!(rules(&format!("// {word}: later")), ["promises"]);
            assert!(rules(&format!("// {word}(#12): later")).is_empty());
        }
        let python = |text: &str| of("scripts/a.py", text).len();
        assert_eq!(python(&format!("f()  # {}: later", PROMISES[0])), 1);
        assert_eq!(python(&format!("WORDS = ['# {}']", PROMISES[0])), 0);
        assert!(rules("MASTODON and todo!()").is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for place in MACHINES {
            assert_eq!(rules(&format!("see `{place}someone/x`")), ["places"], "{place}");
            assert!(rules(&format!("see sys{place}someone")).is_empty(), "{place}");
        }
        assert!(rules(concat!("ProtectHome hides /ho", "me/ itself")).is_empty());
        assert!(of("Cargo.lock", concat!("/wo", "rk/x")).is_empty());
    }
}
