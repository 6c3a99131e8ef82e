//! `list`: every cluster of the engine, and whatever was left of one.

use super::print;
use super::session::Session;
use super::table::table;
use crate::cli::Output;
use crate::cluster::API_SERVER_PORT;
use crate::engine::{Engine, Published, label};
use crate::error::Error;
use crate::inventory::{self, Inventory};
use crate::plan;
use futures_util::future;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `list`.
pub(super) async fn run(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let found = future::try_join3(
        engine.networks(),
        engine.containers(label::CLUSTER),
        engine.volumes(label::CLUSTER),
    );
    let (networks, containers, volumes) = found
        .await
        .map_err(|source| Error::other("look for clusters", source))?;
    let mut containers = containers;
    // They stand in for those that have their names now.
    containers.retain(|container| !plan::snapshot::is_aside(&container.name));
    let clusters = inventory::clusters(&networks, containers, &volumes);
    let published =
        future::join_all(clusters.values().map(|cluster| published(&engine, cluster))).await;
    print(&match session.output {
        Output::Json => as_json(&clusters, &published).to_string(),
        Output::Text => as_text(&clusters, &published),
    })
}

/// Where a cluster's API server is. A master that is just being removed publishes nothing.
async fn published(engine: &Engine, cluster: &Inventory) -> Option<Published> {
    let way = cluster.way()?;
    engine
        .published(&way.publisher, API_SERVER_PORT)
        .await
        .ok()
        .flatten()
}

fn as_json(clusters: &BTreeMap<String, Inventory>, published: &[Option<Published>]) -> Value {
    let rows = clusters
        .iter()
        .zip(published)
        .map(|((name, cluster), published)| {
            json!({
                "cluster": name,
                "id": cluster.id,
                "kubernetesVersion": cluster.version(),
                "state": cluster.state().as_str(),
                "missing": cluster.state().missing(),
                "nodes": cluster.counts(),
                "network": cluster.network,
                "hostSubnet": cluster.ranges().map(|ranges| ranges.host),
                "nodeSubnet": cluster.ranges().map(|ranges| ranges.nodes),
                "volumes": cluster.volumes,
                "snapshots": cluster.snapshots,
                "apiServerAddress": published.map(|published| published.address.to_string()),
                "apiServerPort": published.map(|published| published.port),
            })
        });
    json!({ "clusters": rows.collect::<Vec<_>>() })
}

fn as_text(clusters: &BTreeMap<String, Inventory>, published: &[Option<Published>]) -> String {
    if clusters.is_empty() {
        return "there is no cluster\n".to_owned();
    }
    let unknown = || "-".to_owned();
    let headings = [
        "CLUSTER",
        "ID",
        "KUBERNETES",
        "NODES",
        "STATE",
        "SNAPSHOTS",
        "API SERVER",
    ];
    let rows = clusters
        .iter()
        .zip(published)
        .map(|((name, cluster), published)| {
            let nodes: Vec<String> = cluster
                .counts()
                .iter()
                .map(|(state, count)| format!("{count} {state}"))
                .collect();
            vec![
                name.clone(),
                cluster.id.map_or_else(unknown, |id| id.to_string()),
                cluster.version().unwrap_or_else(unknown),
                if nodes.is_empty() {
                    unknown()
                } else {
                    nodes.join(", ")
                },
                cluster.state().to_string(),
                cluster.snapshots.to_string(),
                published.map_or_else(unknown, |published| format!("https://{published}")),
            ]
        });
    table(&headings, &rows.collect::<Vec<_>>())
}
