//! The released programs of Kubernetes, from dl.k8s.io or a mirror laid out like it.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::{StatusCode, Url};
use semver::Version;
use tokio_util::sync::CancellationToken;

use super::digest::{Expected, sha256_of};
use super::download::{Download, DownloadError, RETRY, Retry, fetch_with, shown, text};

/// What a node runs outside of pods, and the client of the same version.
pub const BINARIES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];
/// The archive of the programs that test Kubernetes.
pub const TESTS_ARCHIVE: &str = "kubernetes-test";
/// The tests, and what they call.
pub const TESTS: [&str; 2] = [TESTS_ARCHIVE, "kubectl"];

/// How long `auto` waits to learn whether releases can be had.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const CHECKSUM_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the files of a release cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The base URL is none.
    #[error("`{url}` is not an HTTP address of Kubernetes releases")]
    BaseUrl {
        /// As it was given.
        url: String,
    },
    /// The version is none.
    #[error("`{version}` is not a full version of Kubernetes")]
    Version {
        /// As it was given.
        version: String,
    },
    /// The architecture cannot stand in a URL.
    #[error("`{architecture}` is not an architecture")]
    Architecture {
        /// As it was given.
        architecture: String,
    },
    /// A download failed.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The file of the checksum holds none.
    #[error("{url} does not hold a digest, but says `{text}`")]
    Checksum {
        /// From where.
        url: String,
        /// The beginning of what the file says.
        text: String,
    },
    /// A downloaded file cannot be read again.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ReleaseError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::BaseUrl { .. } => Some("write it like `https://dl.k8s.io/release`"),
            Self::Version { .. } => Some("write it like `v1.36.3`"),
            Self::Architecture { .. } => {
                Some("Kubernetes is released for `amd64`, `arm64` and some others")
            }
            Self::Download(error) if error.is_unreachable() => Some(
                "does the server of the releases run? `K8S_DIND_RELEASE_URL` names another, also for a cluster that \
                 is of a release; behind a proxy set `HTTPS_PROXY`",
            ),
            Self::Download(error) => error.hint(),
            Self::Checksum { .. } => {
                Some("the mirror or a proxy gives another page instead of the file")
            }
            Self::Read { .. } => None,
        }
    }
}

/// One release on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    base_url: String,
    version: String,
    architecture: String,
}

/// Where one file of a release and its checksums are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    /// The name of the binary, or of the archive.
    pub name: &'static str,
    /// The file.
    pub file: String,
    /// The file with its SHA-256.
    pub sha256: String,
    /// The file with its SHA-512, for mirrors that have no other.
    pub sha512: String,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its name.
    pub name: &'static str,
    /// Where it lies.
    pub file: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Told of each piece of a file: its name, how much is there, and how much there will be.
pub type FileProgress<'a> = &'a (dyn Fn(&'static str, u64, Option<u64>) + Send + Sync);

impl Release {
    /// `base_url` is what stands before the version: `https://dl.k8s.io/release`. The version may lack its `v`.
    pub fn new(base_url: &str, version: &str, architecture: &str) -> Result<Self, ReleaseError> {
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https");
        if !Url::parse(base_url).is_ok_and(|url| is_http(&url)) {
            let url = shown(base_url);
            return Err(ReleaseError::BaseUrl { url });
        }
        let number = version.strip_prefix('v').unwrap_or(version);
        if Version::parse(number).is_err() {
            let version = version.to_owned();
            return Err(ReleaseError::Version { version });
        }
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if architecture.is_empty() || !architecture.bytes().all(is_plain) {
            let architecture = architecture.to_owned();
            return Err(ReleaseError::Architecture { architecture });
        }
        Ok(Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            version: format!("v{number}"),
            architecture: architecture.to_owned(),
        })
    }

    /// With its `v`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where one of [`BINARIES`] or [`TESTS`] is.
    pub fn urls(&self, name: &'static str) -> Urls {
        let Self {
            base_url,
            version,
            architecture,
        } = self;
        let file = if name == TESTS_ARCHIVE {
            format!("{base_url}/{version}/{name}-linux-{architecture}.tar.gz")
        } else {
            format!("{base_url}/{version}/bin/linux/{architecture}/{name}")
        };
        Urls {
            name,
            sha256: format!("{file}.sha256"),
            sha512: format!("{file}.sha512"),
            file,
        }
    }
}

/// Whether the release can be had from there; the error is the reason why not.
pub async fn answers(client: &reqwest::Client, release: &Release) -> Result<(), ReleaseError> {
    let urls = release.urls("kubeadm");
    checksum(client, &urls, PROBE_TIMEOUT).await.map(|_| ())
}

/// What the downloads of one release have in common.
pub struct Fetch<'a> {
    /// What asks.
    pub client: &'a reqwest::Client,
    /// Which release.
    pub release: &'a Release,
    /// The folder in which a file becomes `<digest>/<name>`; what is there already is only checked.
    pub cache: &'a Path,
    /// Who is told how far it is.
    pub progress: FileProgress<'a>,
    /// The wish to stop.
    pub cancel: &'a CancellationToken,
}

