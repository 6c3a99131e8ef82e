//! The certificates, keys and kubeconfig files that kubeadm would make, issued by ourselves.
//!
//! kubeadm before 1.31 signs for one year and cannot be told otherwise, and a cluster that is kept lives
//! longer. Files that are already there are used by kubeadm as they are: `init phase certs` and
//! `init phase kubeconfig` then only check them. Kubelets get their certificates here too, so that a node
//! joins without a round of certificate signing requests.

mod authority;
mod error;
mod kubeconfig;
mod names;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use rcgen::KeyPair;
use time::{Duration, OffsetDateTime};

pub use authority::{Authority, load_authority};
pub use error::PkiError;

use authority::{Leaf, issue_leaf, new_authority};
use kubeconfig::{Access, Credentials, kubeconfig};

const CERTIFICATES: &str = "/etc/kubernetes/pki";
const KUBELET_CERTIFICATES: &str = "/var/lib/kubelet/pki";
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// From when until when certificates hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment; a day ago, so that clocks may differ.
    pub not_before: OffsetDateTime,
    /// The last moment.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// From `not_before` for that many years, leap days counted in.
    pub fn years(not_before: OffsetDateTime, years: u16) -> Self {
        let length = Duration::days(i64::from(years) * 1461 / 4);
        Self {
            not_before,
            not_after: not_before.saturating_add(length),
        }
    }
}

/// What the certificates of one control plane node shall say.
#[derive(Debug, Clone)]
pub struct PkiRequest {
    /// How long all of it holds.
    pub validity: Validity,
    /// The minor version of Kubernetes: 1.29 took `system:masters` away from the administrator.
    pub minor: u64,
    /// The Kubernetes name of the control plane node.
    pub master_name: String,
    /// Its address.
    pub master_address: IpAddr,
    /// The first address of the service subnet, where pods reach the API server.
    pub service_address: IpAddr,
    /// The DNS domain of the cluster, `cluster.local` as a rule.
    pub dns_domain: String,
    /// More names and addresses under which the API server shall be reached.
    pub api_sans: Vec<String>,
    /// The control plane endpoint, `https://name:6443`; its host becomes one of the API server's names.
    pub server: String,
    /// The name of the cluster in kubeconfig files, `kubernetes` unless kubeadm is told otherwise.
    pub cluster_name: String,
}

/// A file to be written into a node.
#[derive(Clone, PartialEq, Eq)]
pub struct PkiFile {
    /// Absolute.
    pub path: String,
    /// The permission bits.
    pub mode: u32,
    /// What is in it; a secret when `mode` is 0600.
    pub text: String,
}

impl PkiFile {
    fn public(path: String, text: String) -> Self {
        let mode = PUBLIC;
        Self { path, mode, text }
    }

    fn private(path: String, text: String) -> Self {
        let mode = PRIVATE;
        Self { path, mode, text }
    }
}

// The text is a private key more often than not: it must not reach a log.
impl fmt::Debug for PkiFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PkiFile")
            .field("path", &self.path)
            .field("mode", &format_args!("{:o}", self.mode))
            .finish_non_exhaustive()
    }
}

/// The three authorities of a cluster.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// Signs what speaks to the API server, and its own certificate.
    pub ca: Authority,
    /// Signs what the API server shows to extension API servers.
    pub front_proxy: Authority,
    /// Signs all around etcd.
    pub etcd: Authority,
}

/// What the first control plane node needs.
#[derive(Debug, Clone)]
pub struct Pki {
    /// The files of `kubeadm init phase certs all` and `kubeadm init phase kubeconfig all`, and the kubelet's.
    pub files: Vec<PkiFile>,
    /// Those of the files that equal on all control plane nodes: authorities, and the service accounts' key.
    pub shared: Vec<PkiFile>,
    /// For the nodes that follow.
    pub authorities: Authorities,
}

/// Makes the authorities of a new cluster and all that its first control plane node needs.
pub fn issue(request: &PkiRequest) -> Result<Pki, PkiError> {
    let authorities = Authorities {
        ca: new_authority("kubernetes", request.validity)?,
        front_proxy: new_authority("front-proxy-ca", request.validity)?,
        etcd: new_authority("etcd-ca", request.validity)?,
    };
    let shared = shared_files(&authorities)?;
    let mut files = shared.clone();
    files.extend(issue_control_plane(&authorities, request)?);
    Ok(Pki {
        files,
        shared,
        authorities,
    })
}

