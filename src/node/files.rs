//! The files that a node has before its first start. PURE: everything that happens in it later follows from them.
//!
//! They go into the node's data volume, mounted at `/data`; the entry point binds each path of `state-paths` from there.

use crate::cluster::{ClusterSpec, NodeSpec, Role};
use crate::image::context::File;
use crate::kubernetes::{HostFacts, init_documents, join_documents};
use crate::node::{balancer, phases};
use crate::pki::PkiFile;
use std::fmt::Write as _;

/// The kubeconfig with which a worker finds the cluster that it joins: its kubelet's own.
const DISCOVERY: &str = "/etc/kubernetes/kubelet.conf";

/// The address of the API server for everyone in the cluster, as a URL.
pub fn server(spec: &ClusterSpec) -> String {
    format!("https://{}", spec.control_plane_address())
}

/// All files of a node. `proxies` are the client's proxy variables, for the node's runtime.
pub fn files(
    spec: &ClusterSpec,
    node: &NodeSpec,
    etcd: &Etcd,
    host: HostFacts,
    pki: &[PkiFile],
    proxies: &[(String, String)],
) -> Vec<File<'static>> {
    let kubeadm = match node.role {
        Role::Master => init_documents(spec, node, host),
        Role::Worker => join_documents(spec, node, DISCOVERY),
    };
    let routes =
        crate::cni::routes(spec, node)
            .iter()
            .fold(String::new(), |mut text, (subnet, gateway)| {
                writeln!(text, "route replace {subnet} via {gateway}")
                    .expect("writing to memory does not fail");
                text
            });
    let mut files = vec![
        text(
            "/local-cluster/node.env",
            0o644,
            environment(spec, node, etcd),
        ),
        text("/local-cluster/kubeadm.yaml", 0o600, kubeadm),
        text("/local-cluster/routes", 0o644, routes),
        self::proxies(proxies),
        text(
            "/etc/cni/net.d/10-local-cluster.conflist",
            0o644,
            crate::cni::conflist(spec, node),
        ),
    ];
    files.extend(
        pki.iter()
            .map(|file| text(&file.path, file.mode, file.text.clone())),
    );
    if node.role == Role::Master && spec.load_balancer.is_some() {
        files.push(text("/local-cluster/elections", 0o644, String::new()));
    }
    // What concerns the whole cluster the first master does, once.
    if node.role == Role::Master && !is_founder(spec, node, etcd) {
        let done = |phase| {
            text(
                &format!("/local-cluster/done/{phase}"),
                0o644,
                String::new(),
            )
        };
        files.extend(phases::OF_THE_CLUSTER.iter().map(done));
    }
    files
}

/// How a node's etcd begins. A worker has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Etcd {
    /// With all other masters of the spec, which begin too.
    Founds,
    /// As one more member of those that are there already.
    Joins,
}

/// Whether a master does what is done once in the life of a cluster.
fn is_founder(spec: &ClusterSpec, node: &NodeSpec, etcd: &Etcd) -> bool {
    *etcd == Etcd::Founds && spec.master().name == node.name
}

/// The file by which the load balancer runs.
pub fn of_load_balancer(spec: &ClusterSpec) -> Vec<File<'static>> {
    vec![File::new(
        "etc/haproxy/haproxy.cfg".to_owned(),
        0o644,
        balancer::configuration(spec).into_bytes(),
    )]
}

/// The client's proxy variables, for the node's runtime.
pub fn proxies(proxies: &[(String, String)]) -> File<'static> {
    text("/local-cluster/proxy.env", 0o600, variables(proxies))
}

fn text(path: &str, mode: u32, content: String) -> File<'static> {
    File::new(format!("data{path}"), mode, content.into_bytes())
}

/// What the node's scripts need to know, as a file that a shell reads. All values are names and addresses of ours.
fn environment(spec: &ClusterSpec, node: &NodeSpec, etcd: &Etcd) -> String {
    // A master speaks to its own API server, so that it depends on nothing else: it is of no use without it.
    let entrance = match (node.role, &spec.load_balancer) {
        (Role::Master, _) => node.address,
        (Role::Worker, Some(balancer)) => balancer.address,
        (Role::Worker, None) => spec.master().address,
    };
    let (members, peers) = match (node.role, etcd) {
        (Role::Master, Etcd::Founds) if spec.load_balancer.is_some() => {
            (etcd_members(spec), String::new())
        }
        (Role::Master, Etcd::Joins) => (String::new(), etcd_peers(spec, node)),
        _ => (String::new(), String::new()),
    };
    let replicas = if spec.nodes.len() == 1 { "1" } else { "2" };
    let values = [
        ("ROLE", node.role.to_string()),
        ("KUBERNETES_MINOR", spec.version.minor.to_string()),
        ("NODE_ADDRESS", node.address.to_string()),
        ("SERVICE_SUBNET", spec.network.service_subnet.to_string()),
        ("API_SERVICE", spec.network.api_service.to_string()),
        ("CONTROL_PLANE", spec.control_plane_endpoint.clone()),
        ("CONTROL_PLANE_ADDRESS", entrance.to_string()),
        (
            "LOAD_BALANCED",
            spec.load_balancer.as_ref().map_or("", |_| "yes").to_owned(),
        ),
        ("ETCD_MEMBERS", members),
        ("ETCD_PEERS", peers),
        ("COREDNS_REPLICAS", replicas.to_owned()),
        ("MASQUERADE", crate::cni::masquerade(spec, node).join(" ")),
    ];
    variables(&values.map(|(name, value)| (name.to_owned(), value)))
}

/// The masters with which a new etcd begins, as it wants them.
fn etcd_members(spec: &ClusterSpec) -> String {
    let member = |node: &NodeSpec| format!("{}=https://{}:2380", node.name, node.address);
    let members: Vec<String> = spec.masters().map(member).collect();
    members.join(",")
}

/// Where the etcds are that one more joins.
fn etcd_peers(spec: &ClusterSpec, node: &NodeSpec) -> String {
    let others = spec.masters().filter(|other| other.name != node.name);
    let addresses: Vec<String> = others.map(|other| other.address.to_string()).collect();
    addresses.join(" ")
}

fn variables(values: &[(String, String)]) -> String {
    values
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            writeln!(text, "{name}=\"{value}\"").expect("writing to memory does not fail");
            text
        })
}
