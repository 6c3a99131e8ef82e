//! Has the pods of a node go elsewhere, as `kubectl drain` does: no new ones come, those that are there are evicted, and
//! their ends are waited for.

mod pods;

use crate::error::Error;
use crate::node::access::{AGREEING, again};
use crate::ready::watch::{Watched, until};
use futures_util::future;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::runtime::watcher;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is allowed when a node is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long pods may take to end.
    pub patience: Duration,
    /// Pods that nobody will make again go, too.
    pub force: bool,
}

impl Default for Drain {
    /// Time for pods that use all of their usual 30 s, one after the other if a budget wants it so.
    fn default() -> Self {
        Self {
            patience: Duration::from_mins(2),
            force: false,
        }
    }
}

/// The pods of a node.
fn of(node: &str) -> String {
    format!("spec.nodeName={node}")
}

/// Drains a node. One that Kubernetes does not know has no pods.
pub async fn drain(
    client: &Client,
    node: &str,
    drain: Drain,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let doing = || format!("drain {node}");
    match cordon(client, node, cancel).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        result => result.map_err(|source| Error::other(doing(), source))?,
    }
    let all = Api::<Pod>::all(client.clone());
    let of_node = ListParams::default().fields(&of(node));
    let listed = again(AGREEING, cancel, async || all.list(&of_node).await).await;
    let listed = listed.map_err(|source| Error::other(doing(), source))?;
    let going = pods::going(&listed.items, drain.force).map_err(|unmanaged| {
        Error::with_hint(
            format!(
                "cannot {}: nobody would make these pods again: {}",
                doing(),
                unmanaged.join(", ")
            ),
            "delete them, or give `--force` to lose them with the node",
        )
    })?;
    let end = Instant::now() + drain.patience;
    let ending = async {
        // The drain's own end comes before that of each request, and says why it was too late.
        let patience = drain.patience + AGREEING;
        let evicting = going.iter().map(|pod| evict(client, pod, patience, cancel));
        let evicting = future::try_join_all(evicting);
        match tokio::time::timeout_at(end, evicting).await {
            Ok(result) => result.map_err(|source| Error::other(doing(), source))?,
            Err(_) => {
                return Err(late(
                    node,
                    drain,
                    "a disruption budget does not let all pods go",
                ));
            }
        };
        let left = |found: &Watched<Pod>| pods::left(&going, found);
        let config = watcher::Config::default().fields(&of(node));
        let rest = end.saturating_duration_since(Instant::now());
        let ended = until(all, config, rest, left).await;
        ended.map_err(|missing| late(node, drain, &missing))
    };
    tokio::select! {
        result = ending => result,
        () = cancel.cancelled() => Err(Error::Interrupted { after: String::new() }),
    }
}

/// Says on a Node object that it was us who wants no new pods there: somebody else's wish is theirs to take back.
const CORDONED: &str = "local-cluster/cordoned-to-be-removed";

/// Has a node get no new pods.
async fn cordon(
    client: &Client,
    node: &str,
    cancel: &CancellationToken,
) -> Result<(), kube::Error> {
    let nodes = Api::<Node>::all(client.clone());
    let found = again(AGREEING, cancel, async || nodes.get(node).await).await?;
    if is_cordoned(&found) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({
        "metadata": { "annotations": { CORDONED: "true" } },
        "spec": { "unschedulable": true },
    }));
    let patched = again(AGREEING, cancel, async || {
        nodes.patch(node, &PatchParams::default(), &patch).await
    });
    patched.await.map(|_| ())
}

fn is_cordoned(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.unschedulable) == Some(true)
}

/// Has those of the listed nodes get pods again that are named and whose removal was begun and never came to its end; gives
/// their names.
pub async fn take_back(
    client: &Client,
    listed: &[Node],
    names: &[&str],
    cancel: &CancellationToken,
) -> Result<Vec<String>, Error> {
    let nodes = Api::<Node>::all(client.clone());
    let mut taken_back = Vec::new();
    for node in listed {
        let annotations = node.metadata.annotations.as_ref();
        let ours = annotations.is_some_and(|all| all.contains_key(CORDONED));
        let Some(name) = node
            .metadata
            .name
            .as_deref()
            .filter(|name| ours && names.contains(name))
        else {
            continue;
        };
        let patch = Patch::Merge(json!({
            "metadata": { "annotations": { CORDONED: null } },
            "spec": { "unschedulable": null },
        }));
        let patched = again(AGREEING, cancel, async || {
            nodes.patch(name, &PatchParams::default(), &patch).await
        });
        let doing = || format!("let pods come to {name} again");
        patched
            .await
            .map_err(|source| Error::other(doing(), source))?;
        taken_back.push(name.to_owned());
    }
    Ok(taken_back)
}

fn late(node: &str, drain: Drain, missing: &str) -> Error {
    let patience = humantime::format_duration(drain.patience);
    let more = humantime::format_duration(drain.patience * 5);
    Error::with_hint(
        format!("cannot drain {node} within {patience}: {missing}"),
        format!(
            "give it more time with `node remove {node} --timeout '{more}'`, or stop its container first: a node that does \
             not run is not drained; `up` and `kubectl uncordon {node}` let pods come back"
        ),
    )
}

/// Asks for a pod's eviction until it is granted: a disruption budget may refuse it for now.
async fn evict(
    client: &Client,
    pod: &pods::Going,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
    // Not by `Api::evict`: it writes `delete_options`, which the API server takes for a field that it does not know.
    let this = json!({
        "metadata": { "name": pod.name },
        "deleteOptions": only(pod.uid.clone(), DeleteParams::default()),
    });
    let how = PostParams::default();
    let evicted = again(patience, cancel, async || {
        let asked = pods.create_subresource::<_, Status>("eviction", &pod.name, &how, &this);
        asked.await
    });
    gone_is_fine(evicted.await)
}

/// Means the object with this uid: of an answer that was lost nobody knows whether another has its name by now.
fn only(uid: String, how: DeleteParams) -> DeleteParams {
    let preconditions = Preconditions {
        uid: Some(uid),
        resource_version: None,
    };
    how.preconditions(preconditions)
}

/// It is gone already, or has made room for another of its name.
fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        result => result.map(|_| ()),
    }
}

/// Takes out of the API what is left of a node whose container is gone: the node, and pods that nobody can end.
pub async fn forget(client: &Client, node: &str, cancel: &CancellationToken) -> Result<(), Error> {
    let doing = |source| Error::other(format!("have the API server forget {node}"), source);
    let (nodes, all) = (
        Api::<Node>::all(client.clone()),
        Api::<Pod>::all(client.clone()),
    );
    let how = DeleteParams::default();
    let deleted = again(AGREEING, cancel, async || nodes.delete(node, &how).await);
    gone_is_fine(deleted.await).map_err(doing)?;
    let of_node = ListParams::default().fields(&of(node));
    let listed = again(AGREEING, cancel, async || all.list_metadata(&of_node).await).await;
    let listed = listed.map_err(doing)?;
    let pods = listed.items.into_iter().filter_map(|pod| {
        let metadata = pod.metadata;
        let (name, namespace) = (metadata.name?, metadata.namespace?);
        let now = only(metadata.uid?, DeleteParams::default().grace_period(0));
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        Some(async move {
            let deleted = again(AGREEING, cancel, async || pods.delete(&name, &now).await);
            gone_is_fine(deleted.await)
        })
    });
    future::try_join_all(pods).await.map_err(doing)?;
    Ok(())
}