/// What one control plane node has for itself. Further ones also need the first one's authorities and service
/// account key: `ca`, `front-proxy-ca`, `etcd/ca` and `sa` under `/etc/kubernetes/pki`.
pub fn issue_control_plane(
    authorities: &Authorities,
    request: &PkiRequest,
) -> Result<Vec<PkiFile>, PkiError> {
    let mut files = certificate_files(authorities, request)?;
    files.extend(kubeconfig_files(&authorities.ca, request)?);
    let kubelet = KubeletRequest {
        node_name: &request.master_name,
        addresses: &[request.master_address],
        server: &names::kubelet_endpoint(request),
        cluster_name: &request.cluster_name,
    };
    files.extend(issue_kubelet(&authorities.ca, &kubelet)?);
    Ok(files)
}

/// The files that equal on all control plane nodes, and their permissions.
pub const SHARED: &[(&str, u32)] = &[
    ("sa.key", PRIVATE),
    ("sa.pub", PRIVATE),
    ("ca.crt", PUBLIC),
    ("ca.key", PRIVATE),
    ("front-proxy-ca.crt", PUBLIC),
    ("front-proxy-ca.key", PRIVATE),
    ("etcd/ca.crt", PUBLIC),
    ("etcd/ca.key", PRIVATE),
];

/// One of the shared files, as another node has it.
pub fn shared_file((name, mode): (&str, u32), text: String) -> PkiFile {
    let path = in_pki(name);
    PkiFile { path, mode, text }
}

/// The authorities among the shared files.
pub fn load_authorities(shared: &[PkiFile], validity: Validity) -> Result<Authorities, PkiError> {
    let text = |name: String| {
        let path = in_pki(&name);
        let found = shared.iter().find(|file| file.path == path);
        found.map_or("", |file| file.text.as_str())
    };
    let load = |name: &str| {
        let (certificate, key) = (text(format!("{name}.crt")), text(format!("{name}.key")));
        load_authority(certificate, key, validity)
    };
    Ok(Authorities {
        ca: load("ca")?,
        front_proxy: load("front-proxy-ca")?,
        etcd: load("etcd/ca")?,
    })
}

/// What equals on all control plane nodes.
fn shared_files(authorities: &Authorities) -> Result<Vec<PkiFile>, PkiError> {
    let service_accounts = KeyPair::generate().map_err(|source| PkiError::Key {
        name: "sa".to_owned(),
        source,
    })?;
    // kubeadm keeps the public half to root as well, though it is no secret.
    let mut files = vec![
        PkiFile::private(in_pki("sa.key"), service_accounts.serialize_pem()),
        PkiFile::private(in_pki("sa.pub"), service_accounts.public_key_pem()),
    ];
    for (name, authority) in [
        ("ca", &authorities.ca),
        ("front-proxy-ca", &authorities.front_proxy),
        ("etcd/ca", &authorities.etcd),
    ] {
        files.extend(pair(name, authority.cert_pem(), authority.key_pem()));
    }
    Ok(files)
}

/// The names of the files with which the controller manager and the scheduler serve on the node's loopback address. Given
/// none, each makes two RSA keys for a certificate of its own at each start, and the API server, which starts beside them,
/// lacks the processor's time.
pub const CONTROLLER_MANAGER: &str = "kube-controller-manager";
/// See [`CONTROLLER_MANAGER`].
pub const SCHEDULER: &str = "kube-scheduler";

/// Where the certificate of that name is in a control plane node, and its key.
pub fn pair_paths(name: &str) -> [String; 2] {
    ["crt", "key"].map(|ending| in_pki(&format!("{name}.{ending}")))
}

/// Serves on the node's loopback address.
fn local(name: &str) -> Leaf {
    let names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
    Leaf::server(name, names)
}

fn certificate_files(
    authorities: &Authorities,
    request: &PkiRequest,
) -> Result<Vec<PkiFile>, PkiError> {
    let node = request.master_name.as_str();
    let api_names = names::api_server(request)?;
    let etcd_names = names::etcd(node, request.master_address);
    let kubelet_client_group = names::administrators(request.minor);
    let Authorities {
        ca,
        front_proxy,
        etcd,
    } = authorities;
    let leaves = [
        ("apiserver", ca, Leaf::server("kube-apiserver", api_names)),
        (
            "apiserver-kubelet-client",
            ca,
            Leaf::client("kube-apiserver-kubelet-client", Some(kubelet_client_group)),
        ),
        (
            "front-proxy-client",
            front_proxy,
            Leaf::client("front-proxy-client", None),
        ),
        ("etcd/server", etcd, Leaf::both(node, etcd_names.clone())),
        ("etcd/peer", etcd, Leaf::both(node, etcd_names)),
        (
            "etcd/healthcheck-client",
            etcd,
            Leaf::client("kube-etcd-healthcheck-client", None),
        ),
        (
            "apiserver-etcd-client",
            etcd,
            Leaf::client("kube-apiserver-etcd-client", None),
        ),
        // kubeadm knows none of these two.
        (CONTROLLER_MANAGER, ca, local(CONTROLLER_MANAGER)),
        (SCHEDULER, ca, local(SCHEDULER)),
    ];
    let mut files = Vec::new();
    for (name, authority, leaf) in leaves {
        let (certificate, key) = issue_leaf(authority, &leaf)?;
        files.extend(pair(name, &certificate, &key));
    }
    Ok(files)
}

