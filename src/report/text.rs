//! Events as lines of text: shared by all that is read by people.

use std::time::Duration;

use owo_colors::OwoColorize;

use super::{Event, Unit};

/// A step that took this long is told of even where steps are not, so that a log shows what the time went into.
const LONG_STEP: Duration = Duration::from_secs(5);

/// Whether text is coloured. Everything is readable without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(bool);

impl From<bool> for Colour {
    fn from(on: bool) -> Self {
        Self(on)
    }
}

impl Colour {
    pub(super) const OFF: Self = Self(false);
    pub(super) const ON: Self = Self(true);

    fn green(self, text: &str) -> String {
        if self.0 {
            text.green().to_string()
        } else {
            text.to_owned()
        }
    }

    fn red(self, text: &str) -> String {
        if self.0 {
            text.red().bold().to_string()
        } else {
            text.to_owned()
        }
    }

    fn yellow(self, text: &str) -> String {
        if self.0 {
            text.yellow().bold().to_string()
        } else {
            text.to_owned()
        }
    }

    fn cyan(self, text: &str) -> String {
        if self.0 {
            text.cyan().to_string()
        } else {
            text.to_owned()
        }
    }

    fn dim(self, text: &str) -> String {
        if self.0 {
            text.dimmed().to_string()
        } else {
            text.to_owned()
        }
    }
}

/// The lines that an event leaves for good. Beginnings and progress leave none here: each renderer has its own way with them.
pub(super) fn lines(event: &Event, verbosity: u8, colour: Colour) -> Vec<String> {
    match event {
        Event::RunStarted { command, cluster } if verbosity >= 1 => {
            let cluster = cluster.as_ref().map(|name| format!(": cluster `{name}`"));
            vec![format!(
                "local-cluster {command}{}",
                cluster.unwrap_or_default()
            )]
        }
        Event::StageFinished { stage, took, ok } => vec![finished(" ", stage, *took, *ok, colour)],
        Event::StepFinished { step, took, ok, .. }
            if verbosity >= 1 || !ok || *took >= LONG_STEP =>
        {
            vec![finished("   ", step, *took, *ok, colour)]
        }
        Event::Output { source, line } if verbosity >= 2 => {
            vec![format!("   {} {line}", colour.dim(&format!("{source} |")))]
        }
        Event::Note { text } => vec![format!("{} {text}", colour.cyan("note:"))],
        Event::Warning { text, hint } => warning(text, hint.as_deref(), colour),
        Event::Failed { text } => text.lines().map(|line| failed(line, colour)).collect(),
        Event::Summary { stages, total } => summary(stages, *total),
        Event::RunFinished { next, log, .. } => {
            let log = log
                .as_ref()
                .map(|path| format!("the log of this run is {path}"));
            next_lines(next.iter().cloned().chain(log))
        }
        Event::RunStarted { .. }
        | Event::StageStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::Progress { .. }
        | Event::ProgressFinished { .. }
        | Event::Output { .. } => Vec::new(),
    }
}

fn finished(indent: &str, what: &str, took: Duration, ok: bool, colour: Colour) -> String {
    let took = duration(took);
    if ok {
        format!("{indent}{} {what} {}", colour.green("✓"), colour.dim(&took))
    } else {
        format!("{indent}{} {what} failed after {took}", colour.red("✗"))
    }
}

fn warning(text: &str, hint: Option<&str>, colour: Colour) -> Vec<String> {
    let mut lines = vec![format!("{} {text}", colour.yellow("warning:"))];
    lines.extend(hint.map(|hint| format!("  {} {hint}", colour.cyan("hint:"))));
    lines
}

/// A line of a rendered error, with its first word coloured.
fn failed(line: &str, colour: Colour) -> String {
    if let Some(rest) = line.strip_prefix("error:") {
        format!("{}{rest}", colour.red("error:"))
    } else if let Some(rest) = line.strip_prefix("hint:") {
        format!("{}{rest}", colour.cyan("hint:"))
    } else {
        line.to_owned()
    }
}

fn summary(stages: &[(String, Duration)], total: Duration) -> Vec<String> {
    let mut rows: Vec<_> = stages
        .iter()
        .map(|(stage, took)| (duration(*took), stage.as_str()))
        .collect();
    rows.push((duration(total), "in all"));
    let width = rows.iter().map(|(took, _)| took.len()).max().unwrap_or(0);
    let mut lines = vec![String::new()];
    lines.extend(
        rows.iter()
            .map(|(took, stage)| format!(" {took:>width$}  {stage}")),
    );
    lines
}

