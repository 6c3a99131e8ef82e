//! Hands a run to systemd, as a service of its own.

use super::Session;
use crate::cli::RunArgs;
use crate::error::{Error, exit_code};
use crate::run::unit;
use std::io::Write;
use std::path::Path;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Where systemd is, if it is the system's first process.
const BOOTED: &str = "/run/systemd/system";

/// Has systemd run the same command as a service of this name. Returns when it has begun.
pub(super) async fn hand_over(
    session: &Session,
    arguments: &RunArgs,
    name: &str,
    cancel: &CancellationToken,
) -> Result<u8, Error> {
    let doing = || format!("hand the run to systemd as `{name}`");
    let failed = |source: std::io::Error| Error::other(doing(), source);
    if !Path::new(BOOTED).is_dir() {
        return Err(absent("systemd does not run on this machine"));
    }
    let program = std::env::current_exe().map_err(failed)?;
    let directory = std::env::current_dir().map_err(failed)?;
    // Removed in the end: it may have a proxy's password in it, and is its owner's alone to read.
    std::fs::create_dir_all(&session.state).map_err(failed)?;
    let mut variables = tempfile::NamedTempFile::new_in(&session.state).map_err(failed)?;
    let text = unit::variables(&session.environment);
    variables.write_all(text.as_bytes()).map_err(failed)?;
    // A user's own services are run by a manager of their own.
    let user = !rustix::process::geteuid().is_root();
    let rest = unit::without_flag(std::env::args_os().skip(1));
    let words = unit::command(name, user, &directory, variables.path(), &program, &rest);
    let mut handing = Command::new("systemd-run");
    let handing = handing.args(words).kill_on_drop(true).output();
    // A signal must not end the program before the file is gone.
    let output = tokio::select! {
        output = handing => output,
        () = cancel.cancelled() => return Err(Error::Interrupted { after: String::new() }),
    };
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(absent("there is no `systemd-run` on this machine"));
        }
        output => output.map_err(failed)?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::with_hint(
            format!("systemd does not take the run as `{name}`: {}", said.trim()),
            format!(
                "`systemctl{} status {name}` tells whether there is such a service; another name may be free",
                unit::of_user(user)
            ),
        ));
    }
    session
        .reporter
        .note(format!("the run goes on as service `{name}` of systemd"));
    let address = Some(arguments.listen).filter(|address| address.port() != 0);
    session.reporter.send(crate::report::Event::RunFinished {
        ok: true,
        next: unit::next_steps(name, user, address),
        log: None,
    });
    Ok(exit_code::OK)
}

fn absent(what: &str) -> Error {
    Error::with_hint(
        format!("cannot hand the run to systemd: {what}"),
        "leave `--systemd-unit` out, and have a shell run it in the background: \
         `nohup local-cluster run >run.log 2>&1 &`",
    )
}
