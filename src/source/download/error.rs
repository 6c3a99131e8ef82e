//! What can go wrong with a download.

use std::io;
use std::path::PathBuf;

use reqwest::StatusCode;

/// Why something could not be downloaded. URLs are shown without the user and the query that they may carry.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The HTTP client could not be made.
    #[error("cannot set up HTTPS")]
    Client(#[source] reqwest::Error),
    /// The bundle of certificates named by `SSL_CERT_FILE` cannot be read.
    #[error("cannot read the certificates in `{}`, named by `SSL_CERT_FILE`", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing listens there.
    #[error("cannot fetch {item}: {url} refuses connections")]
    Refused {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server cannot be reached.
    #[error("cannot fetch {item}: cannot connect to {url}")]
    Connect {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server was reached, but gave no answer.
    #[error("cannot fetch {item}: no answer from {url}")]
    Answer {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with the file.
    #[error("cannot fetch {item}: {url} answered {code}")]
    Status {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
        /// The answer.
        code: StatusCode,
    },
    /// The connection ended before the file did.
    #[error("cannot fetch {item}: {url} broke off after {got} bytes{}", of(*expected))]
    Truncated {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
        /// How many bytes are there.
        got: u64,
        /// How many there should be, where the server said it.
        expected: Option<u64>,
        /// Why, where it was no quiet end.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The file is another one than expected.
    #[error("{item} from {url} has digest {actual}, expected {expected}")]
    Digest {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
        /// The digest that it should have, with its algorithm.
        expected: String,
        /// The digest that it has.
        actual: String,
    },
    /// The digest that is expected cannot be one.
    #[error("the digest `{expected}` of {item} is malformed")]
    Malformed {
        /// What was wanted.
        item: String,
        /// As it was given.
        expected: String,
    },
    /// The answer is longer than what was asked for can be.
    #[error("cannot fetch {item}: the answer of {url} is too long")]
    TooLong {
        /// What was wanted.
        item: String,
        /// From where.
        url: String,
    },
    /// The file cannot be kept.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was given up by the user.
    #[error("the download of {item} was cancelled")]
    Cancelled {
        /// What was wanted.
        item: String,
    },
}

fn of(expected: Option<u64>) -> String {
    expected.map_or_else(String::new, |expected| format!(" of {expected}"))
}

impl DownloadError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Client(_) => {
                Some("install `ca-certificates`, or name a bundle in `SSL_CERT_FILE`")
            }
            Self::Bundle { .. } => Some("`SSL_CERT_FILE` must name a readable file in PEM form"),
            Self::Refused { .. } => Some("is the address right, and does the server run?"),
            Self::Connect { .. } | Self::Answer { .. } => Some(
                "check the network; behind a proxy set `HTTPS_PROXY`, and `SSL_CERT_FILE` where the proxy has a CA of its own",
            ),
            Self::Status { code, .. } if *code == StatusCode::NOT_FOUND => Some(
                "check that this version exists for this architecture, and that the mirror has it",
            ),
            Self::Status { code, .. }
                if matches!(*code, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
            {
                Some("the server wants credentials, or a proxy is in the way")
            }
            Self::Status { .. } => Some("try again later, or name another mirror"),
            Self::Truncated { .. } => {
                Some("what arrived is kept: run the command again, and it goes on from there")
            }
            Self::Digest { .. } => {
                Some("the server or a proxy gives another file: check the URL and the digest")
            }
            Self::Malformed { .. } => {
                Some("SHA-256 has 64 hexadecimal digits, SHA-512 128, SHA-1 40")
            }
            Self::TooLong { .. } => Some("the server or a proxy gives a page instead of the file"),
            Self::Write { .. } => {
                Some("check that there is space, and that the directory is yours")
            }
            Self::Cancelled { .. } => None,
        }
    }

    /// Whether nobody answers there.
    pub(in crate::source) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Connect { .. })
    }

    /// Whether the same request may well go through a moment later.
    pub(in crate::source) fn is_transient(&self) -> bool {
        match self {
            Self::Answer { source, .. } => !source.is_builder() && !source.is_redirect(),
            Self::Status { code, .. } => {
                code.is_server_error()
                    || matches!(
                        *code,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::Truncated { .. } => true,
            Self::Client(_)
            | Self::Bundle { .. }
            | Self::Refused { .. }
            | Self::Connect { .. }
            | Self::Digest { .. }
            | Self::Malformed { .. }
            | Self::TooLong { .. }
            | Self::Write { .. }
            | Self::Cancelled { .. } => false,
        }
    }
}
