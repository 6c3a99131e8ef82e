//! From a setting's text to its value: one small parser for each kind.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::Ipv4Network;
use serde_json::Value;

use super::BaseKind;
use super::problem::Wrong;
use super::table::{Choice, Kind, Setting};
use crate::cluster::version::{OLDEST_MINOR, VersionError, VersionRequest};

/// The value that a text stands for.
pub(super) fn parse(setting: &Setting, text: &str) -> Result<Value, Wrong> {
    let text = text.trim();
    let is_list = matches!(setting.kind, Kind::List(_));
    match text {
        "" if is_list => Ok(Value::Array(Vec::new())),
        "" if setting.optional => Ok(Value::Null),
        "" => Err(Wrong::new("has no value", give(setting.kind))),
        text if has_secret(text) => Err(Wrong::new(
            "has a user or a password before its host",
            "leave them out: settings are shown and logged",
        )),
        text => of_kind(setting.kind, text),
    }
}

fn of_kind(kind: Kind, text: &str) -> Result<Value, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("`{text}` {what}"), give(kind));
    let text_if = |right: bool, what: &str| {
        if right {
            Ok(Value::from(text))
        } else {
            Err(wrong(what))
        }
    };
    match kind {
        Kind::Bool => match text {
            "true" => Ok(Value::from(true)),
            "false" => Ok(Value::from(false)),
            _ => Err(wrong("is neither true nor false")),
        },
        Kind::Number(least, most) => match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Value::from(number)),
            Ok(_) => Err(wrong("is out of range")),
            Err(_) if is_number(text) => Err(wrong("is out of range")),
            Err(_) => Err(wrong("is not a whole number")),
        },
        Kind::OneOf(numbers) => match text.parse() {
            Ok(number) if numbers.contains(&number) => Ok(Value::from(number)),
            _ => Err(wrong("is not one of the numbers that can be")),
        },
        Kind::Subnet(shortest, longest) => subnet(text, shortest, longest),
        Kind::Address => text_if(text.parse::<Ipv4Addr>().is_ok(), "is not an IPv4 address"),
        Kind::Label => label(text),
        Kind::Version => version(text),
        Kind::Url => text_if(is_url(text), "is not an http or https URL"),
        Kind::Registry => text_if(is_registry(text), "is not the name of a registry"),
        Kind::GoProxy => {
            let is_proxy = |part: &str| matches!(part, "direct" | "off") || is_go_url(part);
            text_if(
                text.split([',', '|']).all(is_proxy),
                "is not what `GOPROXY` can be",
            )
        }
        Kind::Base => base(text),
        Kind::Digest(length) if text.chars().all(|letter| letter.is_ascii_hexdigit()) => {
            match text.len() {
                right if right == length => Ok(Value::from(text.to_lowercase())),
                other => Err(wrong(&format!("has {other} digits"))),
            }
        }
        Kind::Digest(_) => Err(wrong("is not a digest")),
        Kind::Path | Kind::Text => Ok(Value::from(text)),
        Kind::Choice(choices) => choice(kind, text, choices),
        Kind::List(words) => list(kind, text, words),
    }
}

/// What to do instead.
pub(super) fn give(kind: Kind) -> String {
    format!("give {}", wanted(kind))
}

/// What would be right, in words.
pub(super) fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
        Kind::OneOf(numbers) => {
            let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
            any_of(words.iter().map(String::as_str))
        }
        Kind::Subnet(shortest, longest) => {
            format!("an IPv4 range as 10.20.0.0/16, with a prefix from {shortest} to {longest}")
        }
        Kind::Address => "an IPv4 address as 127.0.0.1".to_owned(),
        Kind::Label => {
            "1 to 32 lowercase letters, digits and inner dashes, and no number alone or before a dash"
                .to_owned()
        }
        Kind::Version => {
            format!(
                "`1.35.2`, `1.35`, `stable-1.35`, `stable` or `latest`, from 1.{OLDEST_MINOR} on"
            )
        }
        Kind::Url => "a URL as https://host/path".to_owned(),
        Kind::Registry => "a host with an optional port and path as host:5000/path, \
                           `http://` before it if it has no TLS"
            .to_owned(),
        Kind::GoProxy => "URLs, `direct` or `off`, with commas between them".to_owned(),
        Kind::Base => {
            "`auto`, `archive`, an image's name, or the path or URL of a tarball".to_owned()
        }
        Kind::Digest(length) => format!("{length} hexadecimal digits"),
        Kind::Path => "a path".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Choice(choices) => {
            let words = choices.iter().filter(|choice| choice.later.is_none());
            any_of(words.map(|choice| choice.word))
        }
        Kind::List(words) => {
            format!(
                "{}, with commas between several",
                any_of(words.iter().copied())
            )
        }
    }
}

fn any_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.chars().all(|letter| letter.is_ascii_digit())
}

fn subnet(text: &str, shortest: u8, longest: u8) -> Result<Value, Wrong> {
    let right = give(Kind::Subnet(shortest, longest));
    let wrong = |what: &str| Wrong::new(format!("`{text}` {what}"), right.as_str());
    // Without its prefix it would be read as a range of one address.
    if !text.contains('/') {
        return Err(wrong("has no prefix length"));
    }
    let network: Ipv4Network = text.parse().map_err(|_| wrong("is not an IPv4 range"))?;
    if network.network() != network.ip() {
        let right = format!("the range is {}/{}", network.network(), network.prefix());
        return Err(Wrong::new(
            format!("`{text}` is an address within a range"),
            right,
        ));
    }
    if !(shortest..=longest).contains(&network.prefix()) {
        return Err(wrong("has the wrong size"));
    }
    Ok(Value::from(network.to_string()))
}

