//! Networks, volumes, containers and images as they are found again: by label.

use super::error::{Doing, absent_is_fine};
use super::{Engine, EngineError, label};
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
    RemoveVolumeOptions,
};
use ipnetwork::Ipv4Network;
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::Ipv4Addr;

/// An object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Name (of an image: its tag).
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Of a container: what it is doing.
    pub state: State,
    /// Of a container: its image as it was named.
    pub image: String,
    /// Of a container: the volumes that it mounts.
    pub volumes: Vec<String>,
}

impl Found {
    /// Of a node: the volumes that are its own. The preloaded images are everybody's.
    pub fn own_volumes(&self) -> impl Iterator<Item = &String> {
        let shared = self.labels.get(super::label::PRELOAD_USED);
        self.volumes
            .iter()
            .filter(move |volume| Some(*volume) != shared)
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Made, and never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended, with this status.
    Exited(i64),
    /// Anything else: restarting, being removed, or no container at all.
    #[default]
    Other,
}

/// A Docker network with its address range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its IPv4 ranges.
    pub subnets: Vec<Ipv4Network>,
    /// How large its packets may be, where it was made with a size of its own.
    pub mtu: Option<u16>,
}

/// Where a container's port is published, as a client on the engine's host writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// An address at which it answers.
    pub address: Ipv4Addr,
    /// The port of the engine's host.
    pub port: u16,
}

impl fmt::Display for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.address, self.port)
    }
}

/// The network's option for the size of its packets.
const MTU: &str = "com.docker.network.driver.mtu";

fn by_label(label: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![label.to_owned()])])
}

fn sorted(labels: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    labels.unwrap_or_default().into_iter().collect()
}

/// Docker says how a container ended only in words: `Exited (0) 2 minutes ago`.
fn exit_status(words: &str) -> i64 {
    words
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(-1)
}

