//! What can be typed about dumps.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;

pub(super) const HELP: &str = "\
Without `--to` and `--tar` it is printed as one text, which `split-dump` takes
apart. What does not answer is told in `index.txt`, and ends nothing. Secrets
are left out; keys, tokens and passwords are redacted where they are known as
such. Look at it before you send it to others all the same.";

pub(super) const HELP64: &str = "\
The text stands between two lines, `%%% start-base64 %%%` and
`%%% end-base64 %%%`, and `split-dump64` finds it in what a CI system makes of
its jobs' output.";

pub(super) const SPLIT64: &str = "\
Timestamps, colours, carriage returns, folded lines and lines of others are no
hindrance. What could not be saved is told, and then the exit code is 1.";

/// What can be given with `dump`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DumpArgs {
    /// Write it as files into this directory, which is new or empty
    #[arg(long, value_name = "DIR", conflicts_with = "tar")]
    pub to: Option<PathBuf>,
    /// Write it as an archive: `.tar`, or `.tar.xz` to compress it
    #[arg(long, value_name = "FILE")]
    pub tar: Option<PathBuf>,
    /// How long it may take.
    #[command(flatten)]
    pub time: DumpTime,
}

/// How long collecting may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DumpTime {
    /// How long collecting may take: `1m`; 15s, or more for many nodes, if not given
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
}

/// What can be given with `split-dump` and `split-dump64`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct SplitArgs {
    /// The directory for the files, which is new or empty
    #[arg(long, value_name = "DIR", default_value = "cluster-dump")]
    pub to: PathBuf,
    /// The file to read; standard input if it is `-` or none
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}
