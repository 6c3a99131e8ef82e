//! `kubectl`, and what else reaches into a cluster: `exec`, `kubeconfig`, `apiserver-port`; and `version`.

use super::identity::Identity;
use super::print;
use super::session::Session;
use crate::cli::Output;
use crate::cluster::{API_SERVER_PORT, DEFAULT_VERSION};
use crate::engine::{Engine, Found, Terminal};
use crate::error::{Error, exit_code};
use crate::inventory::{self, remedy, word};
use crate::kubeconfig;
use crate::node::access::{self, Way};
use rustix::fs::FileType;
use serde_json::json;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::Stdio;

/// How the cluster that is meant is reached.
async fn way(engine: &Engine, identity: &Identity) -> Result<Way, Error> {
    let containers = identity.containers(engine).await?;
    inventory::way(&containers).ok_or_else(|| identity.absent())
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
    let way = way(&engine, &identity).await?;
    let config = access::kubeconfig(&engine, &way).await?;
    print(&kubeconfig::named(&config, &identity.names.context())?)
}

/// `apiserver-port`.
pub(super) async fn apiserver_port(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let way = way(&engine, &identity).await?;
    let published = engine.published(&way.publisher, API_SERVER_PORT).await;
    let published =
        published.map_err(|source| Error::other("find the API server's port", source))?;
    let published =
        published.ok_or_else(|| Error::message(format!("{} publishes no port", way.publisher)))?;
    print(&published.port.to_string())
}

/// `kubectl`: the cluster's own, with its kubeconfig.
pub(super) async fn kubectl(session: &Session, arguments: &[String]) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let containers = identity.containers(&engine).await?;
    let way = inventory::way(&containers).ok_or_else(|| identity.absent())?;
    for needed in [&way.master, &way.publisher] {
        must_run(&identity, identity.node(&containers, needed)?)?;
    }
    let directory = session.directory(&identity.names)?;
    let (program, config) = (directory.join("kubectl"), directory.join("admin.conf"));
    for path in [&program, &config] {
        if !path.exists() {
            return Err(Error::with_hint(
                format!("{} is not there", path.display()),
                format!("`local-cluster{} up` writes it", identity.flag()),
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
    fn what_can_be_read_is_handed_on() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(has_input(&OwnedFd::from(reader)));
        assert!(has_input(&File::open("Cargo.toml").unwrap()));
        assert!(!has_input(&File::open("/dev/null").unwrap()));
    }
}
