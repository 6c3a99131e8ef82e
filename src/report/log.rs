//! The log file of a run: everything, with the time, whatever the terminal showed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::{FormatItem, parse_borrowed};
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::Event;
use super::plain::Lines;
use super::text::Colour;

/// So many logs are kept, besides those of runs that are under way.
const KEPT: usize = 50;
/// The log leaves out nothing.
const ALL: u8 = u8::MAX;

/// Where logs and locks are: `$XDG_STATE_HOME/local-cluster`, else `~/.local/state/local-cluster`.
pub fn state_directory(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    // The specification of these directories has relative paths ignored.
    let absolute = |name: &str| {
        environment
            .get(name)
            .map(PathBuf::from)
            .filter(|directory| directory.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("local-cluster"))
}

/// Makes the log file of a run, for its owner only, and removes all but the newest ones.
pub fn open_log(directory: &Path, cluster: &str, command: &str) -> io::Result<(File, PathBuf)> {
    fs::create_dir_all(directory)?;
    let stamp = stamp(
        OffsetDateTime::now_utc(),
        "[year][month][day]T[hour][minute][second]Z",
    );
    let stem = file_name(&format!("{cluster}-{command}-{stamp}"));
    let (file, path) = create_new(directory, &stem)?;
    // For as long as the run has it open; without locks, the newest stay all the same.
    let _ = file.try_lock_shared();
    // Old logs that cannot be removed are no reason to fail.
    let _ = keep_newest(directory, &path);
    Ok((file, path))
}

/// Two runs in the same second each get a file of their own.
fn create_new(directory: &Path, stem: &str) -> io::Result<(File, PathBuf)> {
    let mut number = 1;
    loop {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = directory.join(format!("{stem}{suffix}.log"));
        // Append, because tracing writes to the same file by another handle.
        match OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A name without what could lead out of the directory.
fn file_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars()
        .map(plain)
        .collect::<String>()
        .trim_start_matches('.')
        .to_owned()
}

fn keep_newest(directory: &Path, own: &Path) -> io::Result<()> {
    let mut logs: Vec<(SystemTime, PathBuf)> = fs::read_dir(directory)?
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "log")
        })
        .filter(|entry| entry.path() != own)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    logs.sort_by(|one, other| other.cmp(one));
    for (_, path) in logs.into_iter().skip(KEPT - 1) {
        if !is_being_written(&path)? {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether the run of this log has it still open.
fn is_being_written(path: &Path) -> io::Result<bool> {
    let locked = File::open(path)?.try_lock();
    Ok(matches!(locked, Err(TryLockError::WouldBlock)))
}

fn stamp(time: OffsetDateTime, format: &'static str) -> String {
    let items: Vec<FormatItem<'static>> =
        parse_borrowed::<2>(format).expect("the formats are constants that the tests use");
    time.format(&items)
        .expect("a date of UTC has all the parts")
}

/// Writes events to the file.
pub(super) struct LogFile {
    file: File,
    lines: Lines,
}

impl LogFile {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            lines: Lines::new(ALL, Colour::OFF),
        }
    }

    pub(super) fn write(&mut self, event: &Event, at: Duration) {
        let now = stamp(
            OffsetDateTime::now_utc(),
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z",
        );
        let lines = self.lines.of(event, at);
        for line in lines {
            // One write a line, because tracing writes to the same file. A full disk must not stop a run for its log.
            let _ = self.file.write_all(format!("{now} {line}\n").as_bytes());
        }
    }
}

/// Sends what developers trace to the log file, and from verbosity 3 on to stderr too. `LOCAL_CLUSTER_TRACE` chooses what, in the
/// way of tracing's `EnvFilter`. Nothing that a user needs goes this way.
pub fn init_tracing(log: Option<File>, verbosity: u8) {
    // Tests in one process may come here twice: the first stays.
    let _ = subscriber(log, verbosity).try_init();
}

fn subscriber(log: Option<File>, verbosity: u8) -> impl Subscriber + Send + Sync {
    let file = log.map(|file| {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .with_filter(filter())
    });
    let terminal = (verbosity >= 3).then(|| {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(io::stderr)
            .with_filter(filter())
    });
    tracing_subscriber::registry().with(file).with(terminal)
}

fn filter() -> EnvFilter {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(
            std::env::var("LOCAL_CLUSTER_TRACE")
                .unwrap_or_else(|_| "warn,local_cluster=debug".into()),
        )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_state_directory_follows_the_environment() {
        let of = |pairs: &[_]| state_directory(&environment(pairs));
        assert_eq!(
            of(&[("HOME", "/h")]),
            Some("/h/.local/state/local-cluster".into())
        );
        assert_eq!(
            of(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]),
            Some("/s/local-cluster".into())
        );
        assert_eq!(
            of(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]),
            Some("/h/.local/state/local-cluster".into())
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_log_is_private_and_named_for_its_run() {
        let directory = tempfile::tempdir().unwrap();
        let (_, path) = open_log(&directory.path().join("new"), "../dev", "up").unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with("_dev-up-20") && name.ends_with("Z.log"),
            "{name}"
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn the_newest_logs_stay_and_other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("dev.lock"), "").unwrap();
        let paths: Vec<PathBuf> = (0..KEPT + 5)
            .map(|_| open_log(directory.path(), "dev", "up").unwrap().1)
            .collect();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), KEPT + 1);
        assert!(paths[KEPT + 4].exists());
        assert!(directory.path().join("dev.lock").exists());
    }

    #[test]
    fn the_log_of_a_run_that_is_under_way_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (running, path) = open_log(directory.path(), "dev", "up").unwrap();
        running.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let many = || {
            for _ in 0..KEPT {
                drop(open_log(directory.path(), "dev", "stop").unwrap());
            }
        };
        many();
        assert!(path.exists());
        drop(running);
        many();
        assert!(!path.exists());
    }

    #[test]
    fn traces_go_to_the_same_file() {
        let directory = tempfile::tempdir().unwrap();
        let (file, path) = open_log(directory.path(), "dev", "up").unwrap();
        let mut log = LogFile::new(file.try_clone().unwrap());
        tracing::subscriber::with_default(subscriber(Some(file), 0), || {
            tracing::warn!(node = "kube-master", "traced");
        });
        log.write(
            &Event::Note {
                text: "noted".into(),
            },
            Duration::ZERO,
        );
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].contains("traced") && lines[1].contains("noted"),
            "{text}"
        );
    }

    #[test]
    fn everything_is_in_the_log_with_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let (file, path) = open_log(directory.path(), "dev", "up").unwrap();
        let mut log = LogFile::new(file);
        log.write(
            &Event::StepStarted {
                stage: "a".into(),
                step: "b".into(),
            },
            Duration::ZERO,
        );
        log.write(
            &Event::Output {
                source: "kube-master".into(),
                line: "done".into(),
            },
            Duration::ZERO,
        );
        insta::with_settings!({filters => vec![(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[time]")]}, {
            insta::assert_snapshot!(fs::read_to_string(path).unwrap(), @r"
            [time]    • b ...
            [time]    kube-master | done
            ");
        });
    }
}
