//! The commands that look at a cluster and use it: `status`, `kubectl`, `exec`, `kubeconfig`, `apiserver-port`, `version`.

use super::print;
use super::session::{Identity, Session};
use crate::cli::Output;
use crate::cluster::{API_SERVER_PORT, DEFAULT_VERSION};
use crate::engine::{Engine, Found, State, Terminal, label};
use crate::error::{Error, exit_code};
use crate::inventory::{ClusterState, is_master, remedy, word};
use crate::ready;
use serde_json::json;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::Stdio;
use std::time::Duration;

/// The kubeconfig that works on the engine's host: the one of the cluster, with the address that the
/// master publishes.
pub(super) async fn kubeconfig_of(engine: &Engine, container: &str) -> Result<String, Error> {
    let doing = || format!("read the kubeconfig of {container}");
    let refused = |source| Error::other(doing(), source);
    let content = engine
        .read_file(container, "/data/etc/kubernetes/admin.conf")
        .await
        .map_err(refused)?;
    let content =
        content.ok_or_else(|| Error::message(format!("{container} has no kubeconfig")))?;
    let published = engine
        .published(container, API_SERVER_PORT)
        .await
        .map_err(refused)?;
    let published =
        published.ok_or_else(|| Error::message(format!("{container} publishes no port")))?;
    let mut config: serde_yaml::Value =
        serde_yaml::from_slice(&content).map_err(|source| Error::other(doing(), source))?;
    config["clusters"][0]["cluster"]["server"] = format!("https://{published}").into();
    serde_yaml::to_string(&config).map_err(|source| Error::other(doing(), source))
}

/// The master's container of the cluster that is meant.
async fn master(engine: &Engine, identity: &Identity) -> Result<Found, Error> {
    let containers = identity.containers(engine).await?;
    containers
        .into_iter()
        .find(is_master)
        .ok_or_else(|| identity.absent())
}

fn must_run(identity: &Identity, container: &Found) -> Result<(), Error> {
    let Some((command, _)) = remedy(std::slice::from_ref(container)) else {
        return Ok(());
    };
    Err(Error::with_hint(
        format!("{} does not run", container.name),
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
    print(&kubeconfig_of(&engine, &master.name).await?)
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

/// `exec`.
pub(super) async fn exec(session: &Session, node: &str, command: &[String]) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let containers = identity.containers(&engine).await?;
    let found = identity.node(&containers, node)?;
    must_run(&identity, found)?;
    let shell = ["bash".to_owned()];
    let command = if command.is_empty() { &shell } else { command };
    let stdin = std::io::stdin().is_terminal();
    let terminal = Terminal {
        tty: stdin && std::io::stdout().is_terminal(),
        stdin: true,
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
    let containers = identity.containers(&engine).await?;
    let master = containers.iter().find(|container| is_master(container));
    let mut published = None;
    let mut ready = Err("the master does not run".to_owned());
    if let Some(master) = master.filter(|master| master.state == State::Running) {
        published = engine
            .published(&master.name, API_SERVER_PORT)
            .await
            .ok()
            .flatten();
        let asked =
            tokio::time::timeout(Duration::from_secs(5), ready_nodes(&engine, &master.name)).await;
        ready = match asked {
            Ok(Ok(nodes)) => Ok(nodes),
            Ok(Err(error)) => Err(crate::error::in_one_line(&error)),
            Err(_) => Err("the API server does not answer".to_owned()),
        };
    }
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
    for row in &rows {
        let ready = match row.ready {
            Some(true) => "Ready",
            Some(false) => "NotReady",
            None => "unknown",
        };
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

fn row(container: &Found, ready: &Result<Vec<(String, bool)>, String>) -> Row {
    let of = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
    let name = of(label::NODE);
    let known = ready.as_ref().ok();
    Row {
        ready: known.map(|nodes| nodes.iter().any(|(node, ready)| *node == name && *ready)),
        container: container.name.clone(),
        role: of(label::ROLE),
        state: word(container.state),
        name,
    }
}

async fn ready_nodes(engine: &Engine, master: &str) -> Result<Vec<(String, bool)>, Error> {
    let config = kubeconfig_of(engine, master).await?;
    let nodes = ready::list_nodes(&ready::client(&config)?).await?;
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
