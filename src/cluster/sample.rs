//! Inputs and specs for tests.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{ClusterSpec, CniPlugin, DEFAULT_VERSION, KubernetesVersion, Members, SpecInput};

/// So many workers, without holes.
pub(crate) fn first(count: u16) -> BTreeSet<u16> {
    (1..=count).collect()
}

/// The default settings, with two workers.
pub(crate) fn input() -> SpecInput {
    SpecInput {
        id: 0,
        label: None,
        members: Members {
            masters: first(1),
            workers: first(2),
        },
        balanced: false,
        no_dedicated: false,
        unsafe_fast: false,
        version: DEFAULT_VERSION,
        cni: CniPlugin::Bridge,
        pool: "10.192.0.0/16".parse().unwrap(),
        node_subnet: None,
        pod_subnet: "10.244.0.0/16".parse().unwrap(),
        service_subnet: "10.96.0.0/16".parse().unwrap(),
        api_server_port: None,
        api_server_address: Ipv4Addr::LOCALHOST,
    }
}

/// The spec of the default settings after `change`.
pub(crate) fn spec(change: impl FnOnce(&mut SpecInput)) -> ClusterSpec {
    let mut input = input();
    change(&mut input);
    ClusterSpec::new(&input).unwrap()
}

/// The spec of three masters and so many workers.
pub(crate) fn three_masters(workers: u16) -> ClusterSpec {
    spec(|input| {
        input.members = Members {
            masters: first(3),
            workers: first(workers),
        };
        input.balanced = true;
    })
}

/// The spec of the default settings for this version, be it supported or not.
pub(crate) fn of_version(major: u16, minor: u16, patch: u16) -> ClusterSpec {
    let version = KubernetesVersion::new(major, minor, patch);
    ClusterSpec {
        version,
        ..spec(|_| {})
    }
}
