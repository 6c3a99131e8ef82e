//! Lines that are only ever added: for pipes, CI logs, terminals that cannot do more, and the log file.

use std::time::Duration;

use super::text::{self, Colour};
use super::throttle::Throttle;
use super::{Event, Sink};

/// What the plain form of the events consists of.
#[derive(Debug)]
pub(super) struct Lines {
    verbosity: u8,
    colour: Colour,
    throttle: Throttle,
}

impl Lines {
    pub(super) fn new(verbosity: u8, colour: Colour) -> Self {
        Self {
            verbosity,
            colour,
            throttle: Throttle::default(),
        }
    }

    /// The lines of an event that came at a time since the start of the run.
    pub(super) fn of(&mut self, event: &Event, at: Duration) -> Vec<String> {
        match event {
            Event::StageStarted { stage } => vec![format!(" • {stage} ...")],
            Event::StepStarted { step, .. } if self.verbosity >= 1 => {
                vec![format!("   • {step} ...")]
            }
            Event::Progress {
                item,
                done,
                total,
                unit,
                failed,
            } => {
                // The end has a line of its own.
                if *total == Some(*done) || !self.throttle.lets_through(item, *done, *total, at) {
                    return Vec::new();
                }
                vec![format!(
                    "   {}",
                    text::progress(item, *done, *total, *unit, *failed)
                )]
            }
            Event::ProgressFinished { item } => {
                let told = self.throttle.finish(item);
                told.then(|| format!("   {item} done"))
                    .into_iter()
                    .collect()
            }
            other => text::lines(other, self.verbosity, self.colour),
        }
    }
}

/// Writes the lines.
pub(super) struct Renderer {
    sink: Sink,
    lines: Lines,
}

impl Renderer {
    pub(super) fn new(sink: Sink, verbosity: u8, colour: Colour) -> Self {
        Self {
            sink,
            lines: Lines::new(verbosity, colour),
        }
    }

    pub(super) fn show(&mut self, event: &Event, at: Duration) {
        for line in self.lines.of(event, at) {
            // Nobody is left to tell when stderr is gone; the command itself goes on.
            let _ = writeln!(self.sink, "{line}");
        }
        let _ = self.sink.flush();
    }
}
