//! Rust source as the rules read it: code alone, with comments and literals blanked out.

/// A file's code, line by line where it stood.
pub(super) struct Source {
    /// The text with comments, strings and characters replaced by spaces.
    pub(super) code: String,
}

impl Source {
    /// Blanks what is not code.
    pub(super) fn read(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut code = bytes.to_vec();
        let mut at = 0;
        while at < bytes.len() {
            let end = skip(bytes, at);
            if end > at {
                code[at..end]
                    .iter_mut()
                    .filter(|byte| **byte != b'\n')
                    .for_each(|byte| *byte = b' ');
                at = end;
            } else {
                at += 1;
            }
        }
        Self { code: String::from_utf8_lossy(&code).into_owned() }
    }

    /// The line of a place in the code, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Every place where this stands as a whole word.
    pub(super) fn words(&self, word: &str) -> Vec<usize> {
        whole_words(&self.code, word)
    }
}

/// Every place in a text where a word stands by itself.
pub(super) fn whole_words(text: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let alone =
        |at: usize| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part);
    text.match_indices(word).map(|(at, _)| at).filter(|at| alone(*at)).collect()
}

/// Where a comment or literal that begins here ends; the same place when none begins.
fn skip(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
    } else if rest.starts_with(b"/*") {
        block_comment(bytes, at)
    } else if rest.starts_with(b"\"") {
        quoted(bytes, at + 1, b'"')
    } else if rest.starts_with(b"r") && !after_word {
        raw_string(bytes, at + 1).unwrap_or(at)
    } else if rest.starts_with(b"br") && !after_word {
        raw_string(bytes, at + 2).unwrap_or(at)
    } else if rest.starts_with(b"'") && is_character(rest) {
        quoted(bytes, at + 1, b'\'')
    } else {
        at
    }
}

/// A character literal, and not a lifetime or label.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        // One character of one to four bytes, then the closing quote.
        Some(_) => (2..=5).any(|end| {
            rest.get(end) == Some(&b'\'')
                && std::str::from_utf8(&rest[1..end]).is_ok_and(|text| text.chars().count() == 1)
        }),
        None => false,
    }
}

fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(at + hashes) != Some(&b'"') {
        return None;
    }
    let body = at + hashes + 1;
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let length = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| body + length + close.len()))
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        let text = "let a = \"x\\\"y\"; // tail\nlet b: &'a str = r#\"q\"q\"#; /* x /* y */ z */ let c = '\\''; let d = 'é';\n";
        let source = Source::read(text);
        assert_eq!(source.code.len(), text.len());
        assert_eq!(
            source.code.split_whitespace().collect::<String>(),
            "leta=;letb:&'astr=;letc=;letd=;"
        );
        assert_eq!(source.line(source.code.find("let b").unwrap()), 2);
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        let source = Source::read("use ayahuasca; use aya; fn aya_load() {} aya::x();");
        assert_eq!(source.words("aya").len(), 2);
    }
}
