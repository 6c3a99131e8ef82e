//! A configuration file's text: its keys, each with its line and with its value as it was written.
//!
//! A YAML library gives typed values without places: `1.30` comes as the number 1.3, and of a wrong
//! value nobody knows the line. What it does tell is the place of an error. So the text is walked
//! once for its keys and values, numbered in their order, and walked again for a place: up to that
//! number, where the walk fails on purpose. Files are small, and places are few.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Visitor,
};

use super::problem::Wrong;

/// What a file can be at most: in bytes, and in keys and values. Ours has a hundred.
const MOST_BYTES: usize = 64 * 1024;
const MOST_SCALARS: usize = 1000;

/// A key with what stands below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The keys that lead to it, with dots between them.
    pub name: String,
    /// Its place in the order of all keys and values.
    number: usize,
    /// Its value.
    pub content: Content,
}

impl Entry {
    /// Its line in the text that it is from, 0 if there is none.
    pub fn line(&self, text: &str) -> usize {
        place(without_mark(text), self.number).map_or(0, |(line, _)| line)
    }
}

/// A key's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text, a number or a truth value as it was written; nothing is the empty text.
    Text(String),
    /// A list of such.
    List(Vec<String>),
    /// A list of something else, or a mapping where there should be none.
    Other,
}

/// A text that cannot be read at all: the line, 0 if there is none, and what is wrong.
pub type Unreadable = (usize, Wrong);

/// Reads a file's text. Mappings are gone into but for those keys that `is_leaf` knows.
pub fn read(text: &str, is_leaf: impl Fn(&str) -> bool) -> Result<Vec<Entry>, Unreadable> {
    if text.len() > MOST_BYTES {
        let right = format!("a configuration has {MOST_BYTES} bytes at most");
        return Err((0, Wrong::new("is too long", right)));
    }
    let text = without_mark(text);
    let walk = Walk {
        next: &Cell::new(0),
        stop: MOST_SCALARS,
    };
    let root = walk
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| unreadable(&error))?;
    let mut entries = Vec::new();
    match root {
        Node::Mapping(keys) => flatten(text, "", keys, &is_leaf, &mut entries),
        Node::Scalar(scalar) if scalar.text.is_empty() => {}
        _ => {
            let right = "write settings as in `verbose: 1`";
            return Err((1, Wrong::new("has no keys", right)));
        }
    }
    Ok(entries)
}

/// The library skips a byte order mark and does not count it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn unreadable(error: &serde_yaml::Error) -> Unreadable {
    let line = error.location().map_or(0, |location| location.line());
    let text = error.to_string();
    if text.starts_with("deserializing from YAML containing more than one document") {
        return (
            line,
            Wrong::new("has several documents", "leave one, without `---`"),
        );
    }
    // The place stands before the message already.
    let text = text.split(" at line ").next().unwrap_or(&text);
    (line, Wrong::new("is not readable as YAML", text))
}

/// A scalar: its number in the order of all, and its text.
struct Scalar {
    number: usize,
    text: String,
    is_float: bool,
}

enum Node {
    Scalar(Scalar),
    List(Vec<Self>),
    Mapping(Vec<(Scalar, Self)>),
}

fn flatten(
    text: &str,
    above: &str,
    keys: Vec<(Scalar, Node)>,
    is_leaf: &impl Fn(&str) -> bool,
    entries: &mut Vec<Entry>,
) {
    for (key, node) in keys {
        let key_text = as_written(text, &key);
        let name = if above.is_empty() {
            key_text
        } else {
            format!("{above}.{key_text}")
        };
        match node {
            Node::Mapping(keys) if !keys.is_empty() && !is_leaf(&name) => {
                flatten(text, &name, keys, is_leaf, entries);
            }
            node => {
                let number = key.number;
                entries.push(Entry {
                    name,
                    number,
                    content: content(text, node),
                });
            }
        }
    }
}

fn content(text: &str, node: Node) -> Content {
    match node {
        Node::Scalar(scalar) => Content::Text(as_written(text, &scalar)),
        Node::Mapping(keys) if keys.is_empty() => Content::Text(String::new()),
        Node::Mapping(_) => Content::Other,
        Node::List(nodes) => {
            let texts = nodes.into_iter().map(|node| match node {
                Node::Scalar(scalar) => Some(as_written(text, &scalar)),
                _ => None,
            });
            texts
                .collect::<Option<_>>()
                .map_or(Content::Other, Content::List)
        }
    }
}