impl Fetch<'_> {
    /// Fetches some of [`BINARIES`] and [`TESTS`] side by side.
    pub async fn all(&self, names: &[&'static str]) -> Result<Vec<Fetched>, ReleaseError> {
        self.all_with(names, RETRY).await
    }

    async fn all_with(
        &self,
        names: &[&'static str],
        retry: Retry,
    ) -> Result<Vec<Fetched>, ReleaseError> {
        try_join_all(names.iter().map(|&name| self.one(name, retry))).await
    }

    async fn one(&self, name: &'static str, retry: Retry) -> Result<Fetched, ReleaseError> {
        let urls = self.release.urls(name);
        let expected = self.checksum(&urls, retry).await?;
        // Hexadecimal digits and a name of ours: neither can lead out of the cache.
        let file = self.cache.join(expected.hex()).join(name);
        let download = Download {
            url: urls.file,
            file: file.clone(),
            expected: expected.clone(),
            item: name.to_owned(),
        };
        let progress = |done, total| (self.progress)(name, done, total);
        fetch_with(self.client, &download, &progress, self.cancel, retry).await?;
        let sha256 = match expected {
            Expected::Sha256(hex) => hex,
            Expected::Sha512(_) => {
                let digest = sha256_of(&file).await;
                digest.map_err(|source| ReleaseError::Read {
                    path: file.clone(),
                    source,
                })?
            }
        };
        Ok(Fetched { name, file, sha256 })
    }

    async fn checksum(&self, urls: &Urls, retry: Retry) -> Result<Expected, ReleaseError> {
        let cancelled = || DownloadError::Cancelled {
            item: urls.name.to_owned(),
        };
        let mut tries = 0;
        loop {
            let result = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(cancelled().into()),
                result = checksum(self.client, urls, CHECKSUM_TIMEOUT) => result,
            };
            match result {
                Err(ReleaseError::Download(error))
                    if error.is_transient() && tries < retry.times =>
                {
                    tokio::time::sleep(retry.wait(tries)).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }
}

/// Asks for the SHA-256 of a file, and for the SHA-512 where there is none.
async fn checksum(
    client: &reqwest::Client,
    urls: &Urls,
    timeout: Duration,
) -> Result<Expected, ReleaseError> {
    let item = format!("the checksum of {}", urls.name);
    match text(client, &urls.sha256, &item, timeout).await {
        Ok(answer) => parse_checksum(&urls.sha256, &answer, Expected::Sha256),
        Err(DownloadError::Status { code, .. }) if code == StatusCode::NOT_FOUND => {
            let answer = text(client, &urls.sha512, &item, timeout).await?;
            parse_checksum(&urls.sha512, &answer, Expected::Sha512)
        }
        Err(error) => Err(error.into()),
    }
}

/// The digest is the first word; mirrors made with `sha256sum` have the file's name after it.
fn parse_checksum(
    url: &str,
    answer: &str,
    algorithm: fn(String) -> Expected,
) -> Result<Expected, ReleaseError> {
    let word = answer.split_whitespace().next().unwrap_or_default();
    let expected = algorithm(word.to_ascii_lowercase());
    if expected.is_well_formed() {
        return Ok(expected);
    }
    Err(ReleaseError::Checksum {
        url: shown(url),
        text: answer.trim().chars().take(40).collect(),
    })
}
