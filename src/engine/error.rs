//! What can go wrong with the engine: one variant for not reaching it, one for every call.

use bollard::errors::Error as BollardError;

/// A call to the engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing answers there, or it may not be asked.
    #[error("cannot reach the Docker engine at {host}")]
    Unreachable {
        /// The address as `DOCKER_HOST` writes it.
        host: String,
        /// Why.
        #[source]
        source: BollardError,
    },
    /// Something answers there, and it is something else.
    #[error("what answers at {host} does not say which version of Docker's API it speaks")]
    NotDocker {
        /// The address as `DOCKER_HOST` writes it.
        host: String,
    },
    /// The engine lacks what the nodes need.
    #[error(
        "Docker {version} is too old: it speaks API {api}, and {oldest} is the oldest that works"
    )]
    TooOld {
        /// Docker's version.
        version: String,
        /// Its API's version.
        api: String,
        /// The oldest API that works.
        oldest: String,
    },
    /// A call was refused.
    #[error("cannot {action}")]
    Call {
        /// What was being done, to which object: `create network k8s-...`.
        action: String,
        /// The engine's answer.
        #[source]
        source: BollardError,
    },
    /// A container that had one thing to do has failed at it.
    #[error("cannot {action}: exit status {status}\n{}", .output.join("\n"))]
    Failed {
        /// What was being done.
        action: String,
        /// The exit status of the container or command.
        status: i64,
        /// The end of its output.
        output: Vec<String>,
    },
    /// What the engine gives could not be taken, or what it was to get could not be read.
    #[error("cannot {action}")]
    Ours {
        /// What was being done.
        action: String,
        /// Why it failed, on this side.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else's volume has the name of one of ours.
    #[error("there is a volume {0} that this program has not made")]
    ForeignVolume(String),
    /// The wish to stop came first.
    #[error("interrupted while trying to {action}")]
    Interrupted {
        /// What was being done.
        action: String,
    },
}

impl EngineError {
    /// The engine's HTTP status, where it answered at all.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Call {
                source: BollardError::DockerResponseServerError { status_code, .. },
                ..
            } => Some(*status_code),
            _ => None,
        }
    }

    /// What to do where the engine went away in the midst of something, or where somebody else's volume is in the way.
    pub fn hint(&self) -> Option<String> {
        let source = match self {
            Self::Call { source, .. } => source,
            Self::ForeignVolume(name) => {
                return Some(format!(
                    "if nobody needs what is in it, `docker volume rm {name}` makes room; \
                     `--label` chooses other names"
                ));
            }
            _ => return None,
        };
        let lost = matches!(
            source,
            BollardError::IOError { .. }
                | BollardError::HyperResponseError { .. }
                | BollardError::HyperLegacyError { .. }
                | BollardError::SocketNotFoundError(_)
        );
        lost.then(|| {
            "the connection to the Docker engine was lost: when the engine answers again (`docker info`), run the same \
             command again; what this one has begun is found and brought to its end, or taken back"
                .to_owned()
        })
    }

    /// What the engine wrote, where it answered.
    pub fn message(&self) -> String {
        match self {
            Self::Call { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}

/// Says what was being done when a call fails.
pub(super) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, EngineError>;
}

impl<T> Doing<T> for Result<T, BollardError> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(|source| EngineError::Call {
            action: action(),
            source,
        })
    }
}

/// Treats "there is no such object" as done: for verbs that take things away.
pub(super) fn absent_is_fine(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if error.status() == Some(404) => Ok(()),
        other => other,
    }
}