/// The text of a scalar; of a number with a point, such as 1.30, that of the file.
fn as_written(text: &str, scalar: &Scalar) -> String {
    let written = || {
        let (_, index) = place(text, scalar.number)?;
        let ends = |letter: char| letter.is_whitespace() || ",]}:".contains(letter);
        let written = text.get(index..)?.split(ends).next()?;
        // A tag or an anchor before the number would be in the way.
        let is_same = written.parse::<f64>().ok() == scalar.text.parse().ok();
        is_same.then(|| written.to_owned())
    };
    let written = if scalar.is_float { written() } else { None };
    written.unwrap_or_else(|| scalar.text.clone())
}

/// The line of a scalar, and how many bytes of the text come before it.
fn place(text: &str, number: usize) -> Option<(usize, usize)> {
    let walk = Walk {
        next: &Cell::new(0),
        stop: number,
    };
    let error = walk
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    error
        .location()
        .map(|location| (location.line(), location.index()))
}

/// The walk through a text, up to the scalar where it stops.
#[derive(Clone, Copy)]
struct Walk<'a> {
    next: &'a Cell<usize>,
    stop: usize,
}

impl Walk<'_> {
    fn scalar<E: serde::de::Error>(self, text: String, is_float: bool) -> Result<Node, E> {
        let number = self.next.get();
        if number == self.stop {
            return Err(E::custom(format!(
                "more than {MOST_SCALARS} keys and values"
            )));
        }
        self.next.set(number + 1);
        Ok(Node::Scalar(Scalar {
            number,
            text,
            is_float,
        }))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or keys with values")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.scalar(String::new(), false)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.scalar(value.to_string(), false)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        self.scalar(value.to_string(), true)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.scalar(value.to_owned(), false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(self)? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        let mut keys = Vec::new();
        while let Some(key) = mapping.next_key_seed(self)? {
            let Node::Scalar(key) = key else {
                return Err(A::Error::custom("a key that is a list or a mapping"));
            };
            keys.push((key, mapping.next_value_seed(self)?));
        }
        Ok(Node::Mapping(keys))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(A::Error::custom("tags (`!`) are not understood"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let entries = read(text, |name| name.ends_with("leaf")).unwrap();
        let show =
            |entry: Entry| format!("{} {}={:?}", entry.line(text), entry.name, entry.content);
        entries.into_iter().map(show).collect()
    }

    #[test]
    fn keys_have_their_lines_and_values_as_written() {
        let text = "# first\na: 1.30\n\nb:\n  c: [x, 2.50]\n  \"d\": # no value\n  é: 1e3\n\
                    b.e: {f: 1.10, g: true}\nleaf:\n  x: 1\na: !!float 1.20\n";
        assert_eq!(
            lines(text),
            [
                r#"2 a=Text("1.30")"#,
                r#"5 b.c=List(["x", "2.50"])"#,
                r#"6 b.d=Text("")"#,
                r#"7 b.é=Text("1e3")"#,
                r#"8 b.e.f=Text("1.10")"#,
                r#"8 b.e.g=Text("true")"#,
                "9 leaf=Other",
                r#"11 a=Text("1.2")"#,
            ]
        );
    }

    #[test]
    fn a_digest_of_digits_only_keeps_all_of_them() {
        let digest = "1234567890".repeat(6) + "1234";
        assert_eq!(
            lines(&format!("a: {digest}")),
            [format!("1 a=Text({digest:?})")]
        );
        assert_eq!(lines("a: 1234e56"), [r#"1 a=Text("1234e56")"#]);
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n", "# only words\n", "---\n", "~"] {
            assert_eq!(read(text, |_| false), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let wrong = |text: &str| {
            let (line, wrong) = read(text, |_| false).unwrap_err();
            format!("{line}: {}; {}", wrong.wrong, wrong.right)
        };
        insta::assert_snapshot!(
            [
                wrong("- a\n- b\n"),
                wrong("words"),
                wrong("a: 1\n---\nb: 2\n"),
                wrong("a: 1\n b: 2\n"),
                wrong("a: [1\n"),
                wrong("a: *b\n"),
                wrong("a: !tag 1\n"),
                wrong("[1]: 2\n"),
                wrong(&"a: 1\n".repeat(600)),
                wrong(&"# long\n".repeat(10_000)),
            ]
            .join("\n"),
            @r#"
            1: has no keys; write settings as in `verbose: 1`
            1: has no keys; write settings as in `verbose: 1`
            0: has several documents; leave one, without `---`
            2: is not readable as YAML; mapping values are not allowed in this context
            2: is not readable as YAML; did not find expected ',' or ']'
            1: is not readable as YAML; unknown anchor
            1: is not readable as YAML; a: tags (`!`) are not understood
            1: is not readable as YAML; a key that is a list or a mapping
            501: is not readable as YAML; more than 1000 keys and values
            0: is too long; a configuration has 65536 bytes at most
            "#
        );
    }
}
