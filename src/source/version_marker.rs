//! What `latest` and `stable-1.35` stand for: small files beside the releases.

use semver::Version;
use std::time::Duration;

use super::download::{DownloadError, shown, text};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a marker leads to no version.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// The text is no marker.
    #[error("`{marker}` is not a version marker")]
    Unknown {
        /// As it was given.
        marker: String,
    },
    /// The marker's file cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] DownloadError),
    /// The marker's file does not hold a version of the branch that was asked for.
    #[error("{url} does not name a version for `{marker}`, but says `{text}`")]
    Malformed {
        /// As it was given.
        marker: String,
        /// From where.
        url: String,
        /// The beginning of what the file says.
        text: String,
    },
}

impl MarkerError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some(
                "use `stable`, `latest`, `stable-1.35`, `1.35` or a full version such as `1.35.4`",
            ),
            Self::Fetch(error) => error.hint(),
            Self::Malformed { .. } => {
                Some("the mirror or a proxy gives another page; a full version needs no marker")
            }
        }
    }
}

/// A name for the newest version of some kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    file: String,
    minor: Option<u64>,
}

impl Marker {
    /// Reads `stable`, `latest`, `stable-1.35`, `latest-1.35`, or `1.35` for `stable-1.35`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, branch) = match text.split_once('-') {
            Some((kind, branch)) => (kind, Some(branch)),
            None if text.starts_with(|first: char| first.is_ascii_digit() || first == 'v') => {
                ("stable", Some(text.strip_prefix('v').unwrap_or(text)))
            }
            None => (text, None),
        };
        if !matches!(kind, "stable" | "latest") {
            return None;
        }
        let minor = branch.map(minor).transpose().ok()?;
        // `latest.txt` names pre-releases, which are not taken: the newest release is the newest stable one.
        let file = match minor {
            Some(minor) => format!("stable-1.{minor}.txt"),
            None => "stable.txt".to_owned(),
        };
        Some(Self { file, minor })
    }

    /// The file that says the version, below the base URL of the releases.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// The minor version of `1.35`.
fn minor(branch: &str) -> Result<u64, ()> {
    let digits = branch.strip_prefix("1.").ok_or(())?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().map_err(|_| ())
    } else {
        Err(())
    }
}

/// Asks a server of releases for what a marker stands for: `v1.35.4`.
pub async fn resolve(
    client: &reqwest::Client,
    base_url: &str,
    marker: &str,
) -> Result<String, MarkerError> {
    let parsed = Marker::parse(marker).ok_or_else(|| MarkerError::Unknown {
        marker: marker.to_owned(),
    })?;
    let url = format!("{}/{}", base_url.trim_end_matches('/'), parsed.file);
    let item = format!("version marker `{marker}`");
    let answer = text(client, &url, &item, TIMEOUT).await?;
    version(&answer, parsed.minor).ok_or_else(|| MarkerError::Malformed {
        marker: marker.to_owned(),
        url: shown(&url),
        text: answer.trim().chars().take(40).collect(),
    })
}

fn version(answer: &str, minor: Option<u64>) -> Option<String> {
    let text = answer.trim();
    let version = Version::parse(text.strip_prefix('v')?).ok()?;
    let wanted = version.major == 1 && minor.is_none_or(|minor| minor == version.minor);
    wanted.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::download::tests::test_client;
    use super::*;

    #[test]
    fn markers_name_files() {
        for (marker, file) in [
            ("stable", Some("stable.txt")),
            ("latest", Some("stable.txt")),
            ("stable-1.35", Some("stable-1.35.txt")),
            ("latest-1.35", Some("stable-1.35.txt")),
            ("1.35", Some("stable-1.35.txt")),
            ("v1.35", Some("stable-1.35.txt")),
            ("1.35.4", None),
            ("2.0", None),
            ("newest", None),
            ("stable-1.x", None),
            ("stable-1.", None),
            ("stable-../../secret", None),
            ("", None),
        ] {
            let parsed = Marker::parse(marker);
            assert_eq!(parsed.as_ref().map(Marker::file), file, "{marker}");
        }
    }

    #[tokio::test]
    async fn the_answer_must_be_a_version_of_the_branch() {
        let server = MockServer::start().await;
        for (marker, answer) in [
            ("stable.txt", "v1.36.3\n"),
            ("stable-1.35.txt", "v1.34.4"),
            ("stable-1.34.txt", "<html>please log in</html>"),
        ] {
            Mock::given(path(format!("/release/{marker}")))
                .respond_with(ResponseTemplate::new(200).set_body_string(answer))
                .mount(&server)
                .await;
        }
        let client = test_client();
        let base = format!("{}/release/", server.uri());
        let answer = async |marker| resolve(&client, &base, marker).await;
        assert_eq!(answer("stable").await.unwrap(), "v1.36.3");
        assert_eq!(answer("latest").await.unwrap(), "v1.36.3");
        for marker in ["1.35", "1.34"] {
            let error = answer(marker).await.unwrap_err();
            assert!(matches!(error, MarkerError::Malformed { .. }), "{error}");
        }
        let error = answer("1.33").await.unwrap_err();
        assert!(matches!(
            error,
            MarkerError::Fetch(DownloadError::Status { .. })
        ));
    }
}
