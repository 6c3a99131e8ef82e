//! What nodes are made with: their certificates and rights.

use crate::cluster::{ClusterSpec, NodeSpec, Role};
use crate::drain::Drain;
use crate::engine::{Engine, Rights};
use crate::error::Error;
use crate::execute::{self, Making, Work};
use crate::node::files;
use crate::pki::{self, PkiRequest, Validity};
use crate::plan::{self, Stage};
use futures_util::future;
use std::net::IpAddr;

/// How long the certificates of a cluster hold, in years: kept clusters outlive kubeadm's one.
const CERTIFICATE_YEARS: u16 = 10;

/// The certificates of what is made: all new with a new master, else of the authority that the master keeps.
pub(super) async fn making<'a>(
    engine: &Engine,
    work: &Work<'_>,
    spec: &'a ClusterSpec,
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
    let (master, authority) = if plan::creates(stages, Some(Role::Master)) {
        let request = pki_request(spec, spec.master(), validity);
        let pki = pki::issue(&request)
            .map_err(|source| Error::other("issue the cluster's certificates", source))?;
        (pki.files, Some(pki.authorities.ca))
    } else if plan::creates(stages, Some(Role::Worker)) {
        (
            Vec::new(),
            Some(authority_of(engine, spec.master(), validity).await?),
        )
    } else {
        (Vec::new(), None)
    };
    Ok(Making {
        spec,
        master,
        authority,
        rights,
        port: plan::kept_port(stages),
        drain,
    })
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

async fn authority_of(
    engine: &Engine,
    master: &NodeSpec,
    validity: Validity,
) -> Result<pki::Authority, Error> {
    let doing = || format!("read the authority of {}", master.container);
    let read = |path: &'static str| async move {
        let content = engine
            .read_file(&master.container, path)
            .await
            .map_err(|source| Error::other(doing(), source))?;
        let content =
            content.ok_or_else(|| Error::message(format!("{} has no {path}", master.container)))?;
        String::from_utf8(content).map_err(|source| Error::other(doing(), source))
    };
    let (certificate, key) = future::try_join(
        read("/data/etc/kubernetes/pki/ca.crt"),
        read("/data/etc/kubernetes/pki/ca.key"),
    )
    .await?;
    pki::load_authority(&certificate, &key, validity)
        .map_err(|source| Error::other(doing(), source))
}
