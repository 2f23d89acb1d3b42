//! Which module of the observer, and of the server, may import which: a packet's way is
//! one way, and so is a request's.

use super::Violation;
use super::source::Source;

const RULE: &str = "arrows";

/// A module, and what it may import besides itself.
type Module = (&'static str, &'static [&'static str]);

/// Each crate's modules, in reading order.
const CRATES: [(&str, &[Module]); 2] = [("observer/src/", &OBSERVER), ("server/src/", &SERVER)];

const OBSERVER: [Module; 8] = [
    ("model", &[]),
    ("ledger", &["model"]),
    ("quality", &["model"]),
    ("track", &["model", "quality"]),
    ("source", &["model", "ledger", "track"]),
    ("export", &["model", "ledger", "quality", "track"]),
    ("view", &["model", "ledger", "quality", "track", "source", "export"]),
    ("app", &["model", "ledger", "quality", "track", "source", "export", "view"]),
];

const SERVER: [Module; 11] = [
    ("config", &[]),
    ("observability", &["config"]),
    ("store", &["observability"]),
    ("problem", &["observability", "store"]),
    ("events", &["store"]),
    ("auth", &["observability", "store", "problem", "events"]),
    ("chat", &["observability", "store", "problem", "events", "auth"]),
    ("voice", &["config", "observability", "store", "problem", "events", "auth"]),
    ("ws", &["observability", "store", "problem", "events", "auth", "chat", "voice"]),
    (
        "app",
        &["config", "observability", "store", "problem", "events", "auth", "chat", "voice", "ws"],
    ),
    ("cli", &["config", "observability", "app"]),
];

pub(super) fn of(path: &str, source: &Source) -> Vec<Violation> {
    let place = |root| path.strip_prefix(root).and_then(|rest| rest.strip_suffix(".rs"));
    let known = CRATES.iter().find_map(|(root, modules)| Some((place(root)?, *modules)));
    let Some((place, modules)) = known else { return Vec::new() };
    let parts: Vec<&str> = place.split('/').filter(|part| *part != "mod").collect();
    let top = parts[0];
    if matches!(top, "lib" | "main") {
        return Vec::new();
    }
    let Some((_, allowed)) = modules.iter().find(|(name, _)| *name == top) else {
        return vec![Violation::new(
            1,
            RULE,
            format!(
                "`{top}` has no place in the order: move it into one of its modules, or give it one in xtask/src/tidy/arrows.rs"
            ),
        )];
    };
    imports(&source.code, parts.len())
        .into_iter()
        .filter(|(_, name)| name != top && !allowed.contains(&name.as_str()))
        .filter(|(_, name)| modules.iter().any(|(module, _)| module == name))
        .map(|(at, name)| {
            let remedy = format!("`{top}` may not see `{name}`: move what both need into a module before them, or wire them in `app`");
            Violation::new(source.line(at), RULE, remedy)
        })
        .collect()
}

/// Every top-level module that the code names, by `crate::` or by as many `super::` as lead there.
fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let to_root = "super::".repeat(depth);
    for prefix in ["crate::", &to_root] {
        for (at, _) in code.match_indices(prefix) {
            let before = &code[..at];
            // `$crate::` in a macro is the same root; `mycrate::` is not.
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            for name in first_names(rest) {
                found.push((at, name));
            }
        }
    }
    found
}

/// The first segment of a path, or of each path of a group: `a::b`, `{a::{x, y}, b}`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.trim_start().strip_prefix('{') else { return vec![name(rest)] };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<usize> {
        of(path, &Source::read(text)).into_iter().map(|one| one.line).collect()
    }

    #[test]
    fn a_module_may_import_only_what_stands_before_it() {
        assert_eq!(
            broken(
                "observer/src/track/voice.rs",
                "use crate::model::Peer;\nuse crate::export::Snapshot;\n"
            ),
            [2]
        );
        assert_eq!(broken("observer/src/track.rs", "fn f(x: crate::app::X) {}"), [1]);
        assert_eq!(broken("observer/src/model/mod.rs", "use crate::ledger::Ledger;"), [1]);
        assert!(
            broken("observer/src/app/wiring.rs", "use crate::{model, view, source::ebpf};")
                .is_empty()
        );
    }

    #[test]
    fn source_and_export_never_see_each_other_but_both_see_the_ledger() {
        assert_eq!(broken("observer/src/export/otlp.rs", "use crate::source::otlp;"), [1]);
        assert_eq!(broken("observer/src/source/ebpf/load.rs", "use crate::export;"), [1]);
        assert!(broken("observer/src/source/pcap.rs", "use crate::ledger::Ledger;").is_empty());
    }

    #[test]
    fn groups_and_supers_are_followed() {
        assert_eq!(
            broken(
                "observer/src/model.rs",
                "\nuse crate::{\n    model::{a, view},\n    track::b,\n};"
            ),
            [2]
        );
        assert_eq!(broken("observer/src/track/voice.rs", "use super::super::export::x;"), [1]);
        assert!(broken("observer/src/track/voice.rs", "use super::socket::x;").is_empty());
    }

    #[test]
    fn comments_other_crates_and_items_of_the_root_are_no_arrows() {
        assert!(
            broken(
                "observer/src/model.rs",
                "// crate::app\nuse mycrate::app;\nuse crate::VERSION;"
            )
            .is_empty()
        );
        assert!(broken("observer-common/src/model.rs", "use crate::app;").is_empty());
    }

    #[test]
    fn a_request_s_way_is_one_way_too() {
        assert_eq!(broken("server/src/store/mod.rs", "use crate::problem::Problem;"), [1]);
        assert_eq!(broken("server/src/chat/messages.rs", "use crate::{auth, ws::Gateway};"), [1]);
        assert!(broken("server/src/ws/mod.rs", "use crate::{chat, voice::Voice};").is_empty());
    }

    #[test]
    fn a_module_outside_the_order_is_named() {
        assert_eq!(broken("observer/src/stuff.rs", ""), [1]);
        assert!(broken("observer/src/lib.rs", "use crate::app;").is_empty());
    }
}
