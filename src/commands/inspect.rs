//! The commands that look at a cluster and use it: `status`, `kubectl`, `exec`, `kubeconfig`, `apiserver-port`, `version`.

use super::print;
use super::recovery::everything;
use super::session::{Identity, Session};
use crate::cli::Output;
use crate::cluster::{API_SERVER_PORT, DEFAULT_VERSION};
use crate::engine::{Engine, Found, Published, State, Terminal, label};
use crate::error::{Error, exit_code};
use crate::inventory::{self, ClusterState, Ranges, is_master, remedy, word};
use crate::kubeconfig;
use crate::node::access;
use crate::plan;
use crate::ready;
use rustix::fs::FileType;
use serde_json::json;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

/// The master's container of the cluster that is meant.
async fn master(engine: &Engine, identity: &Identity) -> Result<Found, Error> {
    let containers = identity.containers(engine).await?;
    containers
        .into_iter()
        .find(is_master)
        .ok_or_else(|| identity.absent())
}

/// A command needs this container to run.
pub(super) fn must_run(identity: &Identity, container: &Found) -> Result<(), Error> {
    let Some((command, _)) = remedy(std::slice::from_ref(container)) else {
        return Ok(());
    };
    Err(Error::with_hint(
        format!(
            "{} does not run: it is {}",
            container.name,
            word(container.state)
        ),
        format!(
            "bring the cluster back with `local-cluster{} {command}`",
            identity.flag()
        ),
    ))
}

/// `kubeconfig`.
pub(super) async fn kubeconfig(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let master = master(&engine, &identity).await?;
    let config = access::kubeconfig(&engine, &master.name).await?;
    print(&kubeconfig::named(&config, &identity.names.context())?)
}

/// `apiserver-port`.
pub(super) async fn apiserver_port(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let master = master(&engine, &identity).await?;
    let published = engine.published(&master.name, API_SERVER_PORT).await;
    let published =
        published.map_err(|source| Error::other("find the API server's port", source))?;
    let published =
        published.ok_or_else(|| Error::message(format!("{} publishes no port", master.name)))?;
    print(&published.port.to_string())
}

/// `kubectl`: the cluster's own, with its kubeconfig.
pub(super) async fn kubectl(session: &Session, arguments: &[String]) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let master = master(&engine, &identity).await?;
    must_run(&identity, &master)?;
    let directory = session.directory(&identity.names)?;
    let (program, config) = (directory.join("kubectl"), directory.join("admin.conf"));
    for path in [&program, &config] {
        if !path.exists() {
            return Err(Error::with_hint(
                format!("{} is not there", path.display()),
                "`local-cluster up` writes it",
            ));
        }
    }
    let status = tokio::process::Command::new(&program)
        .args(arguments)
        .env("KUBECONFIG", &config)
        .stdin(Stdio::inherit())
        .status()
        .await
        .map_err(|source| Error::other(format!("run {}", program.display()), source))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(exit_code::FAILED))
}

/// Whether standard input has something for a command in a node, as `ssh` sees it: a terminal, a file, a pipe or a socket.
/// Other devices have not: `/dev/null` says that there is no input, and then the command gets none.
fn has_input(stdin: &(impl AsFd + IsTerminal)) -> bool {
    let is_device = rustix::fs::fstat(stdin)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode).is_char_device());
    stdin.is_terminal() || !is_device
}

/// `exec`.
pub(super) async fn exec(session: &Session, node: &str, command: &[String]) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let containers = identity.containers(&engine).await?;
    let found = identity.node(&containers, node)?;
    must_run(&identity, found)?;
    let shell = ["bash".to_owned()];
    let command = if command.is_empty() { &shell } else { command };
    let terminal = Terminal {
        tty: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        stdin: has_input(&std::io::stdin()),
    };
    let environment = ["KUBECONFIG=/etc/kubernetes/admin.conf".to_owned()];
    let status = engine
        .exec_interactive(&found.name, command, &environment, terminal)
        .await
        .map_err(|source| Error::other(format!("run a command in {}", found.name), source))?;
    Ok(u8::try_from(status).unwrap_or(exit_code::FAILED))
}

