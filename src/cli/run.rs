//! The arguments of `run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{UpArgs, duration};
use crate::run::unit;

pub(super) const HELP: &str = "\
What ends it: Ctrl-C, SIGTERM, the end of `--timeout`, and
  curl -X POST http://127.0.0.1:8989/stop
Then all of the cluster is removed, as `clean` does it. A cluster that has a
node, a volume or a snapshot already is refused. There, too:
  GET /healthz   200 while the cluster works, else 503 and why not
  GET /metrics   for Prometheus
The exit code is 0 if the cluster was ready before the end came, and could be
removed. If it was not ready, it is that of `up`: 130 if it was told to end,
1 if it failed or was too slow.";

/// What can be given with `run`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunArgs {
    /// What can be given with `up`.
    #[command(flatten)]
    pub up: UpArgs,
    /// End by itself after so long, counted from the start: `90s`, `1h 30m`
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    #[arg(help_heading = RUN)]
    pub timeout: Option<Duration>,
    /// Where to tell of the cluster by HTTP; whoever gets there may end the run
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8989")]
    #[arg(value_parser = address, help_heading = RUN)]
    pub listen: SocketAddr,
    /// Make a link to the matching kubectl there, for as long as the run lasts
    #[arg(long, value_name = "PATH", help_heading = RUN)]
    pub kubectl_link: Option<PathBuf>,
    /// Go on as this service of systemd, and return at once
    #[arg(long, value_name = "NAME", value_parser = unit::service_name)]
    #[arg(help_heading = RUN)]
    pub systemd_unit: Option<String>,
}

const RUN: &str = "Run";

fn address(text: &str) -> Result<SocketAddr, String> {
    let fault = |_| "give an address, no name, and a port, as in `127.0.0.1:8989`".to_owned();
    text.parse().map_err(fault)
}
