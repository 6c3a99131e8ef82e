//! Certificate authorities, and what they sign.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{PkiError, Validity};

/// 159 bits: the most that RFC 5280 leaves of 20 octets, as the number must be positive.
const SERIAL_LENGTH: usize = 20;

/// A certificate authority that can sign.
#[derive(Clone)]
pub struct Authority {
    cert_pem: String,
    key_pem: String,
    validity: Validity,
}

impl Authority {
    /// The certificate.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The key: a secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    fn issuer(&self) -> Result<Issuer<'_, KeyPair>, PkiError> {
        let key =
            KeyPair::from_pem(&self.key_pem).map_err(|source| PkiError::LoadKey { source })?;
        Issuer::from_ca_cert_pem(&self.cert_pem, key)
            .map_err(|source| PkiError::LoadCertificate { source })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// Makes a certificate authority that signs itself.
pub(super) fn new_authority(common_name: &str, validity: Validity) -> Result<Authority, PkiError> {
    let key = new_key(common_name)?;
    let mut parameters = parameters(common_name, None, &[common_name.to_owned()], validity)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let certificate = parameters
        .self_signed(&key)
        .map_err(|source| PkiError::Sign {
            name: common_name.to_owned(),
            source,
        })?;
    Ok(Authority {
        cert_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        validity,
    })
}

/// Takes up an authority of a running cluster, to issue certificates that hold for `validity`.
pub fn load_authority(
    cert_pem: &str,
    key_pem: &str,
    validity: Validity,
) -> Result<Authority, PkiError> {
    let authority = Authority {
        cert_pem: cert_pem.to_owned(),
        key_pem: key_pem.to_owned(),
        validity,
    };
    let may_sign = authority
        .issuer()?
        .key_usages()
        .contains(&KeyUsagePurpose::KeyCertSign);
    if may_sign && is_pair(cert_pem, key_pem) {
        Ok(authority)
    } else {
        Err(PkiError::NotAnAuthority)
    }
}

fn is_pair(cert_pem: &str, key_pem: &str) -> bool {
    let certificate = CertificateDer::from_pem_slice(cert_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes());
    let (Ok(certificate), Ok(key)) = (certificate, key) else {
        return false;
    };
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(vec![certificate], key, &provider).is_ok()
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage {
    Server,
    Client,
    Both,
}

impl Usage {
    fn purposes(self) -> Vec<ExtendedKeyUsagePurpose> {
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        match self {
            Self::Server => vec![server],
            Self::Client => vec![client],
            Self::Both => vec![server, client],
        }
    }
}

/// What a certificate shall say.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    common_name: String,
    pub(super) organization: Option<String>,
    names: Vec<String>,
    usage: Usage,
}

impl Leaf {
    pub(super) fn client(common_name: &str, organization: Option<&str>) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organization: organization.map(ToOwned::to_owned),
            names: Vec::new(),
            usage: Usage::Client,
        }
    }

    pub(super) fn server(common_name: &str, names: Vec<String>) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organization: None,
            names,
            usage: Usage::Server,
        }
    }

    /// etcd wants to be a client with the certificate that it serves with.
    pub(super) fn both(common_name: &str, names: Vec<String>) -> Self {
        let usage = Usage::Both;
        Self {
            usage,
            ..Self::server(common_name, names)
        }
    }
}

/// Makes a key and signs a certificate for it: certificate and key, as PEM.
pub(super) fn issue_leaf(ca: &Authority, leaf: &Leaf) -> Result<(String, String), PkiError> {
    let name = &leaf.common_name;
    let key = new_key(name)?;
    let organization = leaf.organization.as_deref();
    let mut parameters = parameters(name, organization, &leaf.names, ca.validity)?;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.extended_key_usages = leaf.usage.purposes();
    parameters.use_authority_key_identifier_extension = true;
    let certificate = parameters
        .signed_by(&key, &ca.issuer()?)
        .map_err(|source| PkiError::Sign {
            name: name.clone(),
            source,
        })?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn parameters(
    common_name: &str,
    organization: Option<&str>,
    names: &[String],
    validity: Validity,
) -> Result<CertificateParams, PkiError> {
    let mut parameters = with_names(names)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(organization) = organization {
        parameters
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    parameters.not_before = validity.not_before;
    parameters.not_after = validity.not_after;
    parameters.serial_number = Some(random_serial()?);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    Ok(parameters)
}

fn with_names(names: &[String]) -> Result<CertificateParams, PkiError> {
    // rcgen takes any ASCII text, clients do not.
    if let Some(name) = names.iter().find(|name| !is_address_or_name(name)) {
        return Err(PkiError::Name { name: name.clone() });
    }
    CertificateParams::new(names).map_err(|_| PkiError::Name {
        name: names.join(", "),
    })
}

fn is_address_or_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let plain = text.strip_prefix("*.").unwrap_or(text);
    text.parse::<std::net::IpAddr>().is_ok() || (text.len() <= 253 && plain.split('.').all(label))
}

fn new_key(name: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|source| PkiError::Key {
        name: name.to_owned(),
        source,
    })
}

fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; SERIAL_LENGTH];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| PkiError::Random)?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}
