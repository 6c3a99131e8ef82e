//! Events in, text out: what a run tells its user.
//!
//! The rest of the program sends [`Event`]s to a [`Reporter`] and never prints. One of three renderers shows them: `plain`
//! (lines), `progress` (lines, and live bars below them) or `json` (an object a line, on stdout). A log file gets everything,
//! whatever is shown. All text for people goes to stderr: stdout is for data.

mod clean;
mod json;
mod log;
mod plain;
mod progress;
mod text;
mod throttle;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use clean::strip_controls;
pub use log::{init_tracing, open_log, state_directory};
pub use text::bytes;

/// What happened, for whoever watches. The field names are those of the JSON lines, so they are an interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A command begins.
    RunStarted {
        /// The subcommand, as in `up`.
        command: String,
        /// The name of the cluster; none where the command is about none.
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
    },
    /// A stage begins.
    StageStarted {
        /// Name of the stage.
        stage: String,
    },
    /// A stage ended; all its steps have settled.
    StageFinished {
        /// Name of the stage.
        stage: String,
        /// How long it took.
        #[serde(serialize_with = "json::seconds")]
        took: Duration,
        /// Whether every step succeeded.
        ok: bool,
    },
    /// A step of a stage begins.
    StepStarted {
        /// Name of the stage.
        stage: String,
        /// What the step does.
        step: String,
    },
    /// A step of a stage ended.
    StepFinished {
        /// Name of the stage.
        stage: String,
        /// What the step did.
        step: String,
        /// How long it took.
        #[serde(serialize_with = "json::seconds")]
        took: Duration,
        /// Whether it succeeded.
        ok: bool,
    },
    /// How far something countable is. May be sent as often as is convenient: the renderers thin it out.
    Progress {
        /// What is being fetched, unpacked, loaded.
        item: String,
        /// How much is done.
        done: u64,
        /// How much there is, where that is known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
        /// How much of what is done has failed, where the rest goes on then.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<u64>,
    },
    /// Something countable is done (or given up: the step says which).
    ProgressFinished {
        /// The item of the [`Event::Progress`] before.
        item: String,
    },
    /// A line that kubeadm, a build or another command wrote. Shown from verbosity 2 on, always in the log.
    Output {
        /// Who wrote it: a node, a build.
        source: String,
        /// The line, as it came.
        line: String,
    },
    /// Something worth knowing.
    Note {
        /// One sentence.
        text: String,
    },
    /// Something that may hurt later.
    Warning {
        /// One sentence.
        text: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The command failed.
    Failed {
        /// The error, as [`crate::error::render`] gives it.
        text: String,
    },
    /// Where the time went.
    Summary {
        /// Each stage's time.
        #[serde(serialize_with = "json::stages")]
        stages: Vec<(String, Duration)>,
        /// The whole time: less than the sum where stages overlap.
        #[serde(serialize_with = "json::seconds")]
        total: Duration,
    },
    /// A command ended.
    RunFinished {
        /// Whether it succeeded.
        ok: bool,
        /// What to do next, a line each.
        next: Vec<String>,
        /// Where the log of this run is: told where something went wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        log: Option<String>,
    },
}

/// What [`Event::Progress`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Anything else.
    Items,
}

/// The form in which events are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Text for people, on stderr.
    #[default]
    Text,
    /// A JSON object a line, on stdout.
    Json,
}

/// Where events go. Cheap to clone; calls return when the event is rendered.
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    renderer: Renderer,
    log: Option<log::LogFile>,
    listener: Option<Listener>,
    started: Instant,
}

/// Is told of each event.
type Listener = Box<dyn FnMut(&Event) + Send>;

enum Renderer {
    Plain(plain::Renderer),
    Progress(progress::Renderer),
    Json(json::Renderer),
    Memory(Arc<Mutex<Vec<Event>>>),
    Silent,
}

