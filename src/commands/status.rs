//! `status`: what there is of a cluster, and how each of its nodes is.

use super::identity::Identity;
use super::print;
use super::recovery::everything;
use super::session::Session;
use super::standing::Standing;
use super::table::table;
use super::up::must_decide;
use crate::cli::Output;
use crate::cluster::{API_SERVER_PORT, ClusterSpec, Names, Role};
use crate::engine::{Engine, Found, Published, State, label};
use crate::error::{Error, exit_code};
use crate::inventory::{self, ClusterState, LOAD_BALANCER_ROLE, Ranges, is_master, remedy, word};
use crate::node::access::{self, Way};
use crate::plan;
use crate::ready;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// `status`: it succeeds where the cluster is whole, so that scripts can ask.
pub(super) async fn run(session: &Session) -> Result<u8, Error> {
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
    let standing = Standing::of(&engine, &identity).await?;
    // Nothing is known of a cluster of which there is no container.
    let spec = standing.spec(&identity).ok();
    let spec = spec.filter(|_| !standing.containers.is_empty());
    let undecided = spec
        .as_ref()
        .and_then(|spec| must_decide(&identity, spec, &standing.states()).err());
    let containers = standing.containers;
    let (published, ready) = ask(&engine, &containers).await;
    let ranges = inventory::ranges(&containers);
    let mut rows: Vec<_> = containers
        .iter()
        .map(|container| row(container, &ready))
        .collect();
    rows.extend(lost(&containers, spec.as_ref(), &ready));
    rows.sort_by_key(Row::order);
    let code = if is_whole(&rows) {
        exit_code::OK
    } else {
        exit_code::FAILED
    };
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
            "problem": ready.as_ref().err().filter(|_| !containers.is_empty()),
            "loadBalancer": rows.iter().find(|row| row.role == LOAD_BALANCER_ROLE).map(|row| json!({
                "container": row.container, "state": row.state,
            })),
            "nodes": rows.iter().filter(|row| row.role != LOAD_BALANCER_ROLE).map(|row| json!({
                "name": row.name, "container": row.container, "role": row.role, "state": row.state, "ready": row.ready,
            })).collect::<Vec<_>>(),
        });
        print(&status.to_string())?;
        return Ok(code);
    }
    if containers.is_empty() {
        print(&format!(
            "there is no cluster `{}`: `local-cluster{} up` makes it\n",
            identity.names.context(),
            identity.flag()
        ))?;
        return Ok(code);
    }
    // Writing to a string cannot fail.
    let mut text = format!(
        "cluster {}{}\n",
        identity.names.context(),
        away(&identity, &containers)
    );
    let missing = rows.iter().filter(|row| row.state == MISSING);
    let missing = missing.filter(|row| row.role == Role::Master.as_str());
    let missing: Vec<&str> = missing.map(|row| row.name.as_str()).collect();
    if let Some(error) = undecided {
        let hints = error.hints().join("; ");
        let _ = writeln!(text, "{error}: {hints}");
    } else if !missing.is_empty() {
        // etcd takes no new member as long as it counts one that it cannot reach.
        let _ = writeln!(
            text,
            "{} lost: `local-cluster{flag} node remove {}`, then `local-cluster{flag} node add --master{}`",
            match missing.as_slice() {
                [one] => format!("{one} is"),
                several => format!("{} are", several.join(", ")),
            },
            missing.join(" "),
            match missing.len() {
                1 => String::new(),
                count => format!(" -n {count}"),
            },
            flag = identity.flag()
        );
    }
    match (&ready, published) {
        (Ok(_), Some(published)) => {
            let _ = writeln!(text, "api server https://{published}");
        }
        (Err(problem), _) => {
            let _ = writeln!(text, "api server unreachable: {problem}");
            if remedy(&containers).is_none() {
                let flag = identity.flag();
                let _ = writeln!(
                    text,
                    "           `local-cluster{flag} up` waits for it, and finishes what was broken off"
                );
            }
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
    let rows = rows.iter().map(|row| {
        let ready = match row.role.as_str() {
            // Kubernetes does not know it.
            LOAD_BALANCER_ROLE => "-",
            _ => ready_word(row.ready),
        };
        let cells = [&row.name, &row.role, row.state, ready, &row.container];
        cells.map(str::to_owned).to_vec()
    });
    text += &table(
        &["NAME", "ROLE", "STATE", "READY", "CONTAINER"],
        &rows.collect::<Vec<_>>(),
    );
    print(&text)?;
    Ok(code)
}

/// Whether all that there should be of a cluster runs, and its nodes are Ready.
fn is_whole(rows: &[Row]) -> bool {
    let well = |row: &Row| {
        row.state == word(State::Running)
            && (row.role == LOAD_BALANCER_ROLE || row.ready == Some(true))
    };
    !rows.is_empty() && rows.iter().all(well)
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

impl Row {
    /// Masters first, then what stands before them, then workers; each by number.
    fn order(&self) -> (u8, usize, String) {
        let rank = match self.role.as_str() {
            "master" => 0,
            LOAD_BALANCER_ROLE => 1,
            _ => 2,
        };
        (rank, self.name.len(), self.name.clone())
    }
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

/// What is said of a node that Kubernetes knows and of which there is no container.
const MISSING: &str = "missing";

/// The nodes that Kubernetes knows, or of which a volume is left, and of which there is no container.
fn lost(containers: &[Found], spec: Option<&ClusterSpec>, ready: &ReadyNodes) -> Vec<Row> {
    let known = ready
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(|(name, _)| name);
    let left = spec.map(|spec| spec.nodes.as_slice()).unwrap_or_default();
    let names: BTreeSet<&String> = known.chain(left.iter().map(|node| &node.name)).collect();
    let is_lost = |name: &&String| containers.iter().all(|found| node_name(found) != *name);
    let lost = names.into_iter().filter(is_lost);
    lost.map(|name| Row {
        name: name.clone(),
        container: "-".to_owned(),
        role: if Names::members_named([name.as_str()]).masters.is_empty() {
            Role::Worker
        } else {
            Role::Master
        }
        .to_string(),
        state: MISSING,
        ready: Some(false),
    })
    .collect()
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

/// How long a user may wait for what a cluster says of itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long several masters are asked again: one may have gone a moment ago.
const ASKING: Duration = Duration::from_secs(3);

/// Asks the API server of these containers for its port and its nodes, for as long as a user may wait.
pub(super) async fn ask(engine: &Engine, containers: &[Found]) -> (Option<Published>, ReadyNodes) {
    let runs = |name: &str| {
        let mut running = containers
            .iter()
            .filter(|found| found.state == State::Running);
        running.any(|found| found.name == name)
    };
    let way = inventory::way(containers).filter(|way| runs(&way.master));
    let Some(way) = way else {
        let several = containers.iter().filter(|found| is_master(found)).count() > 1;
        let who = if several {
            "no master runs"
        } else {
            "the master does not run"
        };
        return (None, Err(who.to_owned()));
    };
    if !runs(&way.publisher) {
        return (None, Err(format!("{} does not run", way.publisher)));
    }
    let published = engine.published(&way.publisher, API_SERVER_PORT).await;
    let asked = tokio::time::timeout(PATIENCE, ready_nodes(engine, &way)).await;
    let ready = match asked {
        Ok(Ok(nodes)) => Ok(nodes),
        Ok(Err(error)) => Err(crate::error::in_one_line(&error)),
        Err(_) => Err("the API server does not answer".to_owned()),
    };
    (published.ok().flatten(), ready)
}

async fn ready_nodes(engine: &Engine, way: &Way) -> Result<Vec<(String, bool)>, Error> {
    let config = access::kubeconfig(engine, way).await?;
    let several = way.publisher != way.master;
    let patience = if several { ASKING } else { Duration::ZERO };
    let never = CancellationToken::new();
    let nodes = ready::list_nodes(&access::client(&config)?, patience, &never).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_node_that_does_not_run_is_not_ready() {
        let container = |state| Found {
            name: "kube-master".to_owned(),
            labels: BTreeMap::new(),
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
}
