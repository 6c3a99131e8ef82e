//! The pod ranges in the API: what each node's CNI configuration has, told to those who ask the Node objects.
//!
//! The controller manager allocates none: joins that run side by side would get them in any order.

use crate::cluster::ClusterSpec;
use crate::error::Error;
use crate::node::access::{AGREEING, again};
use futures_util::future;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Sets `spec.podCIDRs` of each of the listed nodes that has none yet. It cannot be changed later.
pub async fn assign(
    client: &Client,
    listed: &[Node],
    spec: &ClusterSpec,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let without = listed.iter().filter(|node| {
        node.spec
            .as_ref()
            .is_none_or(|spec| spec.pod_cidr.is_none())
    });
    let wanted = without.filter_map(|node| {
        let name = node.metadata.name.as_deref()?;
        Some((
            name,
            spec.nodes
                .iter()
                .find(|node| node.name == name)?
                .pod_subnet
                .to_string(),
        ))
    });
    let patches = wanted.map(|(name, range)| {
        let patch = Patch::Merge(json!({ "spec": { "podCIDR": range, "podCIDRs": [range] } }));
        let nodes = &nodes;
        async move {
            let patched = again(AGREEING, cancel, async || {
                nodes.patch(name, &PatchParams::default(), &patch).await
            });
            patched.await.map(|_| ())
        }
    });
    let done = future::try_join_all(patches).await;
    done.map(|_| ())
        .map_err(|source| Error::other("tell the API server the nodes' pod ranges", source))
}
