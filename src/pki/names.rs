//! The names that Kubernetes expects in certificates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{PkiError, PkiRequest};

/// The port of the API server in a node: nothing moves it, only the published port differs.
const API_PORT: u16 = 6443;
/// The group that may do everything, whatever RBAC says.
pub(super) const MASTERS: &str = "system:masters";
/// The group of kubelets.
pub(super) const NODES: &str = "system:nodes";

/// The group of the administrator: an RBAC binding of kubeadm's own since 1.29.
pub(super) fn administrators(minor: u64) -> &'static str {
    if minor < 29 {
        MASTERS
    } else {
        "kubeadm:cluster-admins"
    }
}

/// The user that the kubelet of a node is.
pub(super) fn node_user(node_name: &str) -> String {
    format!("system:node:{node_name}")
}

/// Where the kubelet of a control plane node finds the API server: since 1.33 kubeadm wants it to be the node's
/// own, which is never older than the kubelet.
pub(super) fn kubelet_endpoint(request: &PkiRequest) -> String {
    if request.minor < 33 {
        request.server.clone()
    } else {
        local_endpoint(request)
    }
}

/// The API server of the node itself.
pub(super) fn local_endpoint(request: &PkiRequest) -> String {
    let address = std::net::SocketAddr::new(request.master_address, API_PORT);
    format!("https://{address}")
}

/// All names of the API server; kubeadm refuses a certificate that lacks one of those that it knows.
pub(super) fn api_server(request: &PkiRequest) -> Result<Vec<String>, PkiError> {
    let domain = &request.dns_domain;
    let mut names = vec![
        request.master_name.clone(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{domain}"),
        request.service_address.to_string(),
        request.master_address.to_string(),
        host(&request.server)?,
    ];
    names.extend(request.api_sans.iter().cloned());
    Ok(without_repeats(names))
}

/// The names of an etcd member, to clients and peers alike.
pub(super) fn etcd(node_name: &str, address: IpAddr) -> Vec<String> {
    without_repeats(vec![
        node_name.to_owned(),
        "localhost".to_owned(),
        address.to_string(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ])
}

fn host(server: &str) -> Result<String, PkiError> {
    reqwest::Url::parse(server)
        .ok()
        .filter(|url| url.scheme() == "https")
        .and_then(|url| {
            url.host_str()
                .map(|host| host.trim_matches(['[', ']']).to_owned())
        })
        .ok_or_else(|| PkiError::Server {
            server: server.to_owned(),
        })
}

fn without_repeats(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .collect()
}
