//! Containers: what a node is to Docker, and the verbs on it.

use super::error::{Doing, absent_is_fine};
use super::{Engine, EngineError, Rights};
use bollard::errors::Error as BollardError;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigCgroupnsModeEnum, Mount as DockerMount, MountType, MountVolumeOptions,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, RemoveContainerOptions,
    RenameContainerOptions, StartContainerOptions, StopContainerOptions, UploadToContainerOptions,
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// After so many seconds Docker kills a node that was to stop: beyond all that the node gives itself for it.
const STOP_TIMEOUT: i64 = 30;

/// So long the removal of a container may take that somebody else has asked for.
const REMOVAL: Duration = Duration::from_mins(1);

/// How often it is tried to freeze a container.
const FREEZE_ATTEMPTS: u32 = 10;

/// A volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The volume's name.
    pub volume: String,
    /// Where it appears in the container.
    pub target: String,
    /// Nothing in the container may change it.
    pub read_only: bool,
}

/// A port of the node on the engine's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The address of the engine's host.
    pub address: Ipv4Addr,
    /// The port of the engine's host. Always fixed: Docker draws another at each start where it is left open.
    pub port: u16,
    /// The port in the container.
    pub container_port: u16,
}

/// A node as the engine sees it.
#[derive(Clone, Debug)]
pub struct NodeContainer {
    /// The container's name.
    pub name: String,
    /// Hostname, and alias on the network: the Kubernetes node name, the same in every cluster.
    pub hostname: String,
    /// The node image.
    pub image: String,
    /// Labels by which the container is found.
    pub labels: BTreeMap<String, String>,
    /// The cluster's network.
    pub network: String,
    /// The node's address for life.
    pub address: Ipv4Addr,
    /// Volumes.
    pub mounts: Vec<Mount>,
    /// The API server's port, on a master.
    pub publish: Option<Publish>,
    /// Its weight where containers contend for the processors; the engine gives each 1024.
    pub cpu_shares: Option<i64>,
    /// Environment, proxies above all.
    pub environment: Vec<String>,
    /// What the engine can give it; none is what any container has.
    pub rights: Option<Rights>,
    /// What runs in it in place of a node's init.
    pub program: Option<Program>,
}

/// A program that is all that runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The command.
    pub command: Vec<String>,
    /// The signal on which it ends. The first process of a container ignores what it has no handler for.
    pub stop_signal: &'static str,
    /// Settings of the kernel for its network alone, by name.
    pub sysctls: &'static [(&'static str, &'static str)],
}

impl NodeContainer {
    /// The request that makes this container.
    pub(super) fn body(&self) -> ContainerCreateBody {
        let mut host = HostConfig {
            mounts: Some(self.mounts.iter().map(docker_mount).collect()),
            network_mode: Some(self.network.clone()),
            port_bindings: self.publish.map(|publish| {
                let binding = PortBinding {
                    host_ip: Some(publish.address.to_string()),
                    host_port: Some(publish.port.to_string()),
                };
                HashMap::from([(
                    format!("{}/tcp", publish.container_port),
                    Some(vec![binding]),
                )])
            }),
            // The engine's restart and the host's bring the cluster back without the tool.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            tmpfs: Some(HashMap::from([
                ("/run".to_owned(), "exec,mode=755".to_owned()),
                ("/tmp".to_owned(), "exec".to_owned()),
            ])),
            // The same paths on cgroup v1 and v2; and no "init", which would take PID 1 from systemd.
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            init: Some(false),
            cpu_shares: self.cpu_shares,
            ..HostConfig::default()
        };
        if let Some(rights) = &self.rights {
            rights.apply(&mut host);
        }
        let program = self.program.as_ref();
        host.sysctls = program.map(|program| {
            let pairs = program.sysctls.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        });
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(self.address.to_string()),
                ..EndpointIpamConfig::default()
            }),
            aliases: Some(vec![self.hostname.clone()]),
            ..EndpointSettings::default()
        };
        ContainerCreateBody {
            hostname: Some(self.hostname.clone()),
            image: Some(self.image.clone()),
            labels: Some(self.labels.clone().into_iter().collect()),
            env: Some(self.environment.clone()),
            exposed_ports: self
                .publish
                .map(|publish| vec![format!("{}/tcp", publish.container_port)]),
            stop_timeout: Some(STOP_TIMEOUT),
            // The image's own is what systemd understands.
            stop_signal: program.map(|program| program.stop_signal.to_owned()),
            entrypoint: program.map(|program| program.command.clone()),
            host_config: Some(host),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// A container that does nothing, with these rights: for trying them.
    pub(super) fn throw_away(image: &str, rights: &Rights) -> ContainerCreateBody {
        let mut host = HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        };
        rights.apply(&mut host);
        ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/bin/true".to_owned()]),
            labels: Some(HashMap::from([(
                super::label::JOB.to_owned(),
                "rights".to_owned(),
            )])),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }
}

