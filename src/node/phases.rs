//! The phases of kubeadm in a node. Each is a unit of the node's systemd that leaves a marker when it is complete, so a
//! phase goes on when the tool is killed, and the next run looks at what is there instead of starting a second one.

use crate::cluster::Role;
use crate::engine::{Engine, EngineError};
use crate::error::{Ending, Error};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MASTER: [&str; 10] = [
    "control-plane",
    "api-server",
    "scheduler",
    "cluster-admins",
    "upload-config-kubeadm",
    "upload-config-kubelet",
    "bootstrap-token",
    "mark-control-plane",
    "kube-proxy",
    "coredns",
];
/// Of a master's phases those that are done once in the life of a cluster, by its first one. All others have the markers
/// of these from the beginning.
pub const OF_THE_CLUSTER: &[&str] = &[
    "cluster-admins",
    "upload-config-kubeadm",
    "upload-config-kubelet",
    "bootstrap-token",
    "kube-proxy",
    "coredns",
];
/// The phases after which a master's API server answers.
pub const API_SERVER: &[&str] = &["control-plane", "api-server"];
const WORKER: [&str; 1] = ["join"];

/// How long a node's phases may take: many times what they take on a slow machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a command that watches may live in its node, in seconds. Nobody ends it when the program is killed: Docker goes
/// on reading what it writes.
const WATCHING: &str = "310";

const KUBELET: &str = "kubelet.service";
const SCRIPT: &str = "/usr/local/lib/local-cluster/phases";

/// The phases of a node.
pub fn of(role: Role) -> &'static [&'static str] {
    match role {
        Role::Master => &MASTER,
        Role::Worker => &WORKER,
    }
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phases {
    /// All are complete.
    Done,
    /// Its units are at work, or will be.
    Running,
    /// One has failed for good.
    Failed,
    /// The node is on its way down: whoever stopped it is not waiting for that any more.
    Stopping,
}

/// What the phases' script has said. PURE.
fn read(role: Role, output: &str) -> Phases {
    let done: BTreeSet<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("done "))
        .collect();
    if output.lines().any(|line| line == "stopping") {
        Phases::Stopping
    } else if of(role).iter().all(|phase| done.contains(phase)) {
        Phases::Done
    } else if output.lines().any(|line| line.starts_with("failed ")) {
        Phases::Failed
    } else {
        Phases::Running
    }
}

/// Looks at the phases of a running node.
pub async fn observe(engine: &Engine, container: &str, role: Role) -> Result<Phases, EngineError> {
    let mut command = vec![SCRIPT, "now"];
    command.extend(of(role));
    let executed = engine.exec(container, &command).await?;
    // A node that goes down ends all that runs in it.
    Ok(match executed.status {
        0 => read(role, &executed.text()),
        _ => Phases::Stopping,
    })
}

/// A command that would never end, with an end: shortly after nobody can be waiting for it any more.
pub fn watching<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [&["timeout", WATCHING], command].concat()
}

/// Waits until these phases of a node are complete; `done` is told of each.
pub async fn wait(
    engine: &Engine,
    container: &str,
    names: &[&str],
    cancel: &CancellationToken,
    mut done: impl FnMut(&str) + Send,
) -> Result<(), Error> {
    let command = watching(&[&[SCRIPT, "watch"], names].concat());
    let mut failed = None;
    let watching = engine.exec_lines(container, &command, |line| {
        if let Some(phase) = line.strip_prefix("done ") {
            done(phase);
        } else if let Some((_, unit)) = line
            .strip_prefix("failed ")
            .and_then(|rest| rest.split_once(' '))
        {
            failed = Some(unit.to_owned());
        }
    });
    let status = tokio::select! {
        status = tokio::time::timeout(PATIENCE, watching) => match status {
            Ok(status) => status,
            Err(_) => return Err(late(engine, container, names).await),
        }.map_err(|source| Error::other(format!("watch the phases of {container}"), source))?,
        () = cancel.cancelled() => return Err(Error::Interrupted { after: String::new() }),
    };
    match failed {
        None if status == 0 => Ok(()),
        None => Err(Error::with_hint(
            format!("node {container} stopped before its phases were complete"),
            "look at `docker logs`; `down` and then `up` make the cluster anew",
        )),
        Some(unit) => Err(explain(engine, container, &unit).await),
    }
}

/// Which phases were still not complete when patience ended, and what the node says meanwhile.
async fn late(engine: &Engine, container: &str, names: &[&str]) -> Error {
    let mut command = vec![SCRIPT, "now"];
    command.extend(names);
    let done = engine
        .exec(container, &command)
        .await
        .map(|executed| executed.text())
        .unwrap_or_default();
    let pending = names
        .iter()
        .find(|name| !done.lines().any(|line| line == format!("done {name}")));
    // The last one may have become complete in the meantime.
    let phase = pending.or(names.last()).copied().unwrap_or_default();
    let explained = explain(engine, container, &unit_of(phase)).await;
    Error::other(
        format!(
            "complete phase {phase} on {container} within {} s",
            PATIENCE.as_secs()
        ),
        explained,
    )
}

