//! The steps that speak with a cluster's API server about its nodes.

use super::{Making, Work, cluster};
use crate::cluster::{NodeSpec, Role};
use crate::drain;
use crate::engine::Engine;
use crate::error::Error;
use crate::node::access::{self, AGREEING, again};
use crate::node::files::Etcd;
use crate::node::phases::watching;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The taints that keep ordinary pods off a master; the second until Kubernetes 1.24.
const MASTER_TAINTS: [&str; 2] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
];

/// The script that speaks with etcd of its members.
const ETCD_MEMBER: &str = "/usr/local/lib/local-cluster/etcd-member";

async fn client(work: &Work<'_>, making: &Making<'_>) -> Result<Client, Error> {
    access::answering(work.engine, &making.way, work.cancel).await
}

/// Gives CoreDNS two replicas, if it has the one that the phase `coredns` has given it on a master without workers.
pub(super) async fn scale_dns(work: &Work<'_>, making: &Making<'_>) -> Result<(), Error> {
    let refused = |source| Error::other("give CoreDNS a second replica", source);
    let deployments: Api<Deployment> = Api::namespaced(client(work, making).await?, "kube-system");
    let found = again(AGREEING, work.cancel, async || {
        deployments.get_opt("coredns").await
    })
    .await;
    let found = found.map_err(refused)?;
    if found.is_some_and(|coredns| has_our_one_replica(&coredns)) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
        let ours = PatchParams {
            field_manager: Some("local-cluster".to_owned()),
            ..PatchParams::default()
        };
        let patched = again(AGREEING, work.cancel, async || {
            deployments.patch("coredns", &ours, &patch).await
        });
        patched.await.map_err(refused)?;
    }
    Ok(())
}

/// Whether the number is 1 and was given by the phase, which applies its manifest; `kubectl scale` and others update.
fn has_our_one_replica(coredns: &Deployment) -> bool {
    let one = coredns.spec.replicas == Some(1);
    let mut managers = coredns.metadata.managed_fields.iter().flatten();
    let applied = managers.any(|manager| {
        let fields = manager.fields_v1.as_ref();
        manager.operation.as_deref() == Some("Apply")
            && fields.is_some_and(|fields| !fields.0["f:spec"]["f:replicas"].is_null())
    });
    one && applied
}

/// Takes away the taint that keeps ordinary pods off a master.
pub(super) async fn untaint(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    let refused = |source| Error::other(format!("let pods run on {}", node.container), source);
    let nodes: Api<Node> = Api::all(client(work, making).await?);
    let untainted = again(AGREEING, work.cancel, async || {
        let found = nodes.get(&node.name).await?;
        let taints = found.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let kept: Vec<_> = taints
            .iter()
            .filter(|taint| !MASTER_TAINTS.contains(&taint.key.as_str()))
            .collect();
        if kept.len() < taints.len() {
            let patch: Patch<Value> = Patch::Merge(json!({
                "metadata": { "resourceVersion": found.metadata.resource_version },
                "spec": { "taints": kept },
            }));
            let params = PatchParams::default();
            nodes.patch(&node.name, &params, &patch).await?;
        }
        Ok(())
    });
    untainted.await.map_err(refused)
}

/// Has the pods of a node go elsewhere.
pub(super) async fn drain(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    let client = client(work, making).await?;
    drain::drain(&client, &node.name, making.drain, work.cancel).await
}

/// What tells the script `phases` that a node is about to leave its cluster.
const MARK_LEAVING: [&str; 2] = ["touch", "/data/local-cluster/leaving"];

/// Removes a node that Kubernetes knows. The volume goes last: as long as it is there the cluster counts the node as its
/// own, so that what was broken off here is found again.
pub(super) async fn retire(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    let refused = |source| Error::other(format!("remove node {}", node.container), source);
    // Not before its kubelet is gone, which would tell of it again.
    if node.role == Role::Master {
        // Its etcd ends for good when the others have let it go. One that is found again after that is to be made anew.
        match work.engine.exec(&node.container, &MARK_LEAVING).await {
            Err(error) if matches!(error.status(), Some(404 | 409)) => {}
            marked => drop(marked.map_err(refused)?),
        }
        // Before its etcd is gone: until then the others need no majority without it.
        leave_etcd(work, making, node).await?;
    }
    match work.engine.halt(&node.container).await {
        Err(error) if error.status() == Some(404) => {}
        halted => halted.map_err(refused)?,
    }
    drain::forget(&client(work, making).await?, &node.name, work.cancel).await?;
    cluster::remove_node(work, node).await
}

/// The addresses of the masters that etcd counts as its own, when the one of this master answers: it is asked what it
/// knows by itself, as there may be too few to agree. Nothing where it does not say: it counts itself at least.
pub async fn known_to_etcd(engine: &Engine, master: &str) -> Option<BTreeSet<Ipv4Addr>> {
    let command = watching(&[ETCD_MEMBER, "known"]);
    let executed = engine.exec(master, &command).await.ok()?;
    let addresses = executed.text();
    let lines = addresses.lines();
    let known: Option<BTreeSet<Ipv4Addr>> = lines.map(|line| line.parse().ok()).collect();
    known.filter(|known| executed.status == 0 && !known.is_empty())
}

/// Makes a master of a cluster that has others. What etcd and Kubernetes know of one that had its name goes first.
pub(super) async fn join_master(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    leave_etcd(work, making, node).await?;
    drain::forget(&client(work, making).await?, &node.name, work.cancel).await?;
    cluster::create_node(work, making, node, &Etcd::Joins).await
}

/// Takes a master's member out of etcd, by way of another master; nothing is done where there is none.
async fn leave_etcd(work: &Work<'_>, making: &Making<'_>, node: &NodeSpec) -> Result<(), Error> {
    let doing = || format!("take {} out of etcd", node.name);
    let address = node.address.to_string();
    let command = [ETCD_MEMBER, "remove", &address];
    let executed = work.engine.exec(&making.way.master, &command).await;
    let executed = executed.map_err(|source| Error::other(doing(), source))?;
    if executed.status == 0 {
        return Ok(());
    }
    let said = executed.tail(3).join("; ");
    Err(Error::message(format!("cannot {}: {said}", doing())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_somebody_else_gave_is_left() {
        let coredns = |replicas: i32, operation: &str, fields: &Value| -> Deployment {
            serde_json::from_value(json!({
                "metadata": { "managedFields": [{ "manager": "kubectl", "operation": operation, "fieldsV1": fields }] },
                "spec": { "replicas": replicas, "selector": {}, "template": {} },
            }))
            .unwrap()
        };
        let replicas = json!({ "f:spec": { "f:replicas": {} } });
        assert!(has_our_one_replica(&coredns(1, "Apply", &replicas)));
        assert!(!has_our_one_replica(&coredns(2, "Apply", &replicas)));
        assert!(!has_our_one_replica(&coredns(1, "Update", &replicas)));
        let others = json!({ "f:spec": { "f:template": {} } });
        assert!(!has_our_one_replica(&coredns(1, "Apply", &others)));
    }
}
