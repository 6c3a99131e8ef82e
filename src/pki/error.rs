//! What can go wrong when certificates are issued.

/// Why a certificate, key or kubeconfig could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// No key could be generated.
    #[error("cannot generate the key of `{name}`")]
    Key {
        /// Whose key.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The system gave no random bytes.
    #[error("cannot read random bytes for a serial number")]
    Random,
    /// A name or address that cannot stand in a certificate.
    #[error("`{name}` is neither an address nor a name that a certificate can hold")]
    Name {
        /// As it was given.
        name: String,
    },
    /// The control plane endpoint is no URL with a host.
    #[error("`{server}` is not a URL of an API server")]
    Server {
        /// As it was given.
        server: String,
    },
    /// Signing failed.
    #[error("cannot sign the certificate of `{name}`")]
    Sign {
        /// Whose certificate.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// An authority's key cannot be read.
    #[error("cannot read the key of a certificate authority")]
    LoadKey {
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// An authority's certificate cannot be read, or is not an authority's.
    #[error("cannot read the certificate of a certificate authority")]
    LoadCertificate {
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A certificate that may not sign, or the key of another one.
    #[error("the certificate is not an authority's, or the key is another one's")]
    NotAnAuthority,
    /// A kubeconfig could not be written as YAML.
    #[error("cannot write the kubeconfig of `{user}`")]
    Kubeconfig {
        /// Whose.
        user: String,
        /// Why.
        #[source]
        source: serde_yaml::Error,
    },
}

impl PkiError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some("use DNS names and IP addresses only"),
            Self::Server { .. } => Some("write it like `https://control-plane:6443`"),
            Self::LoadKey { .. } | Self::LoadCertificate { .. } => {
                Some("only authorities with an ECDSA key in PKCS #8 form can be loaded")
            }
            Self::Key { .. }
            | Self::Random
            | Self::Sign { .. }
            | Self::NotAnAuthority
            | Self::Kubeconfig { .. } => None,
        }
    }
}
