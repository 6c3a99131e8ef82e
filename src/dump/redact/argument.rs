//! Secrets that are arguments of their own: the one after an option, on its line or on the next, and the items of a list
//! that has a secret's name. PURE.

use super::name::is_secret;
use super::{is_plain, regex, text, without};
use regex::bytes::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// An option of a command and its value as the next word, or the next item of a list. What begins with two dashes is the
/// next option.
static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"((?:--|(?:^|[\s"'\[(,=])-)([A-Za-z][A-Za-z0-9_.-]*)\\*["']?(?:\s*,\s*|\s+))"#,
        r#"("-?(?:[^"\\-]|\\.)(?:[^"\\]|\\.)*"?|'-?[^'-][^']*'?|\\+"-?[^"\\-][^"]*"?|-?[^\s"',\\-][^\s"']*)"#
    ))
});
/// An option that is all of a line, as the item of a list or by itself; that a line of such items ends with; or before a
/// line of a shell's that goes on.
static LAST: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"^(?:(\s*(?:- )*\\*["']?|.*[\s\[,]\\*["'])--?([A-Za-z][A-Za-z0-9_.-]*)(\\*["']?,?\s*)"#,
        r#"|(?:.*\s)?--?([A-Za-z][A-Za-z0-9_.-]*)\s*\\\s*)$"#
    ))
});
/// A list begins on the next line.
static LIST: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^\s*(?:- )*\\*["']?([A-Za-z_][A-Za-z0-9_.-]*)\\*["']?:\s*\[?\s*$"#));
/// An item of a list, in quotes or after a dash.
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"^(\s*(?:- +)*)(?:("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\\+"[^"]*")([\s\]},]*)"#,
        r#"|([^\s"'].*?)(,?\s*\\?\s*))$"#
    ))
});
/// An item that has a name and a value itself.
static PAIR: LazyLock<Regex> = LazyLock::new(|| regex(r#"^["']?[A-Za-z_][\w.-]*["']?:(?:\s|$)"#));

/// What the line before says of the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    #[default]
    Any,
    /// It is a secret, if it is an item of a list.
    Item,
    /// It is a secret, if it is a line by itself.
    Line,
    /// It is a secret, as are those that follow, if they are items of a list.
    Items,
}

/// What a line says of the next.
pub(super) fn after(line: &[u8]) -> Next {
    if let Some(found) = LAST.captures(line)
        && [2, 4].iter().any(|group| is_secret(&text(&found, *group)))
    {
        let [before, end] = [1, 3].map(|group| text(&found, group));
        let is_item = before.contains(['-', '"', '\'']) || end.contains(',');
        return if is_item { Next::Item } else { Next::Line };
    }
    match LIST.captures(line) {
        Some(found) if is_secret(&text(&found, 1)) => Next::Items,
        _ => Next::Any,
    }
}

/// The line without the secret that it is by what was said before it.
pub(super) struct Item {
    /// The line; none where it is no secret.
    pub(super) line: Option<Vec<u8>>,
    /// The secret has lines of its own, below this one.
    pub(super) is_block: bool,
}

/// Takes out the secret that a line is. None where it is none.
pub(super) fn item(line: &[u8], next: Next) -> Option<Item> {
    let found = ITEM.captures(line).filter(|_| next != Next::Any)?;
    let (value, end) = if found.get(2).is_some() {
        (2, 3)
    } else {
        (4, 5)
    };
    let [before, value, end] = [1, value, end].map(|group| text(&found, group));
    let is_listed = before.contains('-') || value.starts_with(['"', '\'', '\\']);
    let inner = value.trim_start_matches(['"', '\'', '\\']);
    if (!is_listed && next != Next::Line) || inner.starts_with("--") || inner.starts_with("[{") {
        return None;
    }
    if is_plain(&value) || (next != Next::Line && PAIR.is_match(value.as_bytes())) {
        return None;
    }
    let is_block = before.contains('-') && value.starts_with(['|', '>']);
    let line = (!is_block).then(|| format!("{before}{}{end}", without(&value)).into_bytes());
    Some(Item { line, is_block })
}

/// The line without the values of its options. Values of others are looked into, too.
pub(super) fn options(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let (mut clean, mut done, mut from) = (Vec::new(), 0, 0);
    while let Some(found) = OPTION.captures_at(&line, from) {
        let (Some(name), Some(value)) = (found.get(2), found.get(3)) else {
            break;
        };
        if !is_secret(&text(&found, 2)) {
            from = name.end();
            continue;
        }
        let word = text(&found, 3);
        let (kept, escape) = if word.starts_with('\\') {
            (&*word, "")
        } else {
            // A quote that was begun before the option, within another.
            word.split_at(word.trim_end_matches('\\').len())
        };
        clean.extend_from_slice(&line[done..value.start()]);
        clean.extend_from_slice(without(kept).as_bytes());
        clean.extend_from_slice(escape.as_bytes());
        (done, from) = (value.end(), value.end());
    }
    if done == 0 {
        return line;
    }
    clean.extend_from_slice(&line[done..]);
    Cow::Owned(clean)
}
