//! Takes secrets out of what is dumped. PURE.
//!
//! Line by line: private keys, tokens, passwords, and who asks a proxy or a server with which password. Better too much
//! than too little: where a word only looks like a secret, it goes. What cannot be known by its looks stays: a secret that
//! a program writes into its log as a bare word.

mod argument;
mod name;

use argument::Next;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::bytes::{Captures, Regex};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

pub use name::is_secret;
use name::{is_option, is_proxy};

/// What stands where a secret stood.
pub const MARK: &str = "[redacted]";

/// A private key has no more lines.
const KEY_LINES: usize = 400;

/// Redacts the lines of one text, one after another.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Within a private key: how many more lines it may have.
    key: usize,
    /// The line before named a variable whose value is secret.
    named: bool,
    /// What the line before said of this one.
    next: Next,
    /// Below a secret that has lines of its own: what those are indented deeper than.
    block: Option<usize>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that a test compiles")
}

/// What may stand around a name or a value: quotes, also those within the text of another quote.
macro_rules! quoted {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            r#"(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\\+"[^"]*"?|[^\s"'&]+)"#,
            $after
        )
    };
}

static KEY_BEGIN: LazyLock<Regex> = LazyLock::new(|| regex("-----BEGIN [A-Z0-9 ]*PRIVATE KEY"));
static KEY_END: LazyLock<Regex> = LazyLock::new(|| regex("-----END [A-Z0-9 ]*PRIVATE KEY-----"));
static ENCODED: LazyLock<Regex> = LazyLock::new(|| regex("[A-Za-z0-9+/_-]{16,}={0,2}"));
static USER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#"'<>\\]+@"#));
static PROXY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)((?:https?|all|ftp|socks5?)[_-]?proxy\\*["']?\s*[:=]\s*\\*["']?(?:[a-z0-9]+://)?)[^\s"'\\]+@"#,
    )
});
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)+",
        r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}"
    ))
});
static BEARER: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(\bbearer(?:\s+|%20))([A-Za-z0-9._~+/=-]{6,})"));
static AUTHORIZATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)(authorization\\*["']?\s*[:=]\s*\[?\\*["']?(?:(?:basic|bearer|digest|negotiate|token)\s+)?)([^\s"'\\]+)"#,
    )
});
/// `name: ` or `name=`, with quotes or without: a value follows.
static PAIR: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"([A-Za-z_][A-Za-z0-9_.-]*)\\*["']?\s*[:=]\s*"#));
/// That value.
static PAIRED: LazyLock<Regex> = LazyLock::new(|| regex(quoted!("^(?:", ")")));
/// The same at the beginning of a line, as in YAML: the value goes up to its end.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(\s*(?:- )*)(["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?:[ \t]+)([^"'\s].*?|"(?:[^"\\]|\\.)*"|'[^']*')(,?\s*)$"#,
    )
});
/// A variable by its name, on the line before its value.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"^\s*(?:- )?\\*["']?name\\*["']?:\s*\\*["']?([A-Za-z_][A-Za-z0-9_.-]*)\\*["']?,?\s*$"#)
});
static VALUE: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^(\s*\\*["']?value\\*["']?:\s*)\S.*?(,?\s*)$"#));
/// The same on one line.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    regex(quoted!(
        r#"(name\\*["']?\s*:\s*\\*["']?)([A-Za-z_][A-Za-z0-9_.-]*)(\\*["']?\s*,\s*\\*["']?value\\*["']?\s*:\s*)("#,
        ")"
    ))
});
/// Most lines have nothing of this, and are done.
static INTEREST: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i-u)private key|pass|pwd|token|secret|key|auth|bearer|proxy|credential|://|eyj|gh[pousr]_|github_pat|glpat|xox|name|value",
    )
});

/// `PRIVATE KEY` as base64 has it, wherever it stands within what is encoded.
static ENCODED_KEY: LazyLock<[String; 3]> = LazyLock::new(|| {
    [0, 1, 2].map(|before: usize| {
        let text = [&vec![b' '; before], &b"PRIVATE KEY"[..]].concat();
        let code = STANDARD_NO_PAD.encode(&text);
        // The first and last letters have something of what stands beside it.
        let (from, whole) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
        code[from..whole].to_owned()
    })
});

fn text<'a>(captures: &'a Captures<'_>, group: usize) -> Cow<'a, str> {
    captures.get(group).map_or_else(Cow::default, |found| {
        String::from_utf8_lossy(found.as_bytes())
    })
}

/// A value that says nothing by itself.
fn is_plain(value: &str) -> bool {
    let inner = value.trim_matches(|c: char| "\"'\\,;".contains(c)).trim();
    matches!(
        inner,
        "" | "true" | "false" | "null" | "~" | "{" | "{}" | "[" | "[]" | "none" | "<none>"
    )
}

