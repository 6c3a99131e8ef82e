use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;

use super::*;

fn request() -> PkiRequest {
    PkiRequest {
        validity: Validity::years(OffsetDateTime::now_utc() - Duration::DAY, 10),
        minor: 36,
        master_name: "kube-master".into(),
        master_address: "10.192.0.2".parse().unwrap(),
        service_address: "10.96.0.1".parse().unwrap(),
        dns_domain: "cluster.local".into(),
        api_sans: vec!["127.0.0.1".into(), "localhost".into(), "fd00:20::2".into()],
        server: "https://control-plane:6443".into(),
        cluster_name: "kubernetes".into(),
    }
}

fn by_path(files: &[PkiFile]) -> BTreeMap<&str, &str> {
    let files: BTreeMap<_, _> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    files
}

fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    Arc::new(store)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn after(days: i64) -> UnixTime {
    let moment = OffsetDateTime::now_utc() + Duration::days(days);
    let seconds = u64::try_from(moment.unix_timestamp()).unwrap();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

fn serves(ca: &str, certificate: &str, name: &str, days: i64) -> Result<(), rustls::Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(ca), provider())
        .build()
        .unwrap();
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(&leaf, &[], &name, &[], after(days))
        .map(|_| ())
}

fn is_client(ca: &str, certificate: &str) -> Result<(), rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca), provider())
        .build()
        .unwrap();
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    verifier
        .verify_client_cert(&leaf, &[], after(0))
        .map(|_| ())
}

