//! When a cluster is ready. Told only after it was asked: every node Ready, kube-proxy on each, CoreDNS available, and
//! the name of a service that was just made answered from every node.

mod conditions;
pub(crate) mod watch;

use crate::cluster::{ClusterSpec, NodeSpec};
use crate::engine::Engine;
use crate::error::{Ending, Error};
use crate::node::access::{AGREEING, again};
use crate::report::Reporter;
use conditions::Start;
use futures_util::future;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::runtime::watcher;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use watch::until;

/// Where the cluster's own services live.
const SYSTEM: &str = "kube-system";

/// How long what is not well may take to say so.
const LOOK: Duration = Duration::from_secs(5);

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For a cluster that is coming up: five minutes.
    New,
    /// For a cluster in which nothing had to be done: 20 s, but longer where a node has just started. Somebody else may have
    /// started it, a run that was killed, or the engine after a reboot.
    Standing,
}

/// As long as it is younger, a node may be on its way up; on a busy host that takes a minute.
const COMING_UP: Duration = Duration::from_mins(2);

impl Patience {
    /// The time for a cluster whose youngest node has run for so long.
    fn time(self, age: Duration) -> Duration {
        match self {
            Self::New => Duration::from_mins(5),
            Self::Standing => COMING_UP.saturating_sub(age).max(Duration::from_secs(20)),
        }
    }

    /// The same for nodes that were started then.
    fn time_from(self, starts: &[Start]) -> Duration {
        let youngest = starts.iter().filter_map(|start| start.at).max();
        // A clock that was set back makes it as young as can be.
        let age = |at| Timestamp::now().duration_since(at).try_into();
        self.time(youngest.map_or(COMING_UP, |at| age(at).unwrap_or_default()))
    }
}

/// Waits until all of it is true, of these nodes; what is still missing is the error when patience ends.
pub async fn wait(
    client: &Client,
    engine: &Engine,
    spec: &ClusterSpec,
    nodes: &[NodeSpec],
    patience: Patience,
    reporter: &Reporter,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let all = async {
        let starts = starts(engine, nodes).await?;
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let time = patience.time_from(&starts);
        let waiting = Box::pin(future::try_join3(
            until(
                Api::<Node>::all(client.clone()),
                watcher::Config::default(),
                time,
                |found| conditions::nodes(&starts, found),
            ),
            until(
                Api::<Pod>::namespaced(client.clone(), SYSTEM),
                watcher::Config::default().labels("k8s-app=kube-proxy"),
                time,
                |found| conditions::kube_proxy(&names, found),
            ),
            until(
                Api::<Deployment>::namespaced(client.clone(), SYSTEM),
                watcher::Config::default().fields("metadata.name=coredns"),
                time,
                conditions::coredns,
            ),
        ));
        waiting.await.map_err(|missing| late(time, &missing))?;
        reporter.note("all nodes are Ready, kube-proxy runs on each, CoreDNS is available");
        dns_answers(client, engine, spec, nodes, time, cancel).await
    };
    tokio::select! {
        result = all => match result {
            Ok(()) => Ok(()),
            Err(error) => Err(with_troubles(client, engine, spec, error).await),
        },
        () = cancel.cancelled() => Err(Error::Interrupted { after: String::new() }),
    }
}

/// Waits until these nodes are Ready.
pub async fn wait_nodes(
    client: &Client,
    engine: &Engine,
    wanted: &[NodeSpec],
    patience: Patience,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let all = async {
        let starts = starts(engine, wanted).await?;
        let (api, config) = (Api::<Node>::all(client.clone()), watcher::Config::default());
        let time = patience.time_from(&starts);
        until(api, config, time, |found| conditions::nodes(&starts, found))
            .await
            .map_err(|missing| late(time, &missing))
    };
    tokio::select! {
        result = all => result,
        () = cancel.cancelled() => Err(Error::Interrupted { after: String::new() }),
    }
}

fn late(patience: Duration, missing: &str) -> Error {
    Error::message(format!(
        "the cluster is not ready after {} s: {missing}",
        patience.as_secs()
    ))
}

/// Since when each of these nodes has run: what the API server still has from before says nothing.
async fn starts(engine: &Engine, nodes: &[NodeSpec]) -> Result<Vec<Start>, Error> {
    let asked = nodes.iter().map(|node| async {
        let at = engine.started(&node.container).await.map_err(|source| {
            Error::other(format!("tell since when {} runs", node.container), source)
        })?;
        Ok(Start {
            node: node.name.clone(),
            at,
        })
    });
    future::try_join_all(asked).await
}

