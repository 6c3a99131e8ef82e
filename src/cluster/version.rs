//! Kubernetes versions, and the ways to ask for one.

use std::fmt;
use std::str::FromStr;

/// The oldest supported minor version of Kubernetes 1.
pub const OLDEST_MINOR: u16 = 20;

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
        match numbers(text)?[..] {
            [major, minor, patch] => Ok(Self::new(major, minor, patch)),
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
        let line_only = text.strip_prefix("stable-");
        let request = match numbers(line_only.unwrap_or(text))?[..] {
            [major, minor] => (
                Self::LatestOf { minor },
                KubernetesVersion::new(major, minor, 0),
            ),
            [major, minor, patch] if line_only.is_none() => {
                let version = KubernetesVersion::new(major, minor, patch);
                (Self::Exact(version), version)
            }
            _ => return Err(VersionError::Malformed(text.to_owned())),
        };
        if request.1.is_supported() {
            Ok(request.0)
        } else {
            Err(VersionError::Unsupported(text.to_owned()))
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
    /// It is a pre-release or a build of one's own.
    #[error(
        "`{given}` is not a release of Kubernetes: pre-releases and builds are not published as releases are; \
         use a release like `{release}`, or build from a source tree"
    )]
    PreRelease {
        /// The text as given.
        given: String,
        /// The release that it comes before.
        release: String,
    },
    /// It is older than what is supported, or another major version.
    #[error("Kubernetes `{0}` is not supported: it must be 1.{OLDEST_MINOR} or newer")]
    Unsupported(String),
}

/// The numbers of a dotted version of two or three parts, after an optional `v`.
fn numbers(text: &str) -> Result<Vec<u16>, VersionError> {
    let malformed = || VersionError::Malformed(text.to_owned());
    let bare = text.strip_prefix('v').unwrap_or(text);
    if let Some((release, _)) = bare.split_once(['-', '+']) {
        parts(release).ok_or_else(malformed)?;
        return Err(VersionError::PreRelease {
            given: text.to_owned(),
            release: release.to_owned(),
        });
    }
    parts(bare).ok_or_else(malformed)
}

/// Two or three numbers between dots.
fn parts(text: &str) -> Option<Vec<u16>> {
    let parts: Vec<u16> = text.split('.').map(number).collect::<Option<_>>()?;
    matches!(parts.len(), 2 | 3).then_some(parts)
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}
