//! The files that a node has before its first start. PURE: everything that happens in it later follows from them.
//!
//! They go into the node's data volume, mounted at `/data`; the entry point binds each path of `state-paths` from there.

use crate::cluster::{ClusterSpec, NodeSpec, Role};
use crate::image::context::File;
use crate::kubernetes::{HostFacts, init_documents, join_documents};
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
    host: HostFacts,
    pki: &[PkiFile],
    proxies: &[(String, String)],
) -> Vec<File<'static>> {
    let kubeadm = match node.role {
        Role::Master => init_documents(spec, host),
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
        text("/local-cluster/node.env", 0o644, environment(spec, node)),
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
    files
}

/// The client's proxy variables, for the node's runtime.
pub fn proxies(proxies: &[(String, String)]) -> File<'static> {
    text("/local-cluster/proxy.env", 0o600, variables(proxies))
}

fn text(path: &str, mode: u32, content: String) -> File<'static> {
    File::new(format!("data{path}"), mode, content.into_bytes())
}

/// What the node's scripts need to know, as a file that a shell reads. All values are names and addresses of ours.
fn environment(spec: &ClusterSpec, node: &NodeSpec) -> String {
    let master = spec.master().address.to_string();
    let replicas = if spec.nodes.len() == 1 { "1" } else { "2" };
    let values = [
        ("ROLE", node.role.to_string()),
        ("NODE_ADDRESS", node.address.to_string()),
        ("SERVICE_SUBNET", spec.network.service_subnet.to_string()),
        ("API_SERVICE", spec.network.api_service.to_string()),
        ("CONTROL_PLANE", spec.control_plane_endpoint.clone()),
        ("CONTROL_PLANE_ADDRESS", master),
        ("COREDNS_REPLICAS", replicas.to_owned()),
        ("MASQUERADE", crate::cni::masquerade(spec, node).join(" ")),
    ];
    variables(&values.map(|(name, value)| (name.to_owned(), value)))
}

fn variables(values: &[(String, String)]) -> String {
    values
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            writeln!(text, "{name}=\"{value}\"").expect("writing to memory does not fail");
            text
        })
}
