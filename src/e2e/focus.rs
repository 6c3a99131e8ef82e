//! Which tests are meant. PURE.

use std::fmt::{self, Write as _};

/// Tests by regular expressions over their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Those that match this.
    pub focus: String,
    /// But not those that match this; nothing where it is empty.
    pub skip: String,
    /// Both in the words of whoever chose.
    words: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Choice {
    /// What was typed, or the conformance tests: those that may run beside each other, or those that may not.
    pub fn new(focus: Option<&str>, skip: Option<&str>, serial: bool, regex: bool) -> Self {
        // An empty text is none: it would match every test there is.
        let focus = focus.filter(|focus| !focus.is_empty());
        let taken = |text: &str| if regex { text.to_owned() } else { quote(text) };
        let (usual_focus, usual_skip) = if serial {
            (r"\[Serial\].*\[Conformance\]", "")
        } else {
            (r"\[Conformance\]", r"\[Serial\]")
        };
        let typed = |text: &str| {
            if regex {
                format!("that matches `{text}`")
            } else {
                format!("with `{text}` in its name")
            }
        };
        let mut words = focus.map_or_else(|| "for conformance".to_owned(), typed);
        if let Some(skip) = skip.filter(|skip| !skip.is_empty()) {
            words = format!("{words} but not one {}", typed(skip));
        }
        // A skip of the user's own adds to what must not run beside others.
        let skip = match (skip.filter(|skip| !skip.is_empty()), usual_skip) {
            (Some(skip), "") => taken(skip),
            (Some(skip), usual) => format!("{}|{usual}", taken(skip)),
            (None, _) if focus.is_some() => String::new(),
            (None, usual) => usual.to_owned(),
        };
        Self {
            focus: focus.map_or_else(|| usual_focus.to_owned(), taken),
            skip,
            words,
        }
    }
}

/// A regular expression that matches this text, and any white space where it has some.
pub fn quote(text: &str) -> String {
    let mut quoted = String::new();
    let mut blank = false;
    for letter in text.chars() {
        if letter.is_whitespace() {
            if !blank {
                quoted.push_str(r"\s+");
            }
            blank = true;
            continue;
        }
        blank = false;
        if matches!(
            letter,
            '\\' | '[' | ']' | '$' | '*' | '.' | '^' | '(' | ')' | '{' | '}' | '|' | '?' | '+'
        ) {
            quoted.push('\\');
        }
        // Writing to a string cannot fail.
        let _ = quoted.write_char(letter);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_substring_matches_itself() {
        for (text, expected) in [
            ("[Serial]", r"\[Serial\]"),
            ("existing RC", r"existing\s+RC"),
            ("a  \t b", r"a\s+b"),
            ("a{1}|b?c+d", r"a\{1\}\|b\?c\+d"),
            (r"\d.*$^()", r"\\d\.\*\$\^\(\)"),
            ("é", "é"),
        ] {
            assert_eq!(quote(text), expected);
        }
    }

    #[test]
    fn without_a_focus_the_conformance_tests_are_meant() {
        let choice = |focus, skip, serial, regex| {
            let Choice { focus, skip, .. } = Choice::new(focus, skip, serial, regex);
            (focus, skip)
        };
        let pair = |focus: &str, skip: &str| (focus.to_owned(), skip.to_owned());
        assert_eq!(
            choice(None, None, false, false),
            pair(r"\[Conformance\]", r"\[Serial\]")
        );
        assert_eq!(
            choice(None, None, true, false),
            pair(r"\[Serial\].*\[Conformance\]", "")
        );
        for serial in [false, true] {
            assert_eq!(
                choice(Some(""), Some(""), serial, false),
                choice(None, None, serial, false)
            );
        }
        assert_eq!(choice(Some("a.b"), None, false, false), pair(r"a\.b", ""));
        assert_eq!(
            choice(Some("a.b"), Some("c+"), true, true),
            pair("a.b", "c+")
        );
        assert_eq!(
            choice(Some("a"), Some("b?"), false, false),
            pair("a", r"b\?|\[Serial\]")
        );
        assert_eq!(
            choice(None, Some("DNS"), false, false),
            pair(r"\[Conformance\]", r"DNS|\[Serial\]")
        );
    }

    #[test]
    fn a_choice_is_told_as_it_was_typed() {
        let told = |focus, skip, regex| Choice::new(focus, skip, false, regex).to_string();
        assert_eq!(told(None, None, false), "for conformance");
        assert_eq!(
            told(Some("a b"), Some("c?"), false),
            "with `a b` in its name but not one with `c?` in its name"
        );
        assert_eq!(told(Some("a|b"), None, true), "that matches `a|b`");
    }
}
