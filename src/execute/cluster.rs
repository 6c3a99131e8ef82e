//! The cluster's steps.

use super::{Making, Work, cluster_labels};
use crate::cluster::network::CLONE_MTU;
use crate::cluster::{API_SERVER_PORT, LoadBalancer, NodeSpec, Role};
use crate::engine::{EngineError, Mount, NodeContainer, Program, Publish, label};
use crate::error::Error;
use crate::image::context::archive;
use crate::inventory::LOAD_BALANCER_ROLE;
use crate::kubernetes::HostFacts;
use crate::node::files::Etcd;
use crate::node::{balancer, files, phases};
use crate::pki::{self, KubeletRequest, PkiFile};
use crate::report::Event;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

pub(super) async fn create_network(work: &Work<'_>, making: &Making<'_>) -> Result<(), Error> {
    let network = &making.spec.network;
    let labels = cluster_labels(making.spec);
    work.engine
        .create_network(
            &network.name,
            network.subnet,
            network.gateway,
            network.ip_range,
            network.is_clone().then_some(CLONE_MTU),
            &labels,
        )
        .await
        .map_err(|source| {
            Error::other(
                format!(
                    "make the network of cluster {}",
                    making.spec.names.context()
                ),
                source,
            )
        })
}

pub(super) async fn create_volume(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    let labels = cluster_labels(making.spec);
    let made = work.engine.create_volume(&node.volume, &labels).await;
    made.map_err(|source| Error::other(format!("make the volume of {}", node.container), source))
}

pub(super) async fn remove_node(work: &Work<'_>, node: &NodeSpec) -> Result<(), Error> {
    let refused = |source| Error::other(format!("remove node {}", node.container), source);
    work.engine
        .remove_container(&node.container)
        .await
        .map_err(refused)?;
    work.engine
        .remove_volume(&node.volume)
        .await
        .map_err(refused)
}

pub(super) async fn create_node(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
    etcd: &Etcd,
) -> Result<(), Error> {
    let pki = match node.role {
        Role::Master => making.masters.get(&node.name).cloned().ok_or_else(|| {
            Error::message(format!("there are no certificates for {}", node.name))
        })?,
        Role::Worker => worker_pki(making, node)?,
    };
    let host = HostFacts {
        cgroup_v1: work.facts.cgroup_v1,
        sys_resource: making.rights.has("SYS_RESOURCE"),
    };
    let files = files::files(making.spec, node, etcd, host, &pki, work.proxies);
    create_volume(work, making, node).await?;
    start_node(work, making, node, archive(&files)).await
}

/// Makes the container of a node whose volume is there. The API server is published by the master that has no load
/// balancer before it.
async fn start_node(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
    files: Vec<u8>,
) -> Result<(), Error> {
    let container = container(work, making, node);
    let publishes = node.role == Role::Master && making.spec.load_balancer.is_none();
    start_new(work, making, container, publishes, files).await
}

/// What runs in the load balancer.
const LOAD_BALANCER: &str = "/usr/local/lib/local-cluster/load-balancer";

/// The load balancer has no volume: what it is, its one file says, which is in its own layer.
pub(super) async fn create_load_balancer(
    work: &Work<'_>,
    making: &Making<'_>,
    balancer: &LoadBalancer,
) -> Result<(), Error> {
    let name = &balancer.container;
    // Where it never ran, its file may not be whole.
    work.engine
        .remove_container(name)
        .await
        .map_err(|source| Error::other(format!("replace {name}"), source))?;
    let is_clone = making.spec.network.is_clone();
    let container = NodeContainer {
        name: name.clone(),
        hostname: balancer.name.clone(),
        address: balancer.docker_address,
        labels: labels(making, LOAD_BALANCER_ROLE, &balancer.name),
        // A clone's has to make the way to its nodes.
        rights: is_clone.then(|| making.rights.clone()),
        program: Some(Program {
            command: std::iter::once(LOAD_BALANCER.to_owned())
                .chain(is_clone.then(|| balancer.address.to_string()))
                .collect(),
            // On which HAProxy ends.
            stop_signal: "SIGUSR1",
            sysctls: &balancer::SYSCTLS,
        }),
        cpu_shares: Some(CONTROL_PLANE_CPU_SHARES),
        ..bare(work, making)
    };
    let files = files::of_load_balancer(making.spec);
    start_new(work, making, container, true, archive(&files)).await
}

/// A node whose volume has all that it needs.
pub(super) async fn recreate_node(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    // The proxies are those of today.
    let files = [files::proxies(work.proxies)];
    start_node(work, making, node, archive(&files)).await
}

