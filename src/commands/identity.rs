//! Which cluster a command is about.

use crate::cluster::{ClusterId, Names, label_fault};
use crate::engine::{Engine, EngineError, Found, Network, label};
use crate::error::Error;
use crate::inventory::is_load_balancer;
use crate::plan;
use std::collections::BTreeMap;

/// The cluster that a command is about.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) id: u8,
    /// The id was chosen just now, for a label that has none: until there is a network, others may choose the same.
    pub(super) chosen: bool,
    pub(super) label: Option<String>,
    pub(super) names: Names,
}

impl Identity {
    /// The cluster with this id or label, where these have ids already.
    pub(super) fn among(
        ids: &BTreeMap<String, u8>,
        id: Option<u8>,
        label: Option<String>,
    ) -> Result<Self, Error> {
        let label = label.or_else(|| label_of(ids, id?));
        let (id, chosen) = match (id, &label) {
            (Some(id), _) => (id, false),
            (None, None) => (0, false),
            (None, Some(label)) => {
                let name = Names::new(ClusterId::new(0), Some(label)).context();
                match ids.get(&name) {
                    Some(id) => (*id, false),
                    None => lowest_free(ids)
                        .map(|id| (id, true))
                        .ok_or_else(|| Error::message("all 256 cluster ids are taken"))?,
                }
            }
        };
        let names = Names::new(ClusterId::new(id), label.as_deref());
        Ok(Self {
            id,
            chosen,
            label,
            names,
        })
    }

    /// The flag that names this cluster, with a blank before it; nothing for the default one.
    pub(super) fn flag(&self) -> &str {
        self.names.flag()
    }

    /// What is told where there is nothing of this cluster.
    pub(super) fn absent(&self) -> Error {
        Error::with_hint(
            format!("there is no cluster `{}`", self.names.context()),
            format!("make it with `local-cluster{} up`", self.flag()),
        )
    }

    /// The container of the node with this name in Kubernetes, or with this name itself.
    pub(super) fn node<'a>(&self, containers: &'a [Found], node: &str) -> Result<&'a Found, Error> {
        if containers.is_empty() {
            return Err(self.absent());
        }
        let name = |container: &'a Found| container.labels.get(label::NODE).map(String::as_str);
        let found = containers
            .iter()
            .find(|container| container.name == node || name(container) == Some(node));
        found.ok_or_else(|| {
            let names: Vec<&str> = containers.iter().filter_map(name).collect();
            Error::with_hint(
                format!("there is no node `{node}`"),
                format!("its nodes are {}", names.join(", ")),
            )
        })
    }

    /// The label by which everything of this cluster is found.
    pub(super) fn selector(&self) -> String {
        format!("{}={}", label::CLUSTER, self.names.context())
    }

    /// This cluster's containers.
    pub(super) async fn containers(&self, engine: &Engine) -> Result<Vec<Found>, Error> {
        let found = engine.containers(&self.selector()).await;
        let mut found = found.map_err(|source| self.not_found(source))?;
        // They stand in for those that have their names now.
        found.retain(|container| !plan::snapshot::is_aside(&container.name));
        Ok(found)
    }

    /// Those of them that are nodes: the load balancer before several masters is none.
    pub(super) async fn nodes(&self, engine: &Engine) -> Result<Vec<Found>, Error> {
        let mut found = self.containers(engine).await?;
        found.retain(|container| !is_load_balancer(container));
        Ok(found)
    }

    /// The engine could not be asked about this cluster.
    pub(super) fn not_found(&self, source: EngineError) -> Error {
        Error::other(format!("look for cluster {}", self.names.context()), source)
    }
}

/// The ids of all clusters of which a network or a volume is there: one that is down may have snapshots, whose
/// addresses follow from its id.
pub(super) async fn ids(
    engine: &Engine,
    networks: &[Network],
) -> Result<BTreeMap<String, u8>, Error> {
    let volumes = engine.volumes(label::CLUSTER).await;
    let volumes = volumes.map_err(|source| Error::other("look for clusters", source))?;
    let of_networks = networks.iter().map(|network| &network.labels);
    let labels = of_networks.chain(volumes.iter().map(|volume| &volume.labels));
    Ok(labels.filter_map(id).collect())
}

/// A cluster and its id, by the labels of something of it.
fn id(labels: &BTreeMap<String, String>) -> Option<(String, u8)> {
    let id = labels.get(label::ID)?.parse().ok()?;
    Some((labels.get(label::CLUSTER)?.clone(), id))
}

/// The label of the cluster that has this id; none where it has none, or nothing has the id.
fn label_of(ids: &BTreeMap<String, u8>, id: u8) -> Option<String> {
    let unlabelled = Names::new(ClusterId::new(id), None).context();
    if ids.contains_key(&unlabelled) {
        return None;
    }
    let (context, _) = ids.iter().find(|(_, other)| **other == id)?;
    let default = Names::new(ClusterId::new(0), None).context();
    let label = context.strip_prefix(&format!("{default}-"))?;
    label_fault(label).is_none().then(|| label.to_owned())
}

/// Cluster 0 is the default one's, whether it is there or not.
fn lowest_free(ids: &BTreeMap<String, u8>) -> Option<u8> {
    (1..=u8::MAX).find(|candidate| !ids.values().any(|id| id == candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_means_the_cluster_that_has_it() {
        let ids = |all: &[(&str, u8)]| -> BTreeMap<String, u8> {
            let all = all.iter().map(|(name, id)| ((*name).to_owned(), *id));
            all.collect()
        };
        let meant = |all: &[(&str, u8)], id| {
            let identity = Identity::among(&ids(all), Some(id), None).unwrap();
            identity.names.context()
        };
        assert_eq!(meant(&[], 7), "local-cluster-7");
        assert_eq!(meant(&[("local-cluster-dev", 7)], 7), "local-cluster-dev");
        assert_eq!(meant(&[("local-cluster-dev", 7)], 8), "local-cluster-8");
        let both = [("local-cluster-dev", 7), ("local-cluster-7", 7)];
        assert_eq!(meant(&both, 7), "local-cluster-7");
        // No name of ours: somebody has set labels by hand.
        assert_eq!(
            meant(&[("other", 7), ("local-cluster-A", 7)], 7),
            "local-cluster-7"
        );
    }

    #[test]
    fn a_label_takes_the_lowest_id_that_is_free() {
        let labels = |cluster: &str, id: &str| {
            [(label::CLUSTER, cluster), (label::ID, id)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        let found = [
            labels("local-cluster-dev", "2"),
            labels("local-cluster", "0"),
            labels("local-cluster-1", "1"),
            labels("local-cluster-odd", "many"),
        ];
        let ids: BTreeMap<String, u8> = found.iter().filter_map(id).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(lowest_free(&ids), Some(3));
        assert_eq!(lowest_free(&BTreeMap::new()), Some(1));
    }
}