/// The unit that runs a phase.
fn unit_of(phase: &str) -> String {
    let kind = if API_SERVER.contains(&phase) || WORKER.contains(&phase) {
        "local-cluster-phase"
    } else {
        "local-cluster-api-phase"
    };
    format!("{kind}@{phase}.service")
}

/// The command of a unit and how it ended, as `systemctl show` tells it. PURE.
fn read_unit(shown: &str) -> Option<(String, Ending)> {
    let value = |name: &str| {
        shown
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    // `{ path=/bin/a ; argv[]=/bin/a b ; ignore_errors=no ; ... }`
    let (_, rest) = value("ExecStart")?.split_once("argv[]=")?;
    let (command, _) = rest.split_once(" ; ")?;
    let status = value("ExecMainStatus").and_then(|status| status.parse().ok());
    // The kernel's numbers: 1 for an exit, 2 and 3 for a signal, without and with a core dump.
    let ending = match (value("ExecMainCode"), status) {
        (Some("0"), _) => Ending::Running,
        (Some("1"), Some(status)) => Ending::Status(status),
        (Some("2" | "3"), Some(signal)) => Ending::Signal(signal),
        _ => Ending::Unknown,
    };
    Some((command.to_owned(), ending))
}

/// A phase that is not complete: its unit's command as systemd has it, and the end of its journal and of kubelet's.
async fn explain(engine: &Engine, container: &str, unit: &str) -> Error {
    let properties = "ExecStart,ExecMainCode,ExecMainStatus";
    let shown = engine
        .exec(container, &["systemctl", "show", "-p", properties, unit])
        .await
        .map(|executed| executed.text())
        .unwrap_or_default();
    // A node that has stopped says nothing of its units.
    let (command, ending) = read_unit(&shown).unwrap_or_else(|| (unit.to_owned(), Ending::Unknown));
    let journal = async |unit: &str, lines: &str| {
        let command = [
            "journalctl",
            "--no-pager",
            "-o",
            "cat",
            "-n",
            lines,
            "-u",
            unit,
        ];
        engine
            .exec(container, &command)
            .await
            .map(|executed| executed.tail(40))
            .unwrap_or_default()
    };
    let (output_tail, journal_tail) = tokio::join!(journal(unit, "30"), journal(KUBELET, "10"));
    Error::Command {
        node: container.to_owned(),
        command,
        ending,
        output_tail,
        unit: Some(KUBELET.to_owned()),
        journal_tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_done_when_every_phase_is() {
        let all = MASTER.map(|phase| format!("done {phase}")).join("\n");
        assert_eq!(read(Role::Master, &all), Phases::Done);
        assert_eq!(read(Role::Master, "done control-plane\n"), Phases::Running);
        assert_eq!(
            read(
                Role::Worker,
                "failed join local-cluster-phase@join.service\n"
            ),
            Phases::Failed
        );
        assert_eq!(read(Role::Worker, ""), Phases::Running);
        assert_eq!(read(Role::Worker, "stopping\n"), Phases::Stopping);
    }

    #[test]
    fn a_unit_says_what_it_ran_and_how_that_ended() {
        let shown = |code: &str, status: &str| {
            format!(
                "ExecMainCode={code}\nExecMainStatus={status}\nExecStart={{ path=/lib/phase ; argv[]=/lib/phase join ; \
                 ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=7 ; code=exited ; status={status} }}\n"
            )
        };
        for (code, status, ending) in [
            ("1", "1", Ending::Status(1)),
            ("1", "203", Ending::Status(203)),
            ("2", "9", Ending::Signal(9)),
            ("0", "0", Ending::Running),
            ("?", "", Ending::Unknown),
        ] {
            assert_eq!(
                read_unit(&shown(code, status)),
                Some(("/lib/phase join".to_owned(), ending))
            );
        }
        assert_eq!(read_unit("Failed to connect to bus"), None);
    }

    #[test]
    fn what_watches_outlives_those_who_wait_and_not_for_long() {
        let lives = Duration::from_secs(WATCHING.parse().unwrap());
        assert!(lives > PATIENCE && lives < 2 * PATIENCE);
        assert_eq!(watching(&["a", "b"]), ["timeout", WATCHING, "a", "b"]);
    }

    #[test]
    fn the_targets_want_the_phases_that_are_waited_for() {
        for (role, target) in [
            (
                Role::Master,
                include_str!(
                    "../../images/node/files/etc/systemd/system/local-cluster-master.target"
                ),
            ),
            (
                Role::Worker,
                include_str!(
                    "../../images/node/files/etc/systemd/system/local-cluster-worker.target"
                ),
            ),
        ] {
            let wanted: BTreeSet<String> = target
                .split_whitespace()
                .filter(|word| word.contains('@'))
                .filter_map(|word| Some(word.rsplit('=').next()?.to_owned()))
                .collect();
            assert_eq!(
                wanted,
                of(role).iter().map(|phase| unit_of(phase)).collect()
            );
        }
    }
}

#[cfg(test)]
mod properties;
