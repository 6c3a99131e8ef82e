//! An error chain as text.

use std::error::Error as StdError;
use std::fmt::Write;

use super::{Error, chain, ours};
use crate::report::strip_controls;

/// Hints are wrapped at this width. Errors are not: their lines are searched for, and commands in them are pasted.
const WIDTH: usize = 100;

/// The error with its causes, the outputs that belong to it, and the hints.
pub fn render(error: &(dyn StdError + 'static), hints: &[String]) -> String {
    let mut text = String::new();
    push_chain(&mut text, error, "error:", "");
    for cause in chain(error) {
        push_details(&mut text, cause);
    }
    if !hints.is_empty() {
        text.push('\n');
    }
    for hint in hints {
        push_hint(&mut text, hint);
    }
    text.truncate(text.trim_end().len());
    text
}

fn push_chain(text: &mut String, error: &(dyn StdError + 'static), word: &str, indent: &str) {
    let mut former = error.to_string();
    push_indented(text, &format!("{indent}{word} "), &former);
    for cause in chain(error).skip(1) {
        let said = cause.to_string();
        // Some libraries' errors contain their sources' text: once is enough.
        if said.is_empty() || former.ends_with(&said) {
            continue;
        }
        push_indented(text, &format!("{indent}  caused by: "), &said);
        former = said;
    }
}

/// Writes a text of one line or several, the further ones set in below the first.
fn push_indented(text: &mut String, prefix: &str, said: &str) {
    let indent = " ".repeat(prefix.len() - prefix.trim_start().len() + 4);
    for (number, line) in said.trim_end().lines().enumerate() {
        let line = strip_controls(line);
        let start = if number == 0 { prefix } else { &indent };
        let _ = writeln!(text, "{}", format!("{start}{line}").trim_end());
    }
    if said.trim_end().is_empty() {
        let _ = writeln!(text, "{}", prefix.trim_end());
    }
}

/// What one of our own errors has to show besides its sentence.
fn push_details(text: &mut String, cause: &(dyn StdError + 'static)) {
    match ours(cause) {
        Some(Error::Command {
            node,
            output_tail,
            unit,
            journal_tail,
            ..
        }) => {
            push_tail(text, &format!("output on `{node}`"), output_tail);
            let unit = unit
                .as_ref()
                .map_or_else(String::new, |unit| format!(" of `{unit}`"));
            push_tail(text, &format!("journal{unit} on `{node}`"), journal_tail);
        }
        Some(Error::Stage { others, .. }) => {
            for other in others {
                text.push('\n');
                push_chain(text, other, "also:", "");
                chain(other).for_each(|cause| push_details(text, cause));
            }
        }
        _ => {}
    }
}

fn push_tail(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nthe end of the {title}:");
    for line in lines {
        let _ = writeln!(
            text,
            "{}",
            format!("    {}", strip_controls(line)).trim_end()
        );
    }
}

fn push_hint(text: &mut String, hint: &str) {
    let mut prefix = "hint:";
    for paragraph in hint.lines() {
        for line in wrap(paragraph, WIDTH - "hint: ".len()) {
            let _ = writeln!(text, "{prefix} {line}");
            prefix = "     ";
        }
    }
}

/// Breaks a text at spaces, but not within back-ticks: what is in them is to be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in unbreakable(text) {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// The words of a text; a quotation in back-ticks is one word.
fn unbreakable(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if quoted => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        quoted ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn wraps_at_spaces_but_not_in_back_ticks() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrap("run `a b c d`, then", 8),
            ["run", "`a b c d`,", "then"]
        );
        assert_eq!(wrap("immeasurable", 4), ["immeasurable"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
