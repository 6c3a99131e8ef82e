//! When a cluster is ready. Told only after it was asked: every node Ready, kube-proxy on each, CoreDNS available, and
//! the name of a service that was just made answered from every node.

mod conditions;

use crate::cluster::{ClusterSpec, NodeSpec};
use crate::engine::Engine;
use crate::error::Error;
use crate::report::Reporter;
use conditions::{Start, Verdict, coredns, kube_proxy, nodes};
use futures_util::{StreamExt, future};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, Resource};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where the cluster's own services live.
const SYSTEM: &str = "kube-system";

/// How long to wait for a cluster that was just made, and for one that has been ready before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Duration);

impl Patience {
    /// For a cluster that is coming up.
    pub const NEW: Self = Self(Duration::from_mins(5));
    /// For a cluster in which nothing had to be done.
    pub const STANDING: Self = Self(Duration::from_secs(20));
}

/// A client for a cluster, by the kubeconfig that a user gets.
pub fn client(kubeconfig: &str) -> Result<Client, Error> {
    let doing = "connect to the API server";
    let kubeconfig =
        Kubeconfig::from_yaml(kubeconfig).map_err(|source| Error::other(doing, source))?;
    let build =
        async { Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await };
    // Nothing in it waits: all that the kubeconfig names is in its own text.
    let config = futures_util::FutureExt::now_or_never(build)
        .ok_or_else(|| Error::message("the kubeconfig names files"))?
        .map_err(|source| Error::other(doing, source))?;
    Client::try_from(config).map_err(|source| Error::other(doing, source))
}

/// Waits until all of it is true; what is still missing is the error when patience ends.
pub async fn wait(
    client: &Client,
    engine: &Engine,
    spec: &ClusterSpec,
    patience: Patience,
    reporter: &Reporter,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let all = async {
        let wanted = spec.nodes.len();
        let starts = starts(engine, &spec.nodes).await?;
        let system =
            |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        future::try_join3(
            until(
                Api::<Node>::all(client.clone()),
                watcher::Config::default(),
                patience,
                move |found| nodes(&starts, found),
            ),
            until(
                Api::<DaemonSet>::namespaced(client.clone(), SYSTEM),
                system("kube-proxy"),
                patience,
                move |found| kube_proxy(wanted, found),
            ),
            until(
                Api::<Deployment>::namespaced(client.clone(), SYSTEM),
                system("coredns"),
                patience,
                coredns,
            ),
        )
        .await?;
        reporter.note("all nodes are Ready, kube-proxy runs on each, CoreDNS is available");
        dns_answers(client, engine, spec, patience).await
    };
    tokio::select! {
        result = all => match result {
            Ok(()) => Ok(()),
            Err(error) => Err(with_pods(client, error).await),
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
        let api = Api::<Node>::all(client.clone());
        let config = watcher::Config::default();
        until(api, config, patience, move |found| nodes(&starts, found)).await
    };
    tokio::select! {
        result = all => result,
        () = cancel.cancelled() => Err(Error::Interrupted { after: String::new() }),
    }
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

/// An API server that is coming up refuses for a second or two. kube's own pauses would become longer than that.
struct Soon;

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {}
}

/// Watches objects until a condition on them holds.
async fn until<K>(
    api: Api<K>,
    config: watcher::Config,
    Patience(patience): Patience,
    condition: impl Fn(&BTreeMap<String, K>) -> Verdict,
) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let mut found: BTreeMap<String, K> = BTreeMap::new();
    let mut missing = "the API server does not answer".to_owned();
    let watching = async {
        let mut events = std::pin::pin!(watcher(api, config).backoff(Soon));
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => found.clear(),
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    found.insert(object.meta().name.clone().unwrap_or_default(), object);
                }
                Ok(watcher::Event::Delete(object)) => {
                    found.remove(object.meta().name.as_deref().unwrap_or_default());
                }
                Ok(watcher::Event::InitDone) => {}
                Err(error) => {
                    missing = format!(
                        "the API server does not answer: {}",
                        crate::error::in_one_line(&error)
                    );
                    continue;
                }
            }
            match condition(&found) {
                Ok(()) => return,
                Err(still) => missing = still,
            }
        }
    };
    match tokio::time::timeout(patience, watching).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::message(format!(
            "the cluster is not ready after {} s: {missing}",
            patience.as_secs()
        ))),
    }
}

/// Makes a service and has every node ask the cluster's DNS for it.
async fn dns_answers(
    client: &Client,
    engine: &Engine,
    spec: &ClusterSpec,
    patience: Patience,
) -> Result<(), Error> {
    let doing = "make a service to ask the cluster's DNS for";
    let services: Api<Service> = Api::namespaced(client.clone(), SYSTEM);
    let probe: Service = serde_json::from_value(serde_json::json!({
        "metadata": { "generateName": "local-cluster-probe-", "labels": { "app.kubernetes.io/managed-by": "local-cluster" } },
        "spec": { "ports": [{ "port": 80 }] },
    }))
    .map_err(|source| Error::other(doing, source))?;
    remove_old_probes(&services).await;
    let made = services
        .create(&PostParams::default(), &probe)
        .await
        .map_err(|source| Error::other(doing, source))?;
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
        spec.nodes
            .iter()
            .map(|node| ask(engine, spec, node, name, &address, patience)),
    )
    .await;
    // Gone with the next check if it cannot be removed now; the answer counts more.
    let _ = services.delete(name, &DeleteParams::default()).await;
    asked.into_iter().collect()
}

/// Removes what a check that was killed has left behind.
async fn remove_old_probes(services: &Api<Service>) {
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
    Patience(patience): Patience,
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
        status: executed.status,
        output_tail: executed.tail(5),
        unit: None,
        journal_tail: Vec::new(),
    })
}

/// Adds what the system's pods that are not well say of themselves.
async fn with_pods(client: &Client, error: Error) -> Error {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let listed =
        tokio::time::timeout(Duration::from_secs(5), pods.list(&ListParams::default())).await;
    let troubles = match listed {
        Ok(Ok(pods)) => pods
            .items
            .iter()
            .filter_map(conditions::trouble)
            .collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    if troubles.is_empty() {
        return error;
    }
    Error::with_hint(
        format!(
            "{}\n{}",
            crate::error::in_one_line(&error),
            troubles.join("\n")
        ),
        "`local-cluster kubectl -n kube-system describe pods` and `... logs POD` tell more; \
         `local-cluster down` and `local-cluster up` make the cluster anew",
    )
}

/// The cluster's nodes, for `status`.
pub async fn list_nodes(client: &Client) -> Result<Vec<Node>, Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let listed = nodes.list(&ListParams::default()).await;
    Ok(listed
        .map_err(|source| Error::other("list the cluster's nodes", source))?
        .items)
}

/// Whether a node says that it is Ready.
pub use conditions::is_ready;