fn next_lines(next: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.extend(next);
    if lines.len() == 1 {
        lines.clear();
    }
    lines
}

/// How far an item is, in words: `kubeadm 45 % (31.2 of 69.0 MiB)`.
pub(super) fn progress(
    item: &str,
    done: u64,
    total: Option<u64>,
    unit: Unit,
    failed: Option<u64>,
) -> String {
    let Some(total) = total else {
        return format!("{item} {}", amount(done, done, unit, true));
    };
    let percent = done
        .saturating_mul(100)
        .checked_div(total)
        .unwrap_or(100)
        .min(100);
    let left = total.saturating_sub(done);
    let failed = failed.map_or_else(String::new, |failed| {
        format!(", {failed} failed, {left} left")
    });
    let (done, total) = (
        amount(done, total, unit, false),
        amount(total, total, unit, true),
    );
    format!("{item} {percent} % ({done} of {total}{failed})")
}

/// A number of bytes as people read it: `19.1 MiB`.
pub fn bytes(value: u64) -> String {
    amount(value, value, Unit::Bytes, true)
}

/// An amount in the unit of size that suits `scale`, so that two amounts of the same thing compare.
fn amount(value: u64, scale: u64, unit: Unit, named: bool) -> String {
    let (divisor, name) = match unit {
        Unit::Items => return value.to_string(),
        Unit::Bytes if scale >= 1 << 30 => (1_u64 << 30, " GiB"),
        Unit::Bytes if scale >= 1 << 20 => (1 << 20, " MiB"),
        Unit::Bytes => (1 << 10, " KiB"),
    };
    let tenths = u128::from(value) * 10 / u128::from(divisor);
    format!(
        "{}.{}{}",
        tenths / 10,
        tenths % 10,
        if named { name } else { "" }
    )
}

/// A time as people say it: `0.4s`, `3.1s`, `1m 04s`, `1h 02m`.
pub(super) fn duration(took: Duration) -> String {
    let tenths = (took.as_millis() + 50) / 100;
    let seconds = (took.as_millis() + 500) / 1000;
    if tenths < 600 {
        format!("{}.{}s", tenths / 10, tenths % 10)
    } else if seconds < 3600 {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_say_them() {
        let said = |milliseconds| duration(Duration::from_millis(milliseconds));
        assert_eq!(said(0), "0.0s");
        assert_eq!(said(3149), "3.1s");
        assert_eq!(said(59_940), "59.9s");
        assert_eq!(said(59_960), "1m 00s");
        assert_eq!(said(64_400), "1m 04s");
        assert_eq!(said(3_725_000), "1h 02m");
    }

    #[test]
    fn progress_in_words() {
        assert_eq!(
            progress("images", 3, Some(7), Unit::Items, None),
            "images 42 % (3 of 7)"
        );
        assert_eq!(
            progress("tests", 3, Some(7), Unit::Items, Some(1)),
            "tests 42 % (3 of 7, 1 failed, 4 left)"
        );
        assert_eq!(
            progress("kubelet", 1 << 19, Some(3 << 20), Unit::Bytes, None),
            "kubelet 16 % (0.5 of 3.0 MiB)"
        );
        assert_eq!(
            progress("archive", 5 << 20, None, Unit::Bytes, None),
            "archive 5.0 MiB"
        );
        assert_eq!(
            progress("empty", 0, Some(0), Unit::Bytes, None),
            "empty 100 % (0.0 of 0.0 KiB)"
        );
    }

    #[test]
    fn a_command_without_a_cluster_names_none() {
        let of = |command: &str, cluster: Option<&str>| {
            let (command, cluster) = (command.to_owned(), cluster.map(str::to_owned));
            lines(&Event::RunStarted { command, cluster }, 1, Colour::OFF)
        };
        assert_eq!(of("image build", None), ["local-cluster image build"]);
        assert_eq!(of("up", Some("a")), ["local-cluster up: cluster `a`"]);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let event = Event::Failed {
            text: "error: no\n  caused by: yes\n\nhint: maybe".into(),
        };
        let coloured = lines(&event, 0, Colour::ON).join("\n");
        assert_ne!(coloured, lines(&event, 0, Colour::OFF).join("\n"));
        let stripped: Vec<_> = coloured.lines().map(super::super::strip_controls).collect();
        assert_eq!(stripped, lines(&event, 0, Colour::OFF));
    }
}
