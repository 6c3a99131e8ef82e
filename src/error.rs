//! The errors at the top: what is told when a command fails, and the exit code.
//!
//! Errors form chains: a `Display` never contains its source, [`render`] prints the chain once, and advice is kept apart as hints.

mod known_causes;
mod render;
mod shell;

use crate::engine::EngineError;
use std::error::Error as StdError;
use std::fmt;

pub use known_causes::{KNOWN_CAUSES, KnownCause, Place};
pub use render::render;
pub use shell::shell_quote;

/// The exit codes of the program.
pub mod exit_code {
    /// All went well.
    pub const OK: u8 = 0;
    /// The operation failed.
    pub const FAILED: u8 = 1;
    /// The command line or the settings are wrong.
    pub const USAGE: u8 = 2;
    /// Stopped by SIGINT or SIGTERM.
    pub const INTERRUPTED: u8 = 130;
}

/// An error of any kind, on its way up.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used. The error tells all problems at once, and stands for itself.
    #[error(transparent)]
    Settings(BoxError),
    /// SIGINT or SIGTERM came.
    #[error("interrupted {}", place(after))]
    Interrupted {
        /// The last stage that was finished; empty before the first.
        after: String,
    },
    /// A stage failed.
    #[error("stage `{stage}` failed")]
    Stage {
        /// Name of the stage.
        stage: String,
        /// The first step's failure.
        #[source]
        source: Box<Self>,
        /// The failures of other steps of the stage.
        others: Vec<Self>,
    },
    /// Something else failed.
    #[error("cannot {doing}")]
    Other {
        /// What was being done, so that it follows "cannot": `create network dev`.
        doing: String,
        /// Why it failed.
        #[source]
        source: BoxError,
    },
    /// Something is not as it must be.
    #[error("{text}")]
    Message {
        /// One sentence.
        text: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A command in a node failed.
    #[error("`{command}` on `{node}` {ending}")]
    Command {
        /// The node, or another container.
        node: String,
        /// The command, quoted so that it can be pasted into a shell. See [`shell_quote`].
        command: String,
        /// How it ended.
        ending: Ending,
        /// The end of what it wrote.
        output_tail: Vec<String>,
        /// The systemd unit whose journal tells more.
        unit: Option<String>,
        /// The end of that journal.
        journal_tail: Vec<String>,
    },
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit status.
    Status(i64),
    /// By this signal.
    Signal(i64),
    /// Not yet.
    Running,
    /// Nobody could say how.
    Unknown,
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "ended with status {status}"),
            Self::Signal(signal) => write!(formatter, "was ended by signal {signal}"),
            Self::Running => write!(formatter, "still runs"),
            Self::Unknown => write!(formatter, "has failed"),
        }
    }
}

fn place(after: &str) -> String {
    if after.is_empty() {
        "before the first stage was finished".to_owned()
    } else {
        format!("after stage `{after}`")
    }
}

impl Error {
    /// An error that says one sentence.
    pub fn message(text: impl Into<String>) -> Self {
        Self::Message {
            text: text.into(),
            hint: None,
        }
    }

    /// An error that says one sentence and what to do about it.
    pub fn with_hint(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Message {
            text: text.into(),
            hint: Some(hint.into()),
        }
    }

    /// An error of something that was being done.
    pub fn other(doing: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Other {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => exit_code::USAGE,
            Self::Interrupted { .. } => exit_code::INTERRUPTED,
            // A stage that was broken off is an interruption, not a failure.
            Self::Stage { source, .. } => source.exit_code(),
            Self::Other { .. } | Self::Message { .. } | Self::Command { .. } => exit_code::FAILED,
        }
    }

    /// The engine's own error below this one, where there is one.
    pub fn of_engine(&self) -> Option<&EngineError> {
        chain(self).find_map(|cause| cause.downcast_ref())
    }

