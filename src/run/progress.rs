//! How far a run is, by the events that it reports. PURE.

use crate::report::Event;
use std::time::Duration;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The cluster is brought up.
    #[default]
    ComingUp,
    /// It was ready, and is kept.
    Up,
    /// It is taken down.
    GoingDown,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::ComingUp, Self::Up, Self::GoingDown];

    /// One word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComingUp => "coming-up",
            Self::Up => "up",
            Self::GoingDown => "going-down",
        }
    }
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// The stage that began last and has not ended.
    pub stage: Option<String>,
    /// The stages of bringing the cluster up that have ended, with their times.
    pub stages: Vec<(String, Duration)>,
    /// How long all of them took, once the cluster was ready.
    pub up: Option<Duration>,
}

impl Progress {
    /// Follows an event.
    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::StageStarted { stage } => self.stage = Some(stage.clone()),
            Event::StageFinished { stage, took, ok } => {
                if self.stage.as_ref() == Some(stage) {
                    self.stage = None;
                }
                if self.phase == Phase::ComingUp && *ok {
                    // `up` begins again where somebody else was faster to take a range of addresses.
                    self.stages.retain(|(earlier, _)| earlier != stage);
                    self.stages.push((stage.clone(), *took));
                }
            }
            _ => {}
        }
    }

    /// Why the cluster does not work now, whatever it says itself.
    pub fn hindrance(&self) -> Option<String> {
        let what = match self.phase {
            Phase::ComingUp => "the cluster is coming up",
            Phase::Up => return None,
            Phase::GoingDown => "the cluster is being taken down",
        };
        Some(match &self.stage {
            Some(stage) => format!("{what}: stage `{stage}`"),
            None => what.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_tell_how_far_a_run_is() {
        let started = |stage: &str| Event::StageStarted {
            stage: stage.to_owned(),
        };
        let ended = |stage: &str, seconds, ok| Event::StageFinished {
            stage: stage.to_owned(),
            took: Duration::from_secs(seconds),
            ok,
        };
        let finished = |stage: &str| ended(stage, 2, true);
        let mut progress = Progress::default();
        let told = |progress: &Progress| progress.hindrance().unwrap_or_default();
        assert_eq!(told(&progress), "the cluster is coming up");
        progress.follow(&started("master"));
        assert_eq!(told(&progress), "the cluster is coming up: stage `master`");
        progress.follow(&finished("master"));
        assert_eq!(told(&progress), "the cluster is coming up");
        progress.follow(&ended("network", 1, false));
        progress.follow(&ended("master", 1, true));
        progress.follow(&finished("master"));
        progress.phase = Phase::Up;
        assert_eq!(progress.hindrance(), None);
        progress.phase = Phase::GoingDown;
        progress.follow(&started("nodes"));
        assert_eq!(
            told(&progress),
            "the cluster is being taken down: stage `nodes`"
        );
        progress.follow(&finished("nodes"));
        let stages = [("master".to_owned(), Duration::from_secs(2))];
        assert_eq!(progress.stages, stages, "those of `up` only");
    }
}
