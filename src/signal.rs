//! Ctrl-C: the first asks to stop, the second stops.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::exit_code;
use crate::report::Reporter;

const STOPPING: &str =
    "stopping as soon as what is under way has settled; a second Ctrl-C stops at once";
/// So long the terminal may take to be tidied up.
const CLOSING: Duration = Duration::from_millis(200);

/// Watches for SIGINT and SIGTERM. The first cancels the token, so that the command ends in good order; the second ends the
/// process at once. To be called within the runtime.
pub fn watch(reporter: Reporter) -> CancellationToken {
    let token = CancellationToken::new();
    // Registered before this returns: a signal that comes just after must not find the default action.
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(interrupt), Ok(terminate)) => {
            tokio::spawn(stop(interrupt, terminate, reporter, token.clone()));
        }
        (Err(error), _) | (_, Err(error)) => {
            reporter.warn(
                format!("cannot watch for signals: {error}; Ctrl-C will stop at once"),
                None,
            );
        }
    }
    token
}

async fn stop(
    mut interrupt: Signal,
    mut terminate: Signal,
    reporter: Reporter,
    token: CancellationToken,
) {
    next(&mut interrupt, &mut terminate).await;
    token.cancel();
    let noting = reporter.clone();
    // Not waited for: a terminal that is held by Ctrl-S must not keep the second signal from being seen.
    tokio::task::spawn_blocking(move || noting.note(STOPPING));
    next(&mut interrupt, &mut terminate).await;
    let closing = tokio::task::spawn_blocking(move || reporter.close());
    let _ = tokio::time::timeout(CLOSING, closing).await;
    exit();
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "the user asked twice: nothing may be waited for any more"
)]
fn exit() -> ! {
    std::process::exit(i32::from(exit_code::INTERRUPTED))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Set for the process in which [`child`] runs.
    const CHILD: &str = "LOCAL_CLUSTER_TEST_SIGNAL_CHILD";

    /// Not a test of its own: what the other tests start as a process, and send signals to.
    #[tokio::test(flavor = "multi_thread")]
    async fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let token = watch(Reporter::silent());
        writeln!(std::io::stdout(), "ready").unwrap();
        token.cancelled().await;
        writeln!(std::io::stdout(), "cancelled").unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    }

    fn start() -> (Child, impl Iterator<Item = String>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "signal::tests::child", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        (child, lines)
    }

    fn kill(child: &Child, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    fn the_first_cancels_and_the_second_exits() {
        for signals in [["-INT", "-INT"], ["-TERM", "-INT"], ["-INT", "-TERM"]] {
            let (mut child, mut lines) = start();
            assert!(lines.any(|line| line.ends_with("ready")));
            kill(&child, signals[0]);
            assert!(lines.any(|line| line == "cancelled"), "{signals:?}");
            kill(&child, signals[1]);
            assert_eq!(child.wait().unwrap().code(), Some(130), "{signals:?}");
        }
    }
}
