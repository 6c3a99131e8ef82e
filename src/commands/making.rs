//! What nodes are made with: their certificates and rights.

use crate::cluster::{ClusterSpec, NodeSpec, Role};
use crate::drain::Drain;
use crate::engine::{Engine, Rights};
use crate::error::Error;
use crate::execute::{self, Making, Work};
use crate::node::access::Way;
use crate::node::files;
use crate::pki::{self, Authorities, PkiError, PkiFile, PkiRequest, Validity};
use crate::plan::{self, Stage};
use futures_util::future;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How long the certificates of a cluster hold, in years: kept clusters outlive kubeadm's one.
const CERTIFICATE_YEARS: u16 = 10;

/// The certificates of what is made: all new with a new master, else of the authority that the master keeps.
pub(super) async fn making<'a>(
    engine: &Engine,
    work: &Work<'_>,
    spec: &'a ClusterSpec,
    way: Way,
    stages: &[Stage],
    drain: Drain,
) -> Result<Making<'a>, Error> {
    // Only a node that is made needs to know.
    let rights = if plan::needs_rights(stages) {
        execute::rights(work).await?
    } else {
        Rights::Privileged
    };
    let not_before = time::OffsetDateTime::now_utc() - time::Duration::DAY;
    let validity = Validity::years(not_before, CERTIFICATE_YEARS);
    let refused = |source| Error::other("issue the cluster's certificates", source);
    let mut masters = BTreeMap::new();
    let authority = if plan::creates(stages, Some(Role::Master)) {
        let pki = pki::issue(&pki_request(spec, spec.master(), validity)).map_err(refused)?;
        for node in spec.masters().skip(1) {
            let files = further(spec, node, &pki.authorities, &pki.shared, validity);
            masters.insert(node.name.clone(), files.map_err(refused)?);
        }
        masters.insert(spec.master().name.clone(), pki.files);
        Some(pki.authorities.ca)
    } else if plan::joining(stages).next().is_some() || plan::creates(stages, Some(Role::Worker)) {
        let shared = shared_of(engine, &way.master).await?;
        let authorities = pki::load_authorities(&shared, validity).map_err(refused)?;
        for node in plan::joining(stages) {
            let files = further(spec, node, &authorities, &shared, validity);
            masters.insert(node.name.clone(), files.map_err(refused)?);
        }
        Some(authorities.ca)
    } else {
        None
    };
    Ok(Making {
        spec,
        masters,
        authority,
        way,
        rights,
        port: plan::kept_port(stages),
        drain,
    })
}

/// What a master has that is not the first: its own, and what all share.
fn further(
    spec: &ClusterSpec,
    node: &NodeSpec,
    authorities: &Authorities,
    shared: &[PkiFile],
    validity: Validity,
) -> Result<Vec<PkiFile>, PkiError> {
    let mut files = shared.to_vec();
    let request = pki_request(spec, node, validity);
    files.extend(pki::issue_control_plane(authorities, &request)?);
    Ok(files)
}

fn pki_request(spec: &ClusterSpec, master: &NodeSpec, validity: Validity) -> PkiRequest {
    PkiRequest {
        validity,
        minor: u64::from(spec.version.minor),
        master_name: master.name.clone(),
        master_address: IpAddr::V4(master.address),
        service_address: IpAddr::V4(spec.network.api_service),
        dns_domain: "cluster.local".to_owned(),
        api_sans: crate::kubernetes::cert_sans(spec),
        server: files::server(spec),
        cluster_name: spec.names.context(),
    }
}

/// What all masters share, as this one has it.
async fn shared_of(engine: &Engine, master: &str) -> Result<Vec<PkiFile>, Error> {
    let doing = || format!("read the authorities of {master}");
    let files = pki::SHARED.iter().map(|(name, mode)| async move {
        let path = format!("/data/etc/kubernetes/pki/{name}");
        let content = engine
            .read_file(master, &path)
            .await
            .map_err(|source| Error::other(doing(), source))?;
        let content = content.ok_or_else(|| Error::message(format!("{master} has no {path}")))?;
        let text = String::from_utf8(content).map_err(|source| Error::other(doing(), source))?;
        Ok(pki::shared_file((name, *mode), text))
    });
    future::try_join_all(files).await
}