fn label(text: &str) -> Result<Value, Wrong> {
    let Some(fault) = crate::cluster::label_fault(text) else {
        return Ok(Value::from(text));
    };
    let what = format!("`{text}` cannot be a label: {fault}");
    // The name of a cluster with a number: a label of that form would be that cluster.
    match text.strip_prefix("cluster-").filter(|id| is_number(id)) {
        Some(id) => Err(Wrong::new(
            what,
            format!("use cluster.id {id}, or another label"),
        )),
        None => Err(Wrong::new(what, give(Kind::Label))),
    }
}

fn version(text: &str) -> Result<Value, Wrong> {
    let what = match text.parse::<VersionRequest>() {
        Ok(_) => return Ok(Value::from(text)),
        Err(VersionError::Malformed(_)) => "is not a version of Kubernetes",
        Err(VersionError::PreRelease(_)) => "is a pre-release or a build of one's own",
        Err(VersionError::Unsupported(_)) => {
            "is not supported: the nodes' containerd needs a kubelet of Kubernetes 1 that speaks CRI v1"
        }
    };
    Err(Wrong::new(format!("`{text}` {what}"), give(Kind::Version)))
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| is_host(rest.split('/').next().unwrap_or(rest)) && is_plain(rest))
}

fn is_go_url(text: &str) -> bool {
    is_url(text)
        || text
            .strip_prefix("file://")
            .is_some_and(|p| p.starts_with('/') && is_plain(p))
}

fn is_registry(text: &str) -> bool {
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let mut parts = rest.split('/');
    let is_name = |l: char| l.is_ascii_lowercase() || l.is_ascii_digit() || "._-".contains(l);
    parts.next().is_some_and(is_host) && parts.all(|p| !p.is_empty() && p.chars().all(is_name))
}

/// A host, with or without a port.
fn is_host(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some((host, port)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let is_rest = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return host.parse::<Ipv6Addr>().is_ok() && is_rest;
    }
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    let is_letter = |l: char| l.is_ascii_alphanumeric() || l == '.' || l == '-';
    host.starts_with(|l: char| l.is_ascii_alphanumeric())
        && host.chars().all(is_letter)
        && is_port(port)
}

/// Whether one of the URLs in a text has a user or a password.
fn has_secret(text: &str) -> bool {
    let hosts = text
        .split("://")
        .skip(1)
        .map(|rest| rest.split('/').next().unwrap_or(rest));
    hosts.into_iter().any(|host| host.contains('@'))
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(|l| l.is_whitespace() || l.is_control())
}

/// What a base is, by its looks.
pub(super) fn base_kind(text: &str) -> BaseKind {
    const ARCHIVES: &[&str] = &[".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"];
    match text {
        "auto" => BaseKind::Auto,
        "archive" => BaseKind::Archive,
        text if text.contains("://") => BaseKind::Url,
        text if text.starts_with(['/', '.', '~']) => BaseKind::Path,
        text if ARCHIVES.iter().any(|end| text.ends_with(end)) => BaseKind::Path,
        _ => BaseKind::Reference,
    }
}

fn base(text: &str) -> Result<Value, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("`{text}` {what}"), give(Kind::Base));
    match base_kind(text) {
        BaseKind::Url if !is_url(text) => Err(wrong("is not an http or https URL")),
        BaseKind::Reference if !is_reference(text) => Err(wrong("is not an image's name")),
        _ => Ok(Value::from(text)),
    }
}

/// The letters of an image's name, not all of its grammar: the engine knows that better.
fn is_reference(text: &str) -> bool {
    text.starts_with(|l: char| l.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|l| l.is_ascii_alphanumeric() || "._-/:@+".contains(l))
}

fn choice(kind: Kind, text: &str, choices: &[Choice]) -> Result<Value, Wrong> {
    match choices.iter().find(|choice| choice.word == text) {
        Some(Choice {
            later: Some(reason),
            ..
        }) => Err(Wrong::new(
            format!("`{text}` cannot be had: {reason}"),
            wanted(kind),
        )),
        Some(_) => Ok(Value::from(text)),
        None => Err(Wrong::new(format!("`{text}` is not known"), give(kind))),
    }
}

fn list(kind: Kind, text: &str, words: &[&str]) -> Result<Value, Wrong> {
    let mut items: Vec<&str> = Vec::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        if !words.contains(&item) {
            return Err(Wrong::new(format!("`{item}` is not known"), give(kind)));
        }
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(Value::from(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_can_have_ports() {
        for host in ["a", "a.b-c:1", "10.0.0.1:65535", "[::1]", "[fd00::1]:5000"] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "", ":1", "a:", "a:0", "a:b", "-a", "a b", "[::1", "[::1]5", "[::1]:", "[a]",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn bases_are_told_apart_by_their_looks() {
        let kinds = [
            ("auto", BaseKind::Auto),
            ("archive", BaseKind::Archive),
            ("debian:trixie-slim", BaseKind::Reference),
            ("host:5000/debian@sha256:0123", BaseKind::Reference),
            ("rootfs.tar.xz", BaseKind::Path),
            ("./rootfs", BaseKind::Path),
            ("https://host/rootfs", BaseKind::Url),
        ];
        for (text, kind) in kinds {
            assert_eq!(base_kind(text), kind, "{text}");
            assert!(base(text).is_ok(), "{text}");
        }
    }
}