/// The certificate as text in which names can be searched: they stand in it as they are.
fn says(certificate: &str, text: &str) -> bool {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    der.windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn matches(certificate: &str, key: &str) {
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    rustls::sign::CertifiedKey::from_der(vec![leaf], key, &provider())
        .unwrap()
        .keys_match()
        .unwrap();
}

#[test]
fn all_files_of_kubeadm_are_there() {
    let pki = issue(&request()).unwrap();
    let listing: Vec<_> = pki
        .files
        .iter()
        .map(|file| format!("{:o} {}", file.mode, file.path))
        .collect();
    insta::assert_snapshot!(listing.join("\n"), @r"
    600 /etc/kubernetes/pki/sa.key
    600 /etc/kubernetes/pki/sa.pub
    644 /etc/kubernetes/pki/ca.crt
    600 /etc/kubernetes/pki/ca.key
    644 /etc/kubernetes/pki/front-proxy-ca.crt
    600 /etc/kubernetes/pki/front-proxy-ca.key
    644 /etc/kubernetes/pki/etcd/ca.crt
    600 /etc/kubernetes/pki/etcd/ca.key
    644 /etc/kubernetes/pki/apiserver.crt
    600 /etc/kubernetes/pki/apiserver.key
    644 /etc/kubernetes/pki/apiserver-kubelet-client.crt
    600 /etc/kubernetes/pki/apiserver-kubelet-client.key
    644 /etc/kubernetes/pki/front-proxy-client.crt
    600 /etc/kubernetes/pki/front-proxy-client.key
    644 /etc/kubernetes/pki/etcd/server.crt
    600 /etc/kubernetes/pki/etcd/server.key
    644 /etc/kubernetes/pki/etcd/peer.crt
    600 /etc/kubernetes/pki/etcd/peer.key
    644 /etc/kubernetes/pki/etcd/healthcheck-client.crt
    600 /etc/kubernetes/pki/etcd/healthcheck-client.key
    644 /etc/kubernetes/pki/apiserver-etcd-client.crt
    600 /etc/kubernetes/pki/apiserver-etcd-client.key
    644 /etc/kubernetes/pki/kube-controller-manager.crt
    600 /etc/kubernetes/pki/kube-controller-manager.key
    644 /etc/kubernetes/pki/kube-scheduler.crt
    600 /etc/kubernetes/pki/kube-scheduler.key
    600 /etc/kubernetes/admin.conf
    600 /etc/kubernetes/controller-manager.conf
    600 /etc/kubernetes/scheduler.conf
    600 /etc/kubernetes/super-admin.conf
    600 /etc/kubernetes/kubelet.conf
    600 /var/lib/kubelet/pki/kubelet-client-current.pem
    644 /var/lib/kubelet/pki/kubelet.crt
    600 /var/lib/kubelet/pki/kubelet.key
    ");
}

#[test]
fn certificates_chain_to_their_authority_and_carry_their_names() {
    let pki = issue(&request()).unwrap();
    let files = by_path(&pki.files);
    let certificate = |name: &str| files[format!("/etc/kubernetes/pki/{name}.crt").as_str()];
    let key = |name: &str| files[format!("/etc/kubernetes/pki/{name}.key").as_str()];
    let ca = certificate("ca");
    for name in [
        "kube-master",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "control-plane",
        "localhost",
        "10.96.0.1",
        "10.192.0.2",
        "127.0.0.1",
        "fd00:20::2",
    ] {
        serves(ca, certificate("apiserver"), name, 0).unwrap();
    }
    serves(ca, certificate("apiserver"), "example.org", 0).unwrap_err();
    for member in ["etcd/server", "etcd/peer"] {
        for name in ["kube-master", "localhost", "10.192.0.2", "127.0.0.1", "::1"] {
            serves(certificate("etcd/ca"), certificate(member), name, 0).unwrap();
        }
        is_client(certificate("etcd/ca"), certificate(member)).unwrap();
    }
    for component in [CONTROLLER_MANAGER, SCHEDULER] {
        serves(ca, certificate(component), "127.0.0.1", 3650).unwrap();
        is_client(ca, certificate(component)).unwrap_err();
        matches(certificate(component), key(component));
    }
    for (authority, client) in [
        ("ca", "apiserver-kubelet-client"),
        ("front-proxy-ca", "front-proxy-client"),
        ("etcd/ca", "apiserver-etcd-client"),
        ("etcd/ca", "etcd/healthcheck-client"),
    ] {
        is_client(certificate(authority), certificate(client)).unwrap();
        matches(certificate(client), key(client));
    }
    matches(ca, key("ca"));
    matches(certificate("apiserver"), key("apiserver"));
    is_client(ca, certificate("apiserver")).unwrap_err();
    is_client(ca, certificate("front-proxy-client")).unwrap_err();
}

#[test]
fn certificates_last_ten_years() {
    let pki = issue(&request()).unwrap();
    let files = by_path(&pki.files);
    let ca = files["/etc/kubernetes/pki/ca.crt"];
    let leaf = files["/etc/kubernetes/pki/apiserver.crt"];
    serves(ca, leaf, "kubernetes", 3650).unwrap();
    serves(ca, leaf, "kubernetes", 3660).unwrap_err();
    serves(ca, leaf, "kubernetes", -2).unwrap_err();
}

#[test]
fn administrators_were_masters_before_1_29() {
    for (minor, group, super_admin) in [
        (28, "system:masters", false),
        (29, "kubeadm:cluster-admins", true),
    ] {
        let pki = issue(&PkiRequest { minor, ..request() }).unwrap();
        let files = by_path(&pki.files);
        let client = files["/etc/kubernetes/pki/apiserver-kubelet-client.crt"];
        assert!(says(client, group));
        assert_eq!(
            files.contains_key("/etc/kubernetes/super-admin.conf"),
            super_admin
        );
    }
}

#[test]
fn kubeconfigs_name_user_endpoint_and_authority() {
    let pki = issue(&request()).unwrap();
    let files = by_path(&pki.files);
    for (file, user, server) in [
        ("admin", "kubernetes-admin", "https://control-plane:6443"),
        (
            "scheduler",
            "system:kube-scheduler",
            "https://10.192.0.2:6443",
        ),
        (
            "kubelet",
            "system:node:kube-master",
            "https://10.192.0.2:6443",
        ),
    ] {
        let text = files[format!("/etc/kubernetes/{file}.conf").as_str()];
        let config: serde_json::Value = serde_yaml::from_str(text).unwrap();
        assert_eq!(config["current-context"], format!("{user}@kubernetes"));
        assert_eq!(config["clusters"][0]["cluster"]["server"], server);
        if file == "kubelet" {
            let path = "/var/lib/kubelet/pki/kubelet-client-current.pem";
            assert_eq!(config["users"][0]["user"]["client-key"], path);
            continue;
        }
        let data = config["users"][0]["user"]["client-certificate-data"]
            .as_str()
            .unwrap();
        let certificate = base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap();
        let certificate = String::from_utf8(certificate).unwrap();
        is_client(pki.authorities.ca.cert_pem(), &certificate).unwrap();
        assert!(says(&certificate, user));
    }
}

#[test]
fn a_control_plane_kubelet_stays_local_since_1_33() {
    let server = |minor| {
        let pki = issue(&PkiRequest { minor, ..request() }).unwrap();
        let files = by_path(&pki.files);
        let text = files["/etc/kubernetes/kubelet.conf"];
        let config: serde_json::Value = serde_yaml::from_str(text).unwrap();
        config["clusters"][0]["cluster"]["server"].clone()
    };
    assert_eq!(server(32), "https://control-plane:6443");
    assert_eq!(server(33), "https://10.192.0.2:6443");
}

#[test]
fn a_worker_is_served_by_a_loaded_authority() {
    let ca = issue(&request()).unwrap().authorities.ca;
    let ca = load_authority(ca.cert_pem(), ca.key_pem(), request().validity).unwrap();

    let both = kubelet_client(&ca, "kube-node-1").unwrap();
    is_client(ca.cert_pem(), &both).unwrap();
    matches(&both, &both);
    assert!(says(&both, "system:node:kube-node-1") && says(&both, "system:nodes"));

    let addresses = ["10.192.0.3".parse().unwrap(), "fd00:20::3".parse().unwrap()];
    let (certificate, key) = kubelet_serving(&ca, "kube-node-1", &addresses).unwrap();
    matches(&certificate, &key);
    for name in ["kube-node-1", "10.192.0.3", "fd00:20::3"] {
        serves(ca.cert_pem(), &certificate, name, 0).unwrap();
    }
}

#[test]
fn an_authority_needs_a_key_and_the_flag() {
    let ca = issue(&request()).unwrap().authorities.ca;
    let (certificate, key) = client(&ca, "someone", None).unwrap();
    let validity = request().validity;
    for (certificate, key) in [(certificate.as_str(), key.as_str()), (ca.cert_pem(), &key)] {
        let loaded = load_authority(certificate, key, validity);
        assert!(matches!(loaded, Err(PkiError::NotAnAuthority)));
    }
    assert!(matches!(
        load_authority(ca.cert_pem(), "no key", validity),
        Err(PkiError::LoadKey { .. })
    ));
    assert!(matches!(
        load_authority("no certificate", ca.key_pem(), validity),
        Err(PkiError::LoadCertificate { .. })
    ));
}

#[test]
fn serial_numbers_differ() {
    let ca = issue(&request()).unwrap().authorities.ca;
    let one = client(&ca, "someone", None).unwrap().0;
    let other = client(&ca, "someone", None).unwrap().0;
    assert_ne!(one, other);
}

#[test]
fn names_that_no_certificate_can_hold_are_refused() {
    for name in [
        "",
        "two words",
        "naïve",
        "a..b",
        "-a",
        "10.0.0.0/8",
        "under_score",
    ] {
        let request = PkiRequest {
            api_sans: vec![name.into()],
            ..request()
        };
        let error = issue(&request).unwrap_err();
        assert!(
            matches!(&error, PkiError::Name { name: told } if told == name),
            "{error}"
        );
    }
    let request = PkiRequest {
        server: "control-plane:6443".into(),
        ..request()
    };
    assert!(matches!(issue(&request), Err(PkiError::Server { .. })));
}

#[test]
fn debug_output_shows_no_key() {
    let pki = issue(&request()).unwrap();
    let shown = format!("{pki:?}");
    assert!(shown.contains("/etc/kubernetes/pki/ca.key"));
    assert!(!shown.contains("BEGIN") && !shown.contains("client-key-data"));
}
