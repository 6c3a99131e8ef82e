//! Kubernetes versions, and the ways to ask for one.

use std::fmt;
use std::str::FromStr;

/// The oldest supported minor version of Kubernetes 1. What is made for kubeadm is known from 1.20 on, but the node
/// image's containerd 2 speaks only CRI v1, which kubelet has from 1.23 on.
pub const OLDEST_MINOR: u16 = 23;

/// The version that is used where none is asked for: one that is tested with this release of the tool.
pub const DEFAULT_VERSION: KubernetesVersion = KubernetesVersion::new(1, 36, 3);

/// A released Kubernetes version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    /// Always 1 so far.
    pub major: u16,
    /// The release line.
    pub minor: u16,
    /// The release in its line.
    pub patch: u16,
}

impl KubernetesVersion {
    /// The version of these numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether the version is of release line 1.`minor` or a newer one.
    pub const fn is_at_least(self, minor: u16) -> bool {
        self.major > 1 || (self.major == 1 && self.minor >= minor)
    }

    /// Whether this tool can make clusters of it.
    pub const fn is_supported(self) -> bool {
        self.major == 1 && self.minor >= OLDEST_MINOR
    }

    /// The name of the release as Kubernetes writes it in tags and configuration: `v1.36.3`.
    pub fn tag(self) -> String {
        format!("v{self}")
    }
}

/// Without a `v`: `1.36.3`.
impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A full version only, with or without a `v`; whether it is supported is not asked.
impl FromStr for KubernetesVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Dotted::parse(text) {
            Some(dotted) if dotted.extra => Err(VersionError::PreRelease(text.to_owned())),
            Some(Dotted {
                minor,
                patch: Some(patch),
                major,
                ..
            }) => Ok(Self::new(major, minor, patch)),
            _ => Err(VersionError::Malformed(text.to_owned())),
        }
    }
}

/// A wish for a version, as typed: some forms need a look at what is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VersionRequest {
    /// Nothing: [`DEFAULT_VERSION`].
    #[default]
    Default,
    /// `latest` or `stable`: the newest release.
    Latest,
    /// `stable-1.35` or `1.35`: the newest release of a line of Kubernetes 1.
    LatestOf {
        /// The release line.
        minor: u16,
    },
    /// `1.35.4` or `v1.35.4`.
    Exact(KubernetesVersion),
}

/// The shortest text that asks for the same.
impl fmt::Display for VersionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::Latest => f.write_str("latest"),
            Self::LatestOf { minor } => write!(f, "1.{minor}"),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

impl FromStr for VersionRequest {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => return Ok(Self::Default),
            "latest" | "stable" => return Ok(Self::Latest),
            _ => {}
        }
        let malformed = || VersionError::Malformed(text.to_owned());
        let line = text.strip_prefix("stable-");
        let dotted = Dotted::parse(line.unwrap_or(text)).ok_or_else(malformed)?;
        let version = KubernetesVersion::new(dotted.major, dotted.minor, dotted.patch.unwrap_or(0));
        match dotted.patch {
            _ if !version.is_supported() => Err(VersionError::Unsupported(text.to_owned())),
            _ if dotted.extra => Err(VersionError::PreRelease(text.to_owned())),
            None => Ok(Self::LatestOf {
                minor: dotted.minor,
            }),
            Some(_) if line.is_some() => Err(malformed()),
            Some(_) => Ok(Self::Exact(version)),
        }
    }
}

/// Why a text is no version that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It is no version at all.
    #[error(
        "`{0}` is not a Kubernetes version: expected `{DEFAULT_VERSION}`, `{major}.{minor}`, \
         `stable-{major}.{minor}`, `stable` or `latest`",
        major = DEFAULT_VERSION.major, minor = DEFAULT_VERSION.minor
    )]
    Malformed(String),
    /// It is a pre-release or a build of one's own, which nobody publishes as releases are published.
    #[error(
        "`{0}` is a pre-release or a build of one's own: ask for a release like `{DEFAULT_VERSION}`, \
         or build it from its source tree"
    )]
    PreRelease(String),
    /// It is older than what is supported, or another major version.
    #[error(
        "Kubernetes `{0}` is not supported: it must be 1.{OLDEST_MINOR} or a newer release of Kubernetes 1, \
         as the containerd in the nodes speaks only CRI v1"
    )]
    Unsupported(String),
}

