//! kubeadm's configuration: one set of types for all its API versions, which differ in few places.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::CERTIFICATE_VALIDITY;
use crate::cluster::{ClusterSpec, KubernetesVersion, NodeSpec, Role};
use crate::pki;

/// Where kubelet and kubeadm reach the container runtime in a node.
const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// The domain of the cluster's services.
pub(super) const DNS_DOMAIN: &str = "cluster.local";

/// A version of kubeadm's configuration API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Api {
    /// The newest that Kubernetes up to 1.21 understands.
    V1Beta2,
    /// Came with Kubernetes 1.22.
    V1Beta3,
    /// Came with Kubernetes 1.31: arguments are a list, certificates can be configured.
    V1Beta4,
}

impl Api {
    /// The newest version that this Kubernetes understands.
    fn of(version: KubernetesVersion) -> Self {
        if version.is_at_least(31) {
            Self::V1Beta4
        } else if version.is_at_least(22) {
            Self::V1Beta3
        } else {
            Self::V1Beta2
        }
    }

    /// The `apiVersion` of its documents.
    fn name(self) -> &'static str {
        match self {
            Self::V1Beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }

    /// Command line arguments of a component, in this version's form.
    fn args(self, args: &[(&'static str, &str)]) -> ExtraArgs {
        let args = args
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        if self >= Self::V1Beta4 {
            ExtraArgs::List(args.map(|(name, value)| Arg { name, value }).collect())
        } else {
            ExtraArgs::Map(args.collect())
        }
    }
}

/// Command line arguments of a component, without dashes.
#[derive(Serialize)]
#[serde(untagged)]
enum ExtraArgs {
    Map(BTreeMap<&'static str, String>),
    List(Vec<Arg>),
}

#[derive(Serialize)]
struct Arg {
    name: &'static str,
    value: String,
}

/// Configures the node on which `kubeadm init` runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitConfiguration {
    api_version: &'static str,
    kind: &'static str,
    node_registration: NodeRegistration,
    #[serde(rename = "localAPIEndpoint")]
    local_api_endpoint: ApiEndpoint,
}

impl InitConfiguration {
    pub(super) fn new(spec: &ClusterSpec, master: &NodeSpec) -> Self {
        let api = Api::of(spec.version);
        Self {
            api_version: api.name(),
            kind: "InitConfiguration",
            node_registration: NodeRegistration::new(spec, master),
            local_api_endpoint: ApiEndpoint::of(master),
        }
    }
}

/// Configures the node on which `kubeadm join` runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinConfiguration {
    api_version: &'static str,
    kind: &'static str,
    discovery: Discovery,
    node_registration: NodeRegistration,
}

impl JoinConfiguration {
    pub(super) fn new(spec: &ClusterSpec, node: &NodeSpec, kubeconfig_path: &str) -> Self {
        Self {
            api_version: Api::of(spec.version).name(),
            kind: "JoinConfiguration",
            discovery: Discovery {
                file: FileDiscovery {
                    kube_config_path: kubeconfig_path.to_owned(),
                },
            },
            node_registration: NodeRegistration::new(spec, node),
        }
    }
}

/// How a joining node finds and trusts the cluster: by file, for the other way, by token, waits for signatures of the
/// controller manager and retries after 5 s.
#[derive(Serialize)]
struct Discovery {
    file: FileDiscovery,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileDiscovery {
    kube_config_path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeRegistration {
    name: String,
    cri_socket: &'static str,
    /// Left out, a master gets the taint that is usual for its version; an empty list means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    taints: Option<Vec<Taint>>,
    kubelet_extra_args: ExtraArgs,
}

impl NodeRegistration {
    fn new(spec: &ClusterSpec, node: &NodeSpec) -> Self {
        let untainted_master = node.role == Role::Master && !spec.taint_masters();
        Self {
            name: node.name.clone(),
            cri_socket: CRI_SOCKET,
            taints: untainted_master.then(Vec::new),
            kubelet_extra_args: Api::of(spec.version)
                .args(&[("node-ip", &node.address.to_string())]),
        }
    }
}

/// A taint of a node. We never set one ourselves.
#[derive(Serialize)]
enum Taint {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiEndpoint {
    advertise_address: Ipv4Addr,
}

impl ApiEndpoint {
    fn of(node: &NodeSpec) -> Self {
        Self {
            advertise_address: node.address,
        }
    }
}

/// Configures the control plane.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterConfiguration {
    api_version: &'static str,
    kind: &'static str,
    kubernetes_version: String,
    cluster_name: String,
    control_plane_endpoint: String,
    /// ECDSA keys are made in no time, RSA keys (the default) in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_validity_period: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_certificate_validity_period: Option<&'static str>,
    networking: Networking,
    api_server: ApiServer,
    controller_manager: Component,
    scheduler: Component,
    etcd: Etcd,
}

impl ClusterConfiguration {
    pub(super) fn new(spec: &ClusterSpec) -> Self {
        let api = Api::of(spec.version);
        let configurable = api >= Api::V1Beta4;
        let several = spec.load_balancer.is_some();
        let election = ("leader-elect", if several { "true" } else { "false" });
        Self {
            api_version: api.name(),
            kind: "ClusterConfiguration",
            kubernetes_version: spec.version.tag(),
            cluster_name: spec.names.context(),
            control_plane_endpoint: spec.control_plane_address(),
            encryption_algorithm: configurable.then_some("ECDSA-P256"),
            certificate_validity_period: configurable.then_some(CERTIFICATE_VALIDITY),
            ca_certificate_validity_period: configurable.then_some(CERTIFICATE_VALIDITY),
            networking: Networking {
                service_subnet: spec.network.service_subnet.to_string(),
                dns_domain: DNS_DOMAIN,
            },
            api_server: ApiServer {
                cert_sans: cert_sans(spec),
            },
            controller_manager: controller_manager(api, election),
            scheduler: scheduler(api, election),
            etcd: Etcd {
                local: LocalEtcd {
                    data_dir: "/var/lib/etcd",
                    extra_args: etcd(spec, api),
                },
            },
        }
    }
}

/// Of one master there is one controller manager, which need not be elected. It starts its controllers one after the other
/// through a throttled client, which takes seconds at the default rate. Kubelets' certificates live as long as all others.
fn controller_manager(api: Api, election: (&'static str, &str)) -> Component {
    let [certificate, key] = pki::pair_paths(pki::CONTROLLER_MANAGER);
    Component {
        extra_args: api.args(&[
            election,
            ("kube-api-qps", "500"),
            ("kube-api-burst", "1000"),
            ("cluster-signing-duration", CERTIFICATE_VALIDITY),
            ("tls-cert-file", &certificate),
            ("tls-private-key-file", &key),
        ]),
        extra_volumes: Vec::new(),
    }
}

/// Of all certificates it sees only its own.
fn scheduler(api: Api, election: (&'static str, &str)) -> Component {
    let [certificate, key] = pki::pair_paths(pki::SCHEDULER);
    Component {
        extra_args: api.args(&[
            election,
            ("tls-cert-file", &certificate),
            ("tls-private-key-file", &key),
        ]),
        extra_volumes: vec![
            FileMount::new("serving-certificate", certificate),
            FileMount::new("serving-key", key),
        ],
    }
}

/// The names and addresses that the API server's certificate must hold besides those that kubeadm adds by itself: what
/// it is called on the client's machine, in the nodes, and in the network.
pub fn cert_sans(spec: &ClusterSpec) -> Vec<String> {
    let mut sans = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
    let published = spec.api_server_address;
    if !published.is_unspecified() && published != Ipv4Addr::LOCALHOST {
        sans.push(published.to_string());
    }
    sans.push(spec.control_plane_endpoint.clone());
    if let Some(balancer) = &spec.load_balancer {
        sans.extend([balancer.name.clone(), balancer.address.to_string()]);
    }
    for master in spec.nodes.iter().filter(|node| node.role == Role::Master) {
        sans.extend([master.name.clone(), master.address.to_string()]);
    }
    sans
}

/// There is no `podSubnet`: with one, kubeadm has the controller manager give the nodes their pod ranges, and nodes
/// that join side by side get them in any order. Ours are fixed by node number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Networking {
    service_subnet: String,
    dns_domain: &'static str,
}

#[derive(Serialize)]
struct ApiServer {
    #[serde(rename = "certSANs")]
    cert_sans: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    extra_args: ExtraArgs,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_volumes: Vec<FileMount>,
}

/// A file of the node that a component sees where it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileMount {
    name: &'static str,
    host_path: String,
    mount_path: String,
    read_only: bool,
    path_type: &'static str,
}

impl FileMount {
    fn new(name: &'static str, path: String) -> Self {
        Self {
            name,
            host_path: path.clone(),
            mount_path: path,
            read_only: true,
            path_type: "File",
        }
    }
}

#[derive(Serialize)]
struct Etcd {
    local: LocalEtcd,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LocalEtcd {
    data_dir: &'static str,
    extra_args: ExtraArgs,
}

/// `unsafe-no-fsync` leaves it to the kernel when what etcd writes reaches the disk.
fn etcd(spec: &ClusterSpec, api: Api) -> ExtraArgs {
    let unsafe_fast = spec.unsafe_fast.then_some(("unsafe-no-fsync", "true"));
    let alone = ETCD_ALONE
        .into_iter()
        .filter(|_| spec.load_balancer.is_none());
    let unchecked = [unchecked_start(spec.version)];
    let args: Vec<_> = alone.chain(unchecked).chain(unsafe_fast).collect();
    api.args(&args)
}

/// kubeadm has each member compare its data with that of its peers before it serves them. Two that start together ask each
/// other in vain until the request times out, 7 s later, at each start of the cluster. One that is alone reads all its data
/// for nothing, and an API server that has asked it too early asks again after a second.
fn unchecked_start(version: KubernetesVersion) -> (&'static str, &'static str) {
    // From then on kubeadm's etcd is 3.6, where it is a feature gate.
    if version.minor >= 34 {
        ("feature-gates", "InitialCorruptCheck=false")
    } else {
        ("experimental-initial-corrupt-check", "false")
    }
}

/// A member without peers has nobody to lose an election to, and would wait a second for one at each start: the timeout of
/// etcd's default is for members that are apart. In milliseconds; the timeout must be five heartbeats or more.
const ETCD_ALONE: [(&str, &str); 2] = [("heartbeat-interval", "20"), ("election-timeout", "100")];