/// A value without what it says, in the quotes that it had.
fn without(value: &str) -> String {
    let inner = value.trim_start_matches('\\');
    let escape = &value[..value.len() - inner.len()];
    match inner.chars().next() {
        Some(quote @ ('"' | '\'')) if inner.len() > 1 && inner.ends_with(quote) => {
            format!("{escape}{quote}{MARK}{escape}{quote}")
        }
        Some(quote @ ('"' | '\'')) => format!("{escape}{quote}{MARK}"),
        _ => MARK.to_owned(),
    }
}

fn replace<'l>(
    line: Cow<'l, [u8]>,
    regex: &Regex,
    by: impl Fn(&Captures<'_>) -> Option<String>,
) -> Cow<'l, [u8]> {
    if !regex.is_match(&line) {
        return line;
    }
    let replaced = regex.replace_all(&line, |captures: &Captures<'_>| {
        by(captures).map_or_else(|| captures[0].to_vec(), String::into_bytes)
    });
    Cow::Owned(replaced.into_owned())
}

impl Redactor {
    /// The line without its secrets; none where it is a part of one. It comes without its end.
    pub fn line<'l>(&mut self, line: &'l [u8]) -> Option<Cow<'l, [u8]>> {
        if self.key > 0 {
            self.key -= 1;
            let end = KEY_END.find_iter(line).last()?.end();
            self.key = 0;
            return self.line(&line[end..]);
        }
        let named = std::mem::take(&mut self.named);
        let next = std::mem::take(&mut self.next);
        if let Some(indent) = self.block {
            let blank = line.iter().all(u8::is_ascii_whitespace);
            if blank || indent_of(line) > indent {
                return None;
            }
            self.block = None;
        }
        if let Some(item) = argument::item(line, next) {
            if next == Next::Items {
                self.next = next;
            }
            self.block = item.is_block.then(|| indent_of(line));
            return Some(item.line.map_or(Cow::Borrowed(line), Cow::Owned));
        }
        let mut line = without_bootstrap_tokens(line);
        line = replace(line, &ENCODED, |found| {
            let code = text(found, 0);
            ENCODED_KEY
                .iter()
                .any(|key| code.contains(key.as_str()))
                .then(|| MARK.to_owned())
        });
        if !INTEREST.is_match(&line) {
            return Some(line);
        }
        if let Some(begin) = KEY_BEGIN.find(&line).map(|found| found.start()) {
            let end = KEY_END.find_iter(&line).last().map(|found| found.end());
            let rest = if let Some(end) = end.filter(|end| *end > begin) {
                line[end..].to_vec()
            } else {
                self.key = KEY_LINES;
                Vec::new()
            };
            line = Cow::Owned([&line[..begin], MARK.as_bytes(), &rest].concat());
        }
        if named {
            line = replace(line, &VALUE, |found| {
                Some(format!("{}{MARK}{}", text(found, 1), text(found, 2)))
            });
        }
        self.named = NAME
            .captures(&line)
            .is_some_and(|found| is_secret(&text(&found, 1)) || is_proxy(&text(&found, 1)));
        let line = self.pairs(patterns(line));
        self.next = argument::after(&line);
        Some(line)
    }

    /// What stands under a name that says that it is secret.
    fn pairs<'l>(&mut self, line: Cow<'l, [u8]>) -> Cow<'l, [u8]> {
        let mut block = None;
        if let Some(found) = LINE.captures(&line)
            && is_secret(&text(&found, 3))
        {
            let value = text(&found, 4).into_owned();
            if value.starts_with(['|', '>']) {
                block = Some(indent_of(&line));
            } else if !is_plain(&value) && !value.starts_with('{') {
                let start = found.get(4).map_or(0, |found| found.start());
                let end = text(&found, 5).into_owned();
                return Cow::Owned(
                    [&line[..start], without(&value).as_bytes(), end.as_bytes()].concat(),
                );
            }
        }
        self.block = block;
        if block.is_some() {
            return line;
        }
        let line = replace(line, &NAMED, |found| {
            let name = text(found, 2);
            (is_secret(&name) || is_proxy(&name)).then(|| {
                format!(
                    "{}{name}{}{}",
                    text(found, 1),
                    text(found, 3),
                    without(&text(found, 4))
                )
            })
        });
        argument::options(pairs_within(line))
    }
}