/// `status`.
pub(super) async fn status(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    if !plan::snapshot::recover(&everything(&engine, &identity).await?).is_empty() {
        session.reporter.warn(
            "a restore of this cluster is under way or was broken off",
            Some(
                "the next command that changes the cluster takes it back, or brings it to its end",
            ),
        );
    }
    let containers = identity.containers(&engine).await?;
    let (published, ready) = ask(&engine, &containers).await;
    let ranges = inventory::ranges(&containers);
    let rows: Vec<_> = containers
        .iter()
        .map(|container| row(container, &ready))
        .collect();
    if session.output == Output::Json {
        let status = json!({
            "cluster": identity.names.context(),
            "id": identity.id,
            "exists": !containers.is_empty(),
            "state": (!containers.is_empty()).then(|| ClusterState::of(&containers).as_str()),
            "hostSubnet": ranges.as_ref().map(|ranges| &ranges.host),
            "nodeSubnet": ranges.as_ref().map(|ranges| &ranges.nodes),
            "apiServerAddress": published.map(|published| published.address.to_string()),
            "apiServerPort": published.map(|published| published.port),
            "problem": ready.as_ref().err(),
            "nodes": rows.iter().map(|row| json!({
                "name": row.name, "container": row.container, "role": row.role, "state": row.state, "ready": row.ready,
            })).collect::<Vec<_>>(),
        });
        return print(&status.to_string());
    }
    if containers.is_empty() {
        print(&format!(
            "there is no cluster `{}`\n",
            identity.names.context()
        ))?;
        return Ok(exit_code::OK);
    }
    // Writing to a string cannot fail.
    let mut text = format!(
        "cluster {}{}\n",
        identity.names.context(),
        away(&identity, &containers)
    );
    match (&ready, published) {
        (Ok(_), Some(published)) => {
            let _ = writeln!(text, "api server https://{published}");
        }
        (Err(problem), _) => {
            let _ = writeln!(text, "api server unreachable: {problem}");
        }
        (Ok(_), None) => {}
    }
    if let Some(ranges) = ranges.filter(Ranges::are_of_a_clone) {
        let (host, nodes) = (ranges.host, ranges.nodes);
        let _ = writeln!(
            text,
            "addresses  in {host} for this host; the nodes of this clone know each other by those of {nodes}"
        );
    }
    for row in &rows {
        let ready = ready_word(row.ready);
        let _ = writeln!(
            text,
            "{:<16} {:<8} {:<9} {:<8} {}",
            row.name, row.role, row.state, ready, row.container
        );
    }
    print(&text)
}

/// What follows a cluster's name where not all of it runs, with the command that brings it back.
fn away(identity: &Identity, containers: &[Found]) -> String {
    let Some((command, away)) = remedy(containers) else {
        return String::new();
    };
    let names: Vec<&str> = away.iter().map(|node| node_name(node)).collect();
    let what = match ClusterState::of(containers) {
        state @ (ClusterState::Stopped | ClusterState::Paused) => format!(" is {state}"),
        _ => format!(": {} not running", names.join(", ")),
    };
    format!(
        "{what}; `local-cluster{} {command}` brings it back",
        identity.flag()
    )
}

fn node_name(container: &Found) -> &str {
    container.labels.get(label::NODE).map_or("", String::as_str)
}

struct Row {
    name: String,
    container: String,
    role: String,
    state: &'static str,
    ready: Option<bool>,
}

fn row(container: &Found, ready: &ReadyNodes) -> Row {
    let of = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
    let name = of(label::NODE);
    Row {
        ready: is_ready(&name, Some(container), ready),
        container: container.name.clone(),
        role: of(label::ROLE),
        state: word(container.state),
        name,
    }
}