pub(super) fn docker_mount(mount: &Mount) -> DockerMount {
    DockerMount {
        target: Some(mount.target.clone()),
        source: Some(mount.volume.clone()),
        typ: Some(MountType::VOLUME),
        read_only: Some(mount.read_only),
        // Docker would copy what the image has at that path into a new volume.
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            ..MountVolumeOptions::default()
        }),
        ..DockerMount::default()
    }
}

impl Engine {
    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<(), EngineError> {
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        self.docker
            .create_container(Some(options), body)
            .await
            .doing(|| format!("create container {name}"))?;
        Ok(())
    }

    /// Creates a node's container. It does not run yet.
    pub async fn create_node(&self, node: &NodeContainer) -> Result<(), EngineError> {
        self.create(&node.name, node.body()).await
    }

    /// Starts a container; one that runs already is fine.
    pub async fn start(&self, name: &str) -> Result<(), EngineError> {
        self.docker
            .start_container(name, None::<StartContainerOptions>)
            .await
            .doing(|| format!("start container {name}"))
    }

    /// Stops a container in its own way, which has an end of its own; one that does not run is fine.
    pub async fn stop(&self, name: &str) -> Result<(), EngineError> {
        self.patient()
            .stop_container(name, None::<StopContainerOptions>)
            .await
            .doing(|| format!("stop container {name}"))
    }

    /// Stops a container at once: what it has written is there, as after a power cut without the loss of what was not synced.
    pub async fn halt(&self, name: &str) -> Result<(), EngineError> {
        let options = StopContainerOptions {
            t: Some(0),
            ..StopContainerOptions::default()
        };
        self.patient()
            .stop_container(name, Some(options))
            .await
            .doing(|| format!("stop container {name}"))
    }

    /// Freezes all processes of a container. With cgroup v1 a kernel that has much to do may not bring all of them to a
    /// halt in the time that runc waits, which then thaws them and says `unable to freeze`: it is tried again.
    pub async fn pause(&self, name: &str) -> Result<(), EngineError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.docker.pause_container(name).await {
                Err(BollardError::DockerResponseServerError { message, .. })
                    if message.contains("unable to freeze") && attempts < FREEZE_ATTEMPTS => {}
                paused => return paused.doing(|| format!("pause container {name}")),
            }
        }
    }

    /// Gives a container another name, whatever it is doing.
    pub async fn rename(&self, name: &str, other: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptions {
            name: other.to_owned(),
        };
        self.docker
            .rename_container(name, options)
            .await
            .doing(|| format!("rename container {name} to {other}"))
    }

    /// Thaws a paused container.
    pub async fn unpause(&self, name: &str) -> Result<(), EngineError> {
        self.docker
            .unpause_container(name)
            .await
            .doing(|| format!("unpause container {name}"))
    }

    /// Removes a container, running or not, with its anonymous volumes; one that is not there is fine.
    pub async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        let deadline = Instant::now() + REMOVAL;
        loop {
            let removed = self.docker.remove_container(name, Some(options.clone()));
            match removed.await {
                // What a run that was killed has asked for goes on without it.
                Err(BollardError::DockerResponseServerError {
                    status_code: 409,
                    message,
                }) if message.contains("already in progress") && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                removed => {
                    return absent_is_fine(removed.doing(|| format!("remove container {name}")));
                }
            }
        }
    }

    /// Unpacks a tar archive below `/` of a container that need not run.
    ///
    /// Only before the first start: what lies under a tmpfs or a mount made inside would be missed in silence.
    pub async fn upload(&self, name: &str, archive: Vec<u8>) -> Result<(), EngineError> {
        let options = UploadToContainerOptions {
            path: "/".to_owned(),
            ..UploadToContainerOptions::default()
        };
        self.patient()
            .upload_to_container(name, Some(options), bollard::body_full(archive.into()))
            .await
            .doing(|| format!("write files into container {name}"))
    }

    /// Unpacks a tar archive that comes as a stream below `/` of a container.
    pub async fn upload_stream(
        &self,
        name: &str,
        archive: impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptions {
            path: "/".to_owned(),
            ..UploadToContainerOptions::default()
        };
        self.patient()
            .upload_to_container(name, Some(options), bollard::body_try_stream(archive))
            .await
            .doing(|| format!("write files into container {name}"))
    }

    /// One file of a container that need not run; none where it does not exist.
    pub async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let action = || format!("read {path} of container {name}");
        let options = DownloadFromContainerOptions {
            path: path.to_owned(),
        };
        let archive: Result<Vec<Bytes>, _> = self
            .docker
            .download_from_container(name, Some(options))
            .try_collect()
            .await;
        let archive = match archive.doing(action) {
            Err(error)
                if error.status() == Some(404)
                    && !error.message().contains("No such container") =>
            {
                return Ok(None);
            }
            other => other?.concat(),
        };
        let unreadable = |source: std::io::Error| EngineError::Ours {
            action: action(),
            source,
        };
        let mut archive = tar::Archive::new(archive.as_slice());
        let Some(entry) = archive.entries().map_err(unreadable)?.next() else {
            return Ok(None);
        };
        let mut content = Vec::new();
        entry
            .map_err(unreadable)?
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests;
