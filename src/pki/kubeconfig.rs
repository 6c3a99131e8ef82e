//! Kubeconfig files of the kind that kubeadm writes into a node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::PkiError;

/// Who comes where, and how it proves who it is.
pub(super) struct Access<'a> {
    pub(super) server: &'a str,
    pub(super) cluster_name: &'a str,
    pub(super) user: &'a str,
    pub(super) ca_pem: &'a str,
    pub(super) credentials: Credentials<'a>,
}

/// Where the client certificate is.
pub(super) enum Credentials<'a> {
    /// In the kubeconfig.
    Inline { certificate: &'a str, key: &'a str },
    /// In a file with both halves, which may be replaced while it is in use.
    File(&'a str),
}

pub(super) fn kubeconfig(access: &Access<'_>) -> Result<String, PkiError> {
    let context = format!("{}@{}", access.user, access.cluster_name);
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": access.cluster_name, "cluster": {
            "certificate-authority-data": STANDARD.encode(access.ca_pem),
            "server": access.server,
        }}],
        "users": [{"name": access.user, "user": user(&access.credentials)}],
        "contexts": [{"name": &context, "context": {
            "cluster": access.cluster_name,
            "user": access.user,
        }}],
        "current-context": &context,
        "preferences": {},
    });
    serde_yaml::to_string(&value).map_err(|source| PkiError::Kubeconfig {
        user: access.user.to_owned(),
        source,
    })
}

fn user(credentials: &Credentials<'_>) -> Value {
    match credentials {
        Credentials::Inline { certificate, key } => json!({
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }),
        Credentials::File(path) => json!({"client-certificate": path, "client-key": path}),
    }
}