/// What stands under a secret's name anywhere in a line. Values of others are looked into, too.
fn pairs_within(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let (mut clean, mut done, mut from) = (Vec::new(), 0, 0);
    while let Some(found) = PAIR.captures_at(&line, from) {
        let (start, name) = (
            found.get(0).map_or(line.len(), |found| found.end()),
            text(&found, 1),
        );
        from = start;
        if !is_secret(&name) {
            continue;
        }
        let Some(value) = PAIRED.find(&line[start..]) else {
            continue;
        };
        let end = start + value.end();
        let value = String::from_utf8_lossy(value.as_bytes());
        if !is_plain(&value) {
            clean.extend_from_slice(&line[done..start]);
            clean.extend_from_slice(without(&value).as_bytes());
            (done, from) = (end, end);
        }
    }
    if done == 0 {
        return line;
    }
    clean.extend_from_slice(&line[done..]);
    Cow::Owned(clean)
}

/// What is a secret by its own looks.
fn patterns(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let before_at = |found: &Captures<'_>| Some(format!("{}{MARK}@", text(found, 1)));
    let line = replace(line, &PROXY, before_at);
    let line = replace(line, &USER, before_at);
    let line = replace(line, &TOKENS, |_| Some(MARK.to_owned()));
    let line = replace(line, &AUTHORIZATION, |found| {
        // What was redacted before stays as it is.
        let is_done = [MARK, &MARK[1..]].contains(&&*text(found, 2));
        (!is_done).then(|| format!("{}{MARK}", text(found, 1)))
    });
    replace(line, &BEARER, |found| {
        let word = text(found, 2).to_ascii_lowercase();
        let is_word =
            ["token", "tokens", "authentication", "authenticator"].contains(&word.as_str());
        (!is_word).then(|| format!("{}{MARK}", text(found, 1)))
    })
}

fn indent_of(line: &[u8]) -> usize {
    line.iter().take_while(|byte| **byte == b' ').count()
}

/// `abcdef.0123456789abcdef`, with nothing of its kind beside it.
fn without_bootstrap_tokens(line: &[u8]) -> Cow<'_, [u8]> {
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_token = |dot: usize| {
        let id = dot.checked_sub(6)?;
        let parts = line[id..dot]
            .iter()
            .chain(line.get(dot + 1..dot + 17)?)
            .all(is_part);
        let before = id
            .checked_sub(1)
            .is_some_and(|at| line[at].is_ascii_alphanumeric());
        // As in `kube-master.18a3f2b4c5d6e7f8`: the name of an event.
        let of_event = id.checked_sub(1).is_some_and(|at| line[at] == b'-')
            && line[dot + 1..dot + 17].iter().all(u8::is_ascii_hexdigit);
        let after = line.get(dot + 17).is_some_and(u8::is_ascii_alphanumeric);
        (parts && !before && !after && !of_event).then_some(id)
    };
    let (mut clean, mut done) = (Vec::new(), 0);
    for (dot, _) in line.iter().enumerate().filter(|(_, byte)| **byte == b'.') {
        if let Some(id) = is_token(dot).filter(|id| *id >= done) {
            clean.extend_from_slice(&line[done..id]);
            clean.extend_from_slice(MARK.as_bytes());
            done = dot + 17;
        }
    }
    if done == 0 {
        return Cow::Borrowed(line);
    }
    clean.extend_from_slice(&line[done..]);
    Cow::Owned(clean)
}

/// Takes secrets out of an object by its structure, which no form of writing can hide.
pub fn object(value: &mut Value) {
    match value {
        Value::Array(items) => {
            let mut is_value = false;
            for item in items {
                match item {
                    Value::String(text) if is_value && !text.starts_with("--") => {
                        *item = MARK.into();
                        is_value = false;
                    }
                    item => {
                        object(item);
                        is_value = item.as_str().is_some_and(is_option);
                    }
                }
            }
        }
        Value::Object(map) => {
            let name = map.get("name").and_then(Value::as_str);
            if name.is_some_and(|name| is_secret(name) || is_proxy(name))
                && let Some(value @ Value::String(_)) = map.get_mut("value")
            {
                *value = MARK.into();
            }
            for (name, value) in map {
                match value {
                    Value::String(text) if is_secret(name) && !is_plain(text) => {
                        *value = MARK.into();
                    }
                    Value::Array(items) if is_secret(name) => {
                        for item in items {
                            match item {
                                Value::String(text) if !is_plain(text) => *item = MARK.into(),
                                item => object(item),
                            }
                        }
                    }
                    value => object(value),
                }
            }
        }
        _ => {}
    }
}

/// A whole text without its secrets.
pub fn redacted(text: &str) -> String {
    let mut redactor = Redactor::default();
    let mut clean = String::with_capacity(text.len());
    for line in text.lines() {
        if let Some(line) = redactor.line(line.as_bytes()) {
            clean.push_str(&String::from_utf8_lossy(&line));
            clean.push('\n');
        }
    }
    clean
}

#[cfg(test)]
mod tests;