impl Engine {
    /// All containers with this label (`name` or `name=value`), running or not.
    pub async fn containers(&self, label: &str) -> Result<Vec<Found>, EngineError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(by_label(label)),
            ..ListContainersOptions::default()
        };
        let found = self
            .docker
            .list_containers(Some(options))
            .await
            .doing(|| "list containers".to_owned())?;
        let mut containers: Vec<Found> = found
            .into_iter()
            .map(|container| {
                let words = container.status.unwrap_or_default();
                let state = match container.state.map(|state| state.to_string()).as_deref() {
                    Some("created") => State::Created,
                    Some("running") => State::Running,
                    Some("paused") => State::Paused,
                    Some("exited" | "dead") => State::Exited(exit_status(&words)),
                    _ => State::Other,
                };
                Found {
                    name: container
                        .names
                        .and_then(|names| names.into_iter().next())
                        .unwrap_or_default()
                        .trim_start_matches('/')
                        .to_owned(),
                    labels: sorted(container.labels),
                    state,
                    image: container.image.unwrap_or_default(),
                    volumes: container
                        .mounts
                        .unwrap_or_default()
                        .into_iter()
                        .filter_map(|mount| mount.name)
                        .collect(),
                }
            })
            .collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    /// Where on the engine's host a port of a container is to be published, started or not.
    pub async fn published(
        &self,
        container: &str,
        port: u16,
    ) -> Result<Option<Published>, EngineError> {
        let inspected = self
            .docker
            .inspect_container(container, None)
            .await
            .doing(|| format!("inspect container {container}"))?;
        let bindings = inspected
            .host_config
            .and_then(|host| host.port_bindings)
            .unwrap_or_default();
        let binding = bindings
            .get(&format!("{port}/tcp"))
            .and_then(|bindings| bindings.as_ref()?.first());
        Ok(binding.and_then(|binding| {
            let address = binding
                .host_ip
                .as_ref()
                .and_then(|address| address.parse().ok());
            Some(Published {
                // All addresses of the host: this one is among them.
                address: address
                    .filter(|address: &Ipv4Addr| !address.is_unspecified())
                    .unwrap_or(Ipv4Addr::LOCALHOST),
                port: binding.host_port.as_ref()?.parse().ok()?,
            })
        }))
    }

    /// When a container was last started; none where it never was.
    pub async fn started(&self, container: &str) -> Result<Option<Timestamp>, EngineError> {
        let inspected = self
            .docker
            .inspect_container(container, None)
            .await
            .doing(|| format!("inspect container {container}"))?;
        let started = inspected.state.and_then(|state| state.started_at);
        // Docker writes the year 1 where it was never started.
        Ok(started
            .and_then(|text| text.parse().ok())
            .filter(|at: &Timestamp| *at > Timestamp::UNIX_EPOCH))
    }

    /// All volumes with this label.
    pub async fn volumes(&self, label: &str) -> Result<Vec<Found>, EngineError> {
        let options = ListVolumesOptions {
            filters: Some(by_label(label)),
        };
        let found = self
            .docker
            .list_volumes(Some(options))
            .await
            .doing(|| "list volumes".to_owned())?;
        let found = found.volumes.unwrap_or_default().into_iter();
        Ok(found
            .map(|volume| plain(volume.name, volume.labels.into_iter().collect()))
            .collect())
    }

    /// Makes a volume; one that is there already is fine. But where it is to be a cluster's, somebody else's is not: the
    /// engine would give that without a word, with what is in it. Caches have names that are ours alone, and Docker makes
    /// one without labels where a job is the first to mount it.
    pub async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let body = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        let volume = self.docker.create_volume(body).await;
        let volume = volume.doing(|| format!("create volume {name}"))?;
        let of_cluster = labels.contains_key(label::CLUSTER);
        if of_cluster && !volume.labels.keys().any(|key| key.starts_with(label::OURS)) {
            return Err(EngineError::ForeignVolume(name.to_owned()));
        }
        Ok(())
    }

    /// Removes a volume; one that is not there is fine.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let removed = self
            .docker
            .remove_volume(name, Some(RemoveVolumeOptions::default()))
            .await;
        absent_is_fine(removed.doing(|| format!("remove volume {name}")))
    }

    /// All networks with their ranges, ours and others'.
    pub async fn networks(&self) -> Result<Vec<Network>, EngineError> {
        let found = self
            .docker
            .list_networks(None::<ListNetworksOptions>)
            .await
            .doing(|| "list networks".to_owned())?;
        Ok(found
            .into_iter()
            .map(|network| Network {
                mtu: network
                    .options
                    .as_ref()
                    .and_then(|options| options.get(MTU)?.parse().ok()),
                name: network.name.unwrap_or_default(),
                labels: sorted(network.labels),
                subnets: network
                    .ipam
                    .and_then(|ipam| ipam.config)
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|config| config.subnet?.parse().ok())
                    .collect(),
            })
            .collect())
    }

    /// Makes a cluster's network. Docker's own choice of addresses is kept to `ip_range`; without `mtu` it is Docker's.
    pub async fn create_network(
        &self,
        name: &str,
        subnet: Ipv4Network,
        gateway: Ipv4Addr,
        ip_range: Ipv4Network,
        mtu: Option<u16>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let config = IpamConfig {
            subnet: Some(subnet.to_string()),
            ip_range: Some(ip_range.to_string()),
            gateway: Some(gateway.to_string()),
            ..IpamConfig::default()
        };
        let body = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            options: mtu.map(|mtu| HashMap::from([(MTU.to_owned(), mtu.to_string())])),
            ipam: Some(Ipam {
                config: Some(vec![config]),
                ..Ipam::default()
            }),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        self.docker
            .create_network(body)
            .await
            .doing(|| format!("create network {name} with {subnet}"))?;
        Ok(())
    }

    /// Removes a network; one that is not there is fine.
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let removed = self.docker.remove_network(name).await;
        absent_is_fine(removed.doing(|| format!("remove network {name}")))
    }

    /// All images whose tag matches a pattern (`local-cluster/*`), an entry for each tag.
    pub async fn images(&self, pattern: &str) -> Result<Vec<Found>, EngineError> {
        let filters = Some(HashMap::from([(
            "reference".to_owned(),
            vec![pattern.to_owned()],
        )]));
        let options = ListImagesOptions {
            filters,
            ..ListImagesOptions::default()
        };
        let found = self
            .docker
            .list_images(Some(options))
            .await
            .doing(|| "list images".to_owned())?;
        Ok(found
            .into_iter()
            .flat_map(|image| {
                let labels: BTreeMap<_, _> = image.labels.into_iter().collect();
                image
                    .repo_tags
                    .into_iter()
                    .map(move |tag| plain(tag, labels.clone()))
            })
            .collect())
    }
}

fn plain(name: String, labels: BTreeMap<String, String>) -> Found {
    Found {
        name,
        labels,
        state: State::Other,
        image: String::new(),
        volumes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_is_read_from_dockers_words() {
        for (words, status) in [
            ("Exited (0) 2 minutes ago", 0),
            ("Exited (137) Less than a second ago", 137),
            ("Dead", -1),
            ("", -1),
        ] {
            assert_eq!(exit_status(words), status, "{words}");
        }
    }
}

#[cfg(test)]
mod properties;