    /// Advice: what the errors of the chain bring themselves, then what is known about the causes in their texts and outputs.
    pub fn hints(&self) -> Vec<String> {
        let mut found = Found::default();
        self.collect(&mut found);
        let known = known_causes::hints(&found.errors, &found.outputs);
        let mut unique: Vec<String> = Vec::new();
        for hint in found
            .hints
            .into_iter()
            .chain(known.into_iter().map(str::to_owned))
        {
            if !unique.contains(&hint) {
                unique.push(hint);
            }
        }
        unique
    }

    fn collect<'error>(&'error self, found: &mut Found<'error>) {
        for cause in chain(self) {
            found.errors.push_str(&cause.to_string());
            found.errors.push('\n');
            found.hints.extend(own_hint(cause));
            match ours(cause) {
                Some(Self::Command {
                    output_tail,
                    journal_tail,
                    ..
                }) => {
                    found.outputs.extend(output_tail.iter().map(String::as_str));
                    found
                        .outputs
                        .extend(journal_tail.iter().map(String::as_str));
                }
                Some(Self::Stage { others, .. }) => {
                    for other in others {
                        other.collect(found);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What the errors of a chain, and of those beside it, say.
#[derive(Default)]
struct Found<'error> {
    /// Their own advice.
    hints: Vec<String>,
    /// Their sentences.
    errors: String,
    /// The lines that failed commands wrote.
    outputs: Vec<&'error str>,
}

impl From<crate::lock::LockError> for Error {
    fn from(error: crate::lock::LockError) -> Self {
        Self::other("start", error)
    }
}

impl From<crate::kubeconfig::KubeconfigError> for Error {
    fn from(error: crate::kubeconfig::KubeconfigError) -> Self {
        Self::other("change the kubeconfig", error)
    }
}

/// The advice that a type of error brings itself.
fn own_hint(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<crate::lock::LockError>() {
        return error.hint();
    }
    if let Some(error) = cause.downcast_ref::<crate::kubeconfig::KubeconfigError>() {
        return error.hint();
    }
    if let Some(error) = cause.downcast_ref::<EngineError>() {
        return error.hint();
    }
    if let Some(hint) = hint_of_source(cause) {
        return Some(hint);
    }
    match ours(cause)? {
        Error::Message { hint, .. } => hint.clone(),
        Error::Interrupted { .. } => Some("run the same command again to go on".into()),
        Error::Settings(_) | Error::Stage { .. } | Error::Other { .. } | Error::Command { .. } => {
            None
        }
    }
}

/// The advice of errors about where Kubernetes and its images come from.
fn hint_of_source(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<crate::image::base::BaseError>() {
        return error.hint();
    }
    let hint = if let Some(error) = cause.downcast_ref::<crate::source::release::ReleaseError>() {
        error.hint()
    } else if let Some(error) = cause.downcast_ref::<crate::source::version_marker::MarkerError>() {
        error.hint()
    } else if let Some(error) = cause.downcast_ref::<crate::source::download::DownloadError>() {
        error.hint()
    } else {
        cause.downcast_ref::<crate::pki::PkiError>()?.hint()
    };
    hint.map(str::to_owned)
}

/// The error and its sources in one line: for the message of another error.
pub fn in_one_line(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    // Some libraries' errors say what their causes say.
    texts.dedup();
    texts.join(": ")
}

/// The cause behind all others: for a note that has no room for what was being done.
pub fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

/// The error and its sources, outermost first.
fn chain<'error>(
    error: &'error (dyn StdError + 'static),
) -> impl Iterator<Item = &'error (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| StdError::source(*cause))
}

/// The cause as one of our own. A boxed one stands in the chain as the box.
fn ours<'error>(cause: &'error (dyn StdError + 'static)) -> Option<&'error Error> {
    cause
        .downcast_ref::<Error>()
        .or_else(|| cause.downcast_ref::<Box<Error>>().map(AsRef::as_ref))
}

#[cfg(test)]
mod tests;
