//! A kubeconfig with one cluster, one user and one context.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::render;

/// How the user of a kubeconfig proves who it is. Holds secrets, hence cannot be printed.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// A client certificate and its key, both PEM, as part of the file.
    Embedded {
        /// The certificate.
        cert: &'a str,
        /// The private key.
        key: &'a str,
    },
    /// Paths of a client certificate and its key, where the kubeconfig is used.
    Files {
        /// Path of the certificate.
        cert: &'a str,
        /// Path of the private key.
        key: &'a str,
    },
    /// A bearer token, as a joining node has.
    Token(&'a str),
}

/// The kubeconfig of `user` for the cluster named `cluster` at `server` (a URL), whose CA certificate is `ca_pem`.
/// The context is named `user@cluster`, as kubeadm does.
pub fn kubeconfig_document(
    cluster: &str,
    server: &str,
    ca_pem: &str,
    user: &str,
    credentials: Credentials<'_>,
) -> String {
    let context = format!("{user}@{cluster}");
    render(&Kubeconfig {
        api_version: "v1",
        kind: "Config",
        clusters: [NamedCluster {
            name: cluster,
            cluster: Cluster {
                server,
                certificate_authority_data: STANDARD.encode(ca_pem),
            },
        }],
        contexts: [NamedContext {
            name: &context,
            context: Context { cluster, user },
        }],
        current_context: &context,
        users: [NamedUser {
            name: user,
            user: User::new(credentials),
        }],
    })
}

#[derive(Serialize)]
struct Kubeconfig<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: [NamedCluster<'a>; 1],
    contexts: [NamedContext<'a>; 1],
    #[serde(rename = "current-context")]
    current_context: &'a str,
    users: [NamedUser<'a>; 1],
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    certificate_authority_data: String,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: User<'a>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "kebab-case")]
enum User<'a> {
    Embedded {
        client_certificate_data: String,
        client_key_data: String,
    },
    Files {
        client_certificate: &'a str,
        client_key: &'a str,
    },
    Token {
        token: &'a str,
    },
}

impl<'a> User<'a> {
    fn new(credentials: Credentials<'a>) -> Self {
        match credentials {
            Credentials::Embedded { cert, key } => Self::Embedded {
                client_certificate_data: STANDARD.encode(cert),
                client_key_data: STANDARD.encode(key),
            },
            Credentials::Files { cert, key } => Self::Files {
                client_certificate: cert,
                client_key: key,
            },
            Credentials::Token(token) => Self::Token { token },
        }
    }
}