/// Makes a service and has every node ask the cluster's DNS for it.
async fn dns_answers(
    client: &Client,
    engine: &Engine,
    spec: &ClusterSpec,
    nodes: &[NodeSpec],
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let doing = "make a service to ask the cluster's DNS for";
    let services: Api<Service> = Api::namespaced(client.clone(), SYSTEM);
    let probe: Service = serde_json::from_value(serde_json::json!({
        "metadata": { "generateName": "local-cluster-probe-", "labels": { "app.kubernetes.io/managed-by": "local-cluster" } },
        "spec": { "ports": [{ "port": 80 }] },
    }))
    .map_err(|source| Error::other(doing, source))?;
    remove_probes(&services).await;
    let made = again(AGREEING, cancel, async || {
        services.create(&PostParams::default(), &probe).await
    });
    let made = made.await.map_err(|source| Error::other(doing, source))?;
    let ObjectMeta {
        name: Some(name), ..
    } = &made.metadata
    else {
        return Err(Error::message(
            "the API server has made a service without a name",
        ));
    };
    let address = made
        .spec
        .and_then(|spec| spec.cluster_ip)
        .unwrap_or_default();
    let asked = future::join_all(
        nodes
            .iter()
            .map(|node| ask(engine, spec, node, name, &address, patience)),
    )
    .await;
    remove_probes(&services).await;
    asked.into_iter().collect()
}

/// Removes what checks have made, one that was killed among them. What cannot be removed now goes with the next check: the
/// answer counts more.
async fn remove_probes(services: &Api<Service>) {
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=local-cluster");
    let Ok(old) = services.list_metadata(&ours).await else {
        return;
    };
    for service in old.items {
        if let Some(name) = service.metadata.name {
            let _ = services.delete(&name, &DeleteParams::default()).await;
        }
    }
}

async fn ask(
    engine: &Engine,
    spec: &ClusterSpec,
    node: &NodeSpec,
    service: &str,
    address: &str,
    patience: Duration,
) -> Result<(), Error> {
    let name = format!("{service}.{SYSTEM}.svc.cluster.local");
    let (server, seconds) = (
        spec.network.dns_service.to_string(),
        patience.as_secs().to_string(),
    );
    let command = [
        "/usr/local/lib/local-cluster/dns-probe",
        &server,
        &name,
        address,
        &seconds,
    ];
    let executed = engine
        .exec(&node.container, &command)
        .await
        .map_err(|source| {
            Error::other(
                format!("ask the cluster's DNS from {}", node.container),
                source,
            )
        })?;
    if executed.status == 0 {
        return Ok(());
    }
    Err(Error::Command {
        node: node.container.clone(),
        command: crate::error::shell_quote(&command.map(str::to_owned)),
        ending: Ending::Status(executed.status),
        output_tail: executed.tail(5),
        unit: None,
        journal_tail: Vec::new(),
    })
}

/// Adds what the system's pods that are not well say of themselves; where the API server does not answer, what the masters
/// say of it.
async fn with_troubles(
    client: &Client,
    engine: &Engine,
    spec: &ClusterSpec,
    error: Error,
) -> Error {
    let flag = spec.names.flag();
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let (troubles, more) = match timeout(LOOK, pods.list(&ListParams::default())).await {
        Ok(Ok(pods)) => (
            pods.items.iter().filter_map(conditions::trouble).collect(),
            format!(
                "`local-cluster{flag} kubectl -n kube-system describe pods` and `... logs POD` tell more"
            ),
        ),
        // It does answer, and that is another matter.
        Ok(Err(kube::Error::Api(_))) => return error,
        _ => (
            future::join_all(spec.masters().map(|master| silence(engine, master)))
                .await
                .concat(),
            format!("`local-cluster{flag} dump` collects all that there is to know"),
        ),
    };
    if troubles.is_empty() {
        return error;
    }
    let text = crate::error::in_one_line(&error);
    Error::with_hint(
        format!("{text}\n{}", troubles.join("\n")),
        format!(
            "{more}; `local-cluster{flag} up` looks again, `local-cluster{flag} down` and then `up` make the cluster anew, \
             without what is in it"
        ),
    )
}

/// What a master says of its API server, which does not answer.
async fn silence(engine: &Engine, master: &NodeSpec) -> Vec<String> {
    let asked = engine.exec(&master.container, &["/usr/local/lib/local-cluster/trouble"]);
    let lines = match timeout(LOOK, asked).await {
        Ok(Ok(executed)) => executed.tail(10),
        Ok(Err(source)) => vec![source.to_string()],
        Err(_) => vec!["it does not say what is the matter".to_owned()],
    };
    let name = &master.name;
    lines.iter().map(|line| format!("{name}: {line}")).collect()
}

/// The cluster's nodes.
pub async fn list_nodes(
    client: &Client,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Vec<Node>, Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let listed = again(patience, cancel, async || {
        nodes.list(&ListParams::default()).await
    });
    let listed = listed.await;
    Ok(listed
        .map_err(|source| Error::other("list the cluster's nodes", source))?
        .items)
}

/// Whether a node, and a pod, says that it is Ready.
pub use conditions::{is_ready, pod_is_ready};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_started_a_moment_ago_is_waited_for() {
        let patience = |age| Patience::Standing.time(Duration::from_secs(age)).as_secs();
        assert_eq!(
            [0, 1, 99, 101, 1_000_000].map(patience),
            [120, 119, 21, 20, 20]
        );
    }
}
