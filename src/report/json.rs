//! A JSON object a line, for programs. `event` names the kind, `elapsed` the seconds since the run began.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Event, Sink};

/// Reports on the same item closer than this are left out.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Writes the objects.
pub(super) struct Renderer {
    sink: Sink,
    verbosity: u8,
    progress: HashMap<String, Duration>,
}

#[derive(Serialize)]
struct Line<'event> {
    #[serde(serialize_with = "seconds")]
    elapsed: Duration,
    #[serde(flatten)]
    event: &'event Event,
}

impl Renderer {
    pub(super) fn new(sink: Sink, verbosity: u8) -> Self {
        Self {
            sink,
            verbosity,
            progress: HashMap::new(),
        }
    }

    pub(super) fn show(&mut self, event: &Event, at: Duration) {
        if !self.wants(event, at) {
            return;
        }
        let Ok(line) = serde_json::to_string(&Line { elapsed: at, event }) else {
            return;
        };
        // One write a line, so that a reader never sees half of one; a reader that went away does not stop the run.
        let _ = self.sink.write_all(format!("{line}\n").as_bytes());
        let _ = self.sink.flush();
    }

    fn wants(&mut self, event: &Event, at: Duration) -> bool {
        match event {
            Event::Output { .. } => self.verbosity >= 2,
            Event::Progress {
                item, done, total, ..
            } => {
                let last = self.progress.get(item);
                let due = last.is_none_or(|last| at.saturating_sub(*last) >= PROGRESS_EVERY)
                    || *total == Some(*done);
                if due {
                    self.progress.insert(item.clone(), at);
                }
                due
            }
            Event::ProgressFinished { item } => {
                self.progress.remove(item);
                true
            }
            Event::RunStarted { .. }
            | Event::StageStarted { .. }
            | Event::StageFinished { .. }
            | Event::StepStarted { .. }
            | Event::StepFinished { .. }
            | Event::Note { .. }
            | Event::Warning { .. }
            | Event::Failed { .. }
            | Event::Summary { .. }
            | Event::RunFinished { .. } => true,
        }
    }
}

/// A time as seconds, to the millisecond.
pub(super) fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(rounded(*time))
}

/// The summary's rows as objects: pairs would have no names.
pub(super) fn stages<S: Serializer>(
    stages: &[(String, Duration)],
    to: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'stage> {
        stage: &'stage str,
        took: f64,
    }
    to.collect_seq(stages.iter().map(|(stage, took)| Row {
        stage,
        took: rounded(*took),
    }))
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