fn kubeconfig_files(ca: &Authority, request: &PkiRequest) -> Result<Vec<PkiFile>, PkiError> {
    let administrators = names::administrators(request.minor);
    let endpoint = request.server.as_str();
    // These two stay with the API server of their own node: another one may be older than they are.
    let local = names::local_endpoint(request);
    let mut users = vec![
        (
            "admin.conf",
            endpoint,
            "kubernetes-admin",
            Some(administrators),
        ),
        (
            "controller-manager.conf",
            local.as_str(),
            "system:kube-controller-manager",
            None,
        ),
        (
            "scheduler.conf",
            local.as_str(),
            "system:kube-scheduler",
            None,
        ),
    ];
    if administrators != names::MASTERS {
        let user = "kubernetes-super-admin";
        users.push(("super-admin.conf", endpoint, user, Some(names::MASTERS)));
    }
    let mut files = Vec::new();
    for (file, server, user, group) in users {
        let (certificate, key) = client(ca, user, group)?;
        let text = kubeconfig(&Access {
            server,
            cluster_name: &request.cluster_name,
            user,
            ca_pem: ca.cert_pem(),
            credentials: Credentials::Inline {
                certificate: &certificate,
                key: &key,
            },
        })?;
        files.push(PkiFile::private(format!("/etc/kubernetes/{file}"), text));
    }
    Ok(files)
}

/// Whose kubelet, and where it finds the API server.
#[derive(Debug, Clone)]
pub struct KubeletRequest<'a> {
    /// The Kubernetes name of the node.
    pub node_name: &'a str,
    /// Its addresses: one, or one of each family.
    pub addresses: &'a [IpAddr],
    /// The control plane endpoint.
    pub server: &'a str,
    /// The name of the cluster in the kubeconfig file.
    pub cluster_name: &'a str,
}

/// All that the kubelet of a node needs to be a member of the cluster: nothing is asked, nothing approved.
/// A worker also needs the authority's certificate as `/etc/kubernetes/pki/ca.crt`.
pub fn issue_kubelet(
    ca: &Authority,
    request: &KubeletRequest<'_>,
) -> Result<Vec<PkiFile>, PkiError> {
    let current = in_kubelet("kubelet-client-current.pem");
    let (certificate, key) = kubelet_serving(ca, request.node_name, request.addresses)?;
    let text = kubeconfig(&Access {
        server: request.server,
        cluster_name: request.cluster_name,
        user: &names::node_user(request.node_name),
        ca_pem: ca.cert_pem(),
        credentials: Credentials::File(&current),
    })?;
    Ok(vec![
        PkiFile::private("/etc/kubernetes/kubelet.conf".to_owned(), text),
        PkiFile::private(current, kubelet_client(ca, request.node_name)?),
        PkiFile::public(in_kubelet("kubelet.crt"), certificate),
        PkiFile::private(in_kubelet("kubelet.key"), key),
    ])
}

/// The kubelet's client certificate and its key in one text, for `kubelet-client-current.pem`.
pub fn kubelet_client(ca: &Authority, node_name: &str) -> Result<String, PkiError> {
    let (certificate, key) = client(ca, &names::node_user(node_name), Some(names::NODES))?;
    Ok(certificate + &key)
}

/// The kubelet's serving certificate and its key, for `kubelet.crt` and `kubelet.key`.
pub fn kubelet_serving(
    ca: &Authority,
    node_name: &str,
    addresses: &[IpAddr],
) -> Result<(String, String), PkiError> {
    let sans = std::iter::once(node_name.to_owned())
        .chain(addresses.iter().map(ToString::to_string))
        .collect();
    let mut leaf = Leaf::server(&names::node_user(node_name), sans);
    leaf.organization = Some(names::NODES.to_owned());
    issue_leaf(ca, &leaf)
}

/// A client certificate and its key.
pub fn client(
    ca: &Authority,
    common_name: &str,
    organization: Option<&str>,
) -> Result<(String, String), PkiError> {
    issue_leaf(ca, &Leaf::client(common_name, organization))
}

fn pair(name: &str, certificate: &str, key: &str) -> [PkiFile; 2] {
    [
        PkiFile::public(in_pki(&format!("{name}.crt")), certificate.to_owned()),
        PkiFile::private(in_pki(&format!("{name}.key")), key.to_owned()),
    ]
}

fn in_pki(name: &str) -> String {
    format!("{CERTIFICATES}/{name}")
}

fn in_kubelet(name: &str) -> String {
    format!("{KUBELET_CERTIFICATES}/{name}")
}