/// Whether a node is Ready, where that could be asked. The API server goes on calling one so for 40 s after it has stopped.
pub(super) fn is_ready(name: &str, container: Option<&Found>, nodes: &ReadyNodes) -> Option<bool> {
    let runs = container.is_some_and(|container| container.state == State::Running);
    let said = |nodes: &Vec<_>| nodes.iter().any(|(node, ready)| node == name && *ready);
    nodes.as_ref().ok().map(|nodes| runs && said(nodes))
}

/// The word for that.
pub(super) fn ready_word(ready: Option<bool>) -> &'static str {
    match ready {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "unknown",
    }
}

/// The nodes that the API server knows, and whether each is Ready; or why it cannot be asked.
pub(super) type ReadyNodes = Result<Vec<(String, bool)>, String>;

/// Asks the master of these containers for its port and its nodes, for as long as a user may wait.
pub(super) async fn ask(engine: &Engine, containers: &[Found]) -> (Option<Published>, ReadyNodes) {
    let master = containers.iter().find(|container| is_master(container));
    let Some(master) = master.filter(|master| master.state == State::Running) else {
        return (None, Err("the master does not run".to_owned()));
    };
    let published = engine.published(&master.name, API_SERVER_PORT).await;
    let asked =
        tokio::time::timeout(Duration::from_secs(5), ready_nodes(engine, &master.name)).await;
    let ready = match asked {
        Ok(Ok(nodes)) => Ok(nodes),
        Ok(Err(error)) => Err(crate::error::in_one_line(&error)),
        Err(_) => Err("the API server does not answer".to_owned()),
    };
    (published.ok().flatten(), ready)
}

async fn ready_nodes(engine: &Engine, master: &str) -> Result<Vec<(String, bool)>, Error> {
    let config = access::kubeconfig(engine, master).await?;
    let nodes = ready::list_nodes(&access::client(&config)?).await?;
    Ok(nodes
        .iter()
        .map(|node| {
            (
                node.metadata.name.clone().unwrap_or_default(),
                ready::is_ready(node),
            )
        })
        .collect())
}

/// `version`.
pub(super) async fn version(session: &Session) -> Result<u8, Error> {
    let (program, kubernetes) = (env!("CARGO_PKG_VERSION"), DEFAULT_VERSION.to_string());
    let engine = match Engine::connect().await {
        Ok(engine) => engine.facts().await.ok().map(|facts| facts.version),
        Err(_) => None,
    };
    if session.output == Output::Json {
        let version =
            json!({ "localCluster": program, "defaultKubernetes": kubernetes, "docker": engine });
        return print(&version.to_string());
    }
    let engine = engine.unwrap_or_else(|| "not reachable".to_owned());
    print(&format!(
        "local-cluster {program}\nkubernetes    {kubernetes} by default\ndocker        {engine}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_node_that_does_not_run_is_not_ready() {
        let container = |state| Found {
            name: "kube-master".to_owned(),
            labels: std::collections::BTreeMap::new(),
            state,
            image: String::new(),
            volumes: Vec::new(),
        };
        let nodes = Ok(vec![("a".to_owned(), true), ("b".to_owned(), false)]);
        let (running, paused) = (container(State::Running), container(State::Paused));
        assert_eq!(is_ready("a", Some(&running), &nodes), Some(true));
        assert_eq!(is_ready("a", Some(&paused), &nodes), Some(false));
        assert_eq!(is_ready("a", None, &nodes), Some(false));
        assert_eq!(is_ready("b", Some(&running), &nodes), Some(false));
        let unknown = Err("it does not answer".to_owned());
        assert_eq!(is_ready("a", Some(&running), &unknown), None);
    }

    #[test]
    fn what_can_be_read_is_handed_on() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(has_input(&OwnedFd::from(reader)));
        assert!(has_input(&File::open("Cargo.toml").unwrap()));
        assert!(!has_input(&File::open("/dev/null").unwrap()));
    }
}