impl Reporter {
    /// A reporter for a command. `terminal` is whether stderr may be redrawn and coloured, see [`interactive`].
    pub fn new(output: Output, verbosity: u8, terminal: bool, log: Option<File>) -> Self {
        let renderer = match output {
            Output::Json => {
                Renderer::Json(json::Renderer::new(Box::new(std::io::stdout()), verbosity))
            }
            // Bars below a flood of lines are redrawn all the time and help nobody.
            Output::Text if terminal && verbosity < 2 => {
                Renderer::Progress(progress::Renderer::new(stderr(), verbosity))
            }
            Output::Text => {
                Renderer::Plain(plain::Renderer::new(stderr(), verbosity, terminal.into()))
            }
        };
        Self::of(renderer, log)
    }

    /// A reporter that keeps the events, for tests.
    pub fn memory() -> (Self, Arc<Mutex<Vec<Event>>>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        (
            Self::of(Renderer::Memory(Arc::clone(&events)), None),
            events,
        )
    }

    /// A reporter that shows nothing.
    pub fn silent() -> Self {
        Self::of(Renderer::Silent, None)
    }

    fn of(renderer: Renderer, log: Option<File>) -> Self {
        let inner = Inner {
            renderer,
            log: log.map(log::LogFile::new),
            listener: None,
            started: Instant::now(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Has each event told to this listener, too, which must not send any itself.
    pub fn listen(&self, listener: impl FnMut(&Event) + Send + 'static) {
        self.lock().listener = Some(Box::new(listener));
    }

    /// Shows an event.
    pub fn send(&self, event: Event) {
        self.lock().send(event);
    }

    /// A command begins, on this cluster or on none.
    pub fn started(&self, command: &str, cluster: Option<String>) {
        self.send(Event::RunStarted {
            command: command.to_owned(),
            cluster,
        });
    }

    /// A command has ended well: where its time went, and what to do next.
    pub fn finished(&self, stages: Vec<(String, Duration)>, total: Duration, next: Vec<String>) {
        self.send(Event::Summary { stages, total });
        self.send(Event::RunFinished {
            ok: true,
            next,
            log: None,
        });
    }

    /// Says something worth knowing.
    pub fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() });
    }

    /// Warns, with advice where there is any.
    pub fn warn(&self, text: impl Into<String>, hint: Option<&str>) {
        self.send(Event::Warning {
            text: text.into(),
            hint: hint.map(str::to_owned),
        });
    }

    /// Shows the error that ends the command, as [`crate::error::render`] gives it.
    pub fn failed(&self, text: impl Into<String>) {
        self.send(Event::Failed { text: text.into() });
    }

    /// Clears what is live on the terminal; lines that were printed stay.
    pub fn close(&self) {
        if let Renderer::Progress(progress) = &mut self.lock().renderer {
            progress.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while rendering must not take the other tasks' messages with it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

impl Inner {
    fn send(&mut self, event: Event) {
        let at = self.started.elapsed();
        let event = clean::event(event);
        if let Some(log) = &mut self.log {
            log.write(&event, at);
        }
        if let Some(listener) = &mut self.listener {
            listener(&event);
        }
        match &mut self.renderer {
            Renderer::Plain(plain) => plain.show(&event, at),
            Renderer::Progress(progress) => progress.show(&event),
            Renderer::Json(json) => json.show(&event, at),
            Renderer::Memory(events) => {
                events
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(event);
            }
            Renderer::Silent => {}
        }
    }
}

/// Whether stderr may be redrawn and coloured: it is a terminal that can, and nobody asked otherwise.
pub fn interactive(is_terminal: bool, environment: &BTreeMap<String, String>) -> bool {
    let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
    // Some people have `CI=false` set.
    let ci = set("CI") && environment.get("CI").is_none_or(|value| value != "false");
    is_terminal && !dumb && !ci && !set("NO_COLOR")
}

/// Prints data: the one thing that goes to stdout. A reader that went away (`| head`) is no error.
pub fn print_data(text: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let newline = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints much data, piece by piece. Here a reader that went away is an error: nobody has all of it.
pub fn print_much(
    print: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut stdout = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    print(&mut stdout)?;
    stdout.flush()
}

/// A place to write text or JSON to, so that tests can have their own.
type Sink = Box<dyn Write + Send>;

fn stderr() -> Sink {
    Box::new(anstream::stderr())
}

#[cfg(test)]
mod tests;
