//! Live lines at the bottom of a terminal: the stages and steps that run and bars for what can be counted. What is finished
//! becomes a printed line above them.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{self, Colour};
use super::{Event, Sink, Unit};

const TICK: Duration = Duration::from_millis(100);

/// A terminal's view of a run.
pub(super) struct Renderer {
    sink: Sink,
    verbosity: u8,
    bars: MultiProgress,
    live: HashMap<Key, ProgressBar>,
}

/// What a live line is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Stage(String),
    Step(String, String),
    Item(String),
}

impl Renderer {
    pub(super) fn new(sink: Sink, verbosity: u8) -> Self {
        Self::drawing(sink, verbosity, ProgressDrawTarget::stderr())
    }

    fn drawing(sink: Sink, verbosity: u8, target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        Self {
            sink,
            verbosity,
            bars,
            live: HashMap::new(),
        }
    }

    pub(super) fn show(&mut self, event: &Event) {
        match event {
            Event::StageStarted { stage } => self.spin(Key::Stage(stage.clone()), stage),
            Event::StepStarted { stage, step } => {
                self.spin(Key::Step(stage.clone(), step.clone()), step);
            }
            Event::StageFinished { stage, .. } => self.drop_stage(stage),
            Event::StepFinished { stage, step, .. } => {
                self.drop_line(&Key::Step(stage.clone(), step.clone()));
            }
            Event::Progress {
                item,
                done,
                total,
                unit,
                failed,
            } => {
                let bar = self.count(item, *done, *total, *unit);
                if let Some(failed) = failed {
                    bar.set_message(format!("{item}, {failed} failed"));
                }
            }
            Event::ProgressFinished { item } => self.drop_line(&Key::Item(item.clone())),
            Event::Failed { .. } | Event::Summary { .. } | Event::RunFinished { .. } => {
                self.close();
            }
            Event::RunStarted { .. }
            | Event::Output { .. }
            | Event::Note { .. }
            | Event::Warning { .. } => {}
        }
        self.print(&text::lines(event, self.verbosity, Colour::ON));
    }

    /// Takes all live lines away.
    pub(super) fn close(&mut self) {
        for (_, bar) in self.live.drain() {
            bar.finish_and_clear();
        }
        // An error here is a terminal that went away.
        let _ = self.bars.clear();
    }

    /// Prints lines for good, above the live ones.
    fn print(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let sink = &mut self.sink;
        self.bars.suspend(|| {
            for line in lines {
                let _ = writeln!(sink, "{line}");
            }
            let _ = sink.flush();
        });
    }

    fn spin(&mut self, key: Key, text: &str) {
        let bar = self.add(&key, ProgressBar::new_spinner());
        let indent = if matches!(key, Key::Stage(_)) {
            " "
        } else {
            "   "
        };
        bar.set_style(style(&format!(
            "{indent}{{spinner:.cyan}} {{msg}} {{elapsed:.dim}}"
        )));
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(TICK);
        self.live.insert(key, bar);
    }

    fn count(&mut self, item: &str, done: u64, total: Option<u64>, unit: Unit) -> ProgressBar {
        let key = Key::Item(item.to_owned());
        let bar = match self.live.get(&key) {
            Some(bar) => bar.clone(),
            None => self.start_count(key, item, unit, total),
        };
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
        bar
    }

    fn start_count(&mut self, key: Key, item: &str, unit: Unit, total: Option<u64>) -> ProgressBar {
        let bar = self.add(
            &key,
            total.map_or_else(ProgressBar::no_length, ProgressBar::new),
        );
        bar.set_style(style(match (unit, total) {
            (Unit::Bytes, Some(_)) => "   {msg} {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}",
            (Unit::Bytes, None) => "   {spinner:.cyan} {msg} {bytes}, {bytes_per_sec}",
            (Unit::Items, Some(_)) => "   {msg} {bar:24} {pos} of {len} {elapsed:.dim}",
            (Unit::Items, None) => "   {spinner:.cyan} {msg} {pos}",
        }));
        bar.set_message(item.to_owned());
        self.live.insert(key, bar.clone());
        bar
    }

    /// Puts a step below its stage, anything else at the end.
    fn add(&self, key: &Key, bar: ProgressBar) -> ProgressBar {
        let stage = match key {
            Key::Step(stage, _) => self.live.get(&Key::Stage(stage.clone())),
            Key::Stage(_) | Key::Item(_) => None,
        };
        match stage {
            Some(stage) => self.bars.insert_after(stage, bar),
            None => self.bars.add(bar),
        }
    }

    fn drop_stage(&mut self, stage: &str) {
        let of_stage: Vec<Key> = self
            .live
            .keys()
            .filter(|key| key.is_of(stage))
            .cloned()
            .collect();
        for key in of_stage {
            self.drop_line(&key);
        }
    }

    fn drop_line(&mut self, key: &Key) {
        if let Some(bar) = self.live.remove(key) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl Key {
    fn is_of(&self, name: &str) -> bool {
        match self {
            Self::Stage(stage) | Self::Step(stage, _) => stage == name,
            Self::Item(_) => false,
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constants that the tests draw")
        .progress_chars("━━─")
}

#[cfg(test)]
mod tests;