/// Makes a container with these files in it, and starts it.
async fn start_new(
    work: &Work<'_>,
    making: &Making<'_>,
    mut container: NodeContainer,
    publishes: bool,
    files: Vec<u8>,
) -> Result<(), Error> {
    let name = container.name.clone();
    let doing = || format!("create node {name}");
    let refused = |source| Error::other(doing(), source);
    for port in ports(making, publishes) {
        container.publish = port.map(|port| Publish {
            address: making.spec.api_server_address,
            port,
            container_port: API_SERVER_PORT,
        });
        work.engine.create_node(&container).await.map_err(refused)?;
        work.engine
            .upload(&name, files.clone())
            .await
            .map_err(refused)?;
        match work.engine.start(&name).await {
            Ok(()) => return Ok(()),
            // A taken port shows only now, and a container keeps the port that it was made with.
            Err(error) if port_is_taken(&error) && making.spec.api_server_port.is_none() => {
                work.engine.remove_container(&name).await.map_err(refused)?;
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Err(Error::with_hint(
        format!(
            "cannot {}: no port is free for the API server on {}",
            doing(),
            making.spec.api_server_address
        ),
        "name a free one with `--apiserver-port`",
    ))
}

fn worker_pki(making: &Making<'_>, node: &NodeSpec) -> Result<Vec<PkiFile>, Error> {
    let doing = || format!("issue the certificates of node {}", node.name);
    let authority = making
        .authority
        .as_ref()
        .ok_or_else(|| Error::message("there is no authority"))?;
    let request = KubeletRequest {
        node_name: &node.name,
        addresses: &[IpAddr::V4(node.address)],
        server: &files::server(making.spec),
        cluster_name: &making.spec.names.context(),
    };
    let mut files =
        pki::issue_kubelet(authority, &request).map_err(|source| Error::other(doing(), source))?;
    files.push(PkiFile {
        path: "/etc/kubernetes/pki/ca.crt".to_owned(),
        mode: 0o644,
        text: authority.cert_pem().to_owned(),
    });
    Ok(files)
}

/// The ports to try on the engine's host: none for what does not publish the API server, the one that was asked for, or
/// 6443 + N and some others.
fn ports(making: &Making<'_>, publishes: bool) -> Vec<Option<u16>> {
    if !publishes {
        return vec![None];
    }
    let first = making.spec.preferred_port();
    if making.spec.api_server_port.is_some() {
        return vec![Some(first)];
    }
    let others = (0..5).map(|round| first + 10_000 * round);
    making.port.into_iter().chain(others).map(Some).collect()
}

fn port_is_taken(error: &EngineError) -> bool {
    let text = error.message();
    [
        "port is already allocated",
        "address already in use",
        "Ports are not available",
    ]
    .iter()
    .any(|part| text.contains(part))
}

fn labels(making: &Making<'_>, role: &str, name: &str) -> BTreeMap<String, String> {
    let mut labels = cluster_labels(making.spec);
    let settings =
        serde_json::to_string(&making.spec.fingerprint()).expect("a map of texts is JSON");
    labels.insert(label::SETTINGS.to_owned(), settings);
    labels.insert(label::ROLE.to_owned(), role.to_owned());
    labels.insert(label::NODE.to_owned(), name.to_owned());
    labels
}

/// Until the API server serves, all that the workers do would only keep the master from it: ten times theirs. What stands
/// between both has as much.
const CONTROL_PLANE_CPU_SHARES: i64 = 10 * 1024;

fn container(work: &Work<'_>, making: &Making<'_>, node: &NodeSpec) -> NodeContainer {
    let mut labels = labels(making, node.role.as_str(), &node.name);
    labels.insert(label::PRELOAD_USED.to_owned(), work.images.preload.clone());
    NodeContainer {
        name: node.container.clone(),
        hostname: node.name.clone(),
        address: node.docker_address,
        labels,
        mounts: vec![
            Mount {
                volume: node.volume.clone(),
                target: "/data".to_owned(),
                read_only: false,
            },
            Mount {
                volume: work.images.preload.clone(),
                target: "/preload".to_owned(),
                read_only: true,
            },
        ],
        cpu_shares: (node.role == Role::Master).then_some(CONTROL_PLANE_CPU_SHARES),
        ..bare(work, making)
    }
}

/// What equals in all containers of a cluster.
fn bare(work: &Work<'_>, making: &Making<'_>) -> NodeContainer {
    NodeContainer {
        name: String::new(),
        hostname: String::new(),
        image: work.images.node.clone(),
        labels: BTreeMap::new(),
        network: making.spec.network.name.clone(),
        address: making.spec.network.gateway,
        mounts: Vec::new(),
        publish: None,
        cpu_shares: None,
        environment: Vec::new(),
        rights: Some(making.rights.clone()),
        program: None,
    }
}

pub(super) async fn await_phases(
    work: &Work<'_>,
    node: &NodeSpec,
    names: &[&str],
) -> Result<(), Error> {
    let began = Instant::now();
    let waiting = phases::wait(work.engine, &node.container, names, work.cancel, |phase| {
        work.reporter.send(Event::StepFinished {
            stage: "kubeadm".to_owned(),
            step: format!("{}: {phase}", node.name),
            took: began.elapsed(),
            ok: true,
        });
    });
    tokio::select! {
        result = waiting => result,
        () = follow_output(work, node) => Ok(()),
    }
}

/// Shows what the phases print for as long as they are waited for; never ends by itself.
async fn follow_output(work: &Work<'_>, node: &NodeSpec) {
    if work.show_output {
        let command = phases::watching(&[
            "journalctl",
            "-f",
            "-n",
            "all",
            "-o",
            "cat",
            "-u",
            "local-cluster-phase@*",
            "-u",
            "local-cluster-api-phase@*",
        ]);
        // What is shown is a help: its failure is told by nothing but its absence.
        let _ = work
            .engine
            .exec_lines(&node.container, &command, |line| {
                work.reporter.send(Event::Output {
                    source: node.name.clone(),
                    line: line.to_owned(),
                });
            })
            .await;
    }
    std::future::pending::<()>().await;
}