/// A text of the form `1.36`, `v1.36.3` or `1.36.0-rc.1`.
struct Dotted {
    major: u16,
    minor: u16,
    patch: Option<u16>,
    /// Whether more follows, as in a pre-release.
    extra: bool,
}

impl Dotted {
    /// Reads the text, if it has the form.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (release, extra) = match text.split_once(['-', '+']) {
            Some((release, _)) => (release, true),
            None => (text, false),
        };
        let parts: Vec<u16> = release.split('.').map(number).collect::<Option<_>>()?;
        let (major, minor, patch) = match parts[..] {
            [major, minor] => (major, minor, None),
            [major, minor, patch] => (major, minor, Some(patch)),
            _ => return None,
        };
        Some(Self {
            major,
            minor,
            patch,
            extra,
        })
    }
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(text: &str) -> Result<VersionRequest, String> {
        text.parse()
            .map_err(|error: VersionError| error.to_string())
    }

    #[test]
    fn every_way_to_ask() {
        let exact = VersionRequest::Exact(KubernetesVersion::new(1, 35, 4));
        assert_eq!(ask(""), Ok(VersionRequest::Default));
        assert_eq!(ask("latest"), Ok(VersionRequest::Latest));
        assert_eq!(ask("stable"), Ok(VersionRequest::Latest));
        assert_eq!(
            ask("stable-1.35"),
            Ok(VersionRequest::LatestOf { minor: 35 })
        );
        assert_eq!(ask("1.35"), Ok(VersionRequest::LatestOf { minor: 35 }));
        assert_eq!(ask("1.35.4"), Ok(exact));
        assert_eq!(ask("v1.35.4"), Ok(exact));
        assert_eq!(ask("1.30"), Ok(VersionRequest::LatestOf { minor: 30 }));
    }

    #[test]
    fn refusals_say_what_would_be_right() {
        let texts = [
            "v1.37.0-rc.1",
            "stable-1.35.4",
            "1.19.3",
            "2.0",
            "1.9.0-beta.1",
            "newest",
            "1.3x",
            "1.035",
        ];
        let lines: Vec<_> = texts.iter().map(|text| ask(text).unwrap_err()).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        `v1.37.0-rc.1` is a pre-release or a build of one's own: ask for a release like `1.36.3`, or build it from its source tree
        `stable-1.35.4` is not a Kubernetes version: expected `1.36.3`, `1.36`, `stable-1.36`, `stable` or `latest`
        Kubernetes `1.19.3` is not supported: it must be 1.23 or a newer release of Kubernetes 1, as the containerd in the nodes speaks only CRI v1
        Kubernetes `2.0` is not supported: it must be 1.23 or a newer release of Kubernetes 1, as the containerd in the nodes speaks only CRI v1
        Kubernetes `1.9.0-beta.1` is not supported: it must be 1.23 or a newer release of Kubernetes 1, as the containerd in the nodes speaks only CRI v1
        `newest` is not a Kubernetes version: expected `1.36.3`, `1.36`, `stable-1.36`, `stable` or `latest`
        `1.3x` is not a Kubernetes version: expected `1.36.3`, `1.36`, `stable-1.36`, `stable` or `latest`
        `1.035` is not a Kubernetes version: expected `1.36.3`, `1.36`, `stable-1.36`, `stable` or `latest`
        ");
    }

    #[test]
    fn a_version_is_full_or_nothing() {
        assert_eq!("v1.36.3".parse(), Ok(DEFAULT_VERSION));
        assert!("1.36".parse::<KubernetesVersion>().is_err());
        assert!("1.36.3+k3s1".parse::<KubernetesVersion>().is_err());
        assert_eq!(DEFAULT_VERSION.tag(), "v1.36.3");
        assert!(DEFAULT_VERSION.is_supported());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*|[v0-9.+-]{0,12}|(stable-)?v?[0-9]{1,6}[.][0-9]{1,6}([.][0-9]{1,6})?") {
            if let Ok(request) = text.parse::<VersionRequest>() {
                prop_assert_eq!(request.to_string().parse(), Ok(request));
            }
        }

        #[test]
        fn versions_round_trip(minor in OLDEST_MINOR.., patch: u16) {
            let version = KubernetesVersion::new(1, minor, patch);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
            prop_assert_eq!(version.tag().parse(), Ok(VersionRequest::Exact(version)));
        }
    }
}
