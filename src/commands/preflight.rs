//! What is asked before anything is made: do the settings fit the cluster that is there, and can the host carry it?

use super::identity::Identity;
use super::standing::Standing;
use crate::cluster::network::CLONE_MTU;
use crate::cluster::overlap::{Taken, overlaps};
use crate::cluster::{ClusterSpec, Role};
use crate::doctor::{self, Load};
use crate::engine::{Facts, Network, label};
use crate::error::Error;
use crate::plan::{self, Stage, Step};
use crate::report::Reporter;
use std::net::{SocketAddr, TcpListener};

/// A cluster keeps its settings while it has nodes: others are refused, each by name.
pub(super) fn check_settings(
    spec: &ClusterSpec,
    networks: &[Network],
    identity: &Identity,
    standing: &Standing,
) -> Result<(), Error> {
    if let Some(network) = networks
        .iter()
        .find(|network| network.name == spec.network.name)
    {
        if !network.labels.contains_key(label::CLUSTER) {
            return Err(Error::with_hint(
                format!("there is a network `{}` that is not ours", network.name),
                "remove it, or choose another cluster with `--cluster-id` or `--label`",
            ));
        }
        if !network.subnets.contains(&spec.network.subnet) {
            return Err(Error::with_hint(
                format!(
                    "network `{}` does not have the range {}",
                    network.name, spec.network.subnet
                ),
                format!(
                    "give the `--dind-subnet` that it was made with, or remove it, and the cluster's snapshots, with \
                     `local-cluster{} clean`",
                    identity.flag()
                ),
            ));
        }
    }
    let Some(running) = standing.settings(identity)? else {
        return Ok(());
    };
    let differences = ClusterSpec::differences(&spec.fingerprint(), &running);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::with_hint(
        format!(
            "cluster `{}` was made with other settings: {}",
            spec.names.context(),
            plan::describe(&differences)
        ),
        format!(
            "give the settings that it has, or remove it with `local-cluster{} down` and make it anew",
            identity.flag()
        ),
    ))
}

/// Whether a network of ours is not for such a cluster: a clone's carries larger packets than Docker's own choice.
pub(super) fn is_unfit(network: &Network, spec: &ClusterSpec) -> bool {
    is_of(network, spec) && (network.mtu == Some(CLONE_MTU)) != spec.network.is_clone()
}

/// Whether it is the network that this cluster, or an earlier one of its name, was made with.
fn is_of(network: &Network, spec: &ClusterSpec) -> bool {
    network.name == spec.network.name && network.labels.contains_key(label::CLUSTER)
}

/// What the host is to carry.
pub(super) fn load(stages: &[Stage], image_stages: &[Stage]) -> Load {
    let created = |role: Role| {
        steps(stages)
            .filter(|step| matches!(step, Step::CreateNode(node) | Step::JoinMaster(node) | Step::RecreateNode(node) if node.role == role))
            .count() as u64
    };
    Load {
        masters: created(Role::Master),
        workers: created(Role::Worker),
        images: !image_stages.is_empty(),
    }
}

fn steps(stages: &[Stage]) -> impl Iterator<Item = &Step> {
    stages.iter().flat_map(|stage| &stage.steps)
}

/// The engine's host is this one.
fn is_local() -> bool {
    std::env::var_os("DOCKER_HOST").is_none_or(|host| host.to_string_lossy().starts_with("unix:"))
}

/// What the engine and its host lack is told before anything is made.
pub(super) fn check_host(facts: &Facts, load: Load, reporter: &Reporter) -> Result<(), Error> {
    let host = is_local().then(|| doctor::host::read(&facts.data_root));
    let mut fatal = Vec::new();
    for finding in doctor::examine(facts, host.as_ref(), load) {
        if finding.fatal {
            fatal.push(finding);
        } else {
            reporter.warn(finding.text, Some(&finding.remedy));
        }
    }
    if !fatal.is_empty() {
        let text: Vec<&str> = fatal.iter().map(|finding| finding.text.as_str()).collect();
        let remedies: Vec<&str> = fatal
            .iter()
            .map(|finding| finding.remedy.as_str())
            .collect();
        return Err(Error::with_hint(text.join("; "), remedies.join("; ")));
    }
    Ok(())
}

/// A port that was asked for must be free: the engine would say so only when all but the start of the node is done.
pub(super) fn check_port(spec: &ClusterSpec) -> Result<(), Error> {
    let Some(port) = spec.api_server_port.filter(|_| is_local()) else {
        return Ok(());
    };
    let address = SocketAddr::from((spec.api_server_address, port));
    match TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(Error::with_hint(
            format!("{address} is taken, which the API server was to have"),
            "choose another port with `--apiserver-port`, or leave it out, and one that is free is taken",
        )),
        // What else is wrong with it, if it is, the engine says.
        _ => Ok(()),
    }
}

/// The ranges of a network that is to be made must be nobody else's. What it has now it may have again.
pub(super) fn check_ranges(
    spec: &ClusterSpec,
    networks: &[Network],
    stages: &[Stage],
) -> Result<(), Error> {
    if !steps(stages).any(|step| *step == Step::CreateNetwork) {
        return Ok(());
    }
    let mut taken: Vec<Taken> = networks
        .iter()
        .flat_map(|network| {
            network.subnets.iter().map(|subnet| Taken {
                what: format!("Docker network `{}`", network.name),
                subnet: *subnet,
            })
        })
        .collect();
    if is_local() {
        taken.extend(doctor::host::routes());
    }
    let own = networks
        .iter()
        .filter(|network| is_of(network, spec))
        .flat_map(|network| &network.subnets);
    let own: Vec<_> = own.collect();
    taken.retain(|taken| !own.contains(&&taken.subnet));
    let overlaps: Vec<String> = overlaps(spec, &taken)
        .iter()
        .map(ToString::to_string)
        .collect();
    if overlaps.is_empty() {
        return Ok(());
    }
    Err(Error::with_hint(
        overlaps.join("\n"),
        "choose other ranges with `--dind-subnet`, `--pod-subnet` or `--service-subnet`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;

    #[test]
    fn a_port_that_was_asked_for_must_be_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let spec = sample::spec(|input| input.api_server_port = Some(address.port()));
        let error = check_port(&spec).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        drop(taken);
        assert!(check_port(&spec).is_ok());
        assert!(check_port(&sample::spec(|_| {})).is_ok());
    }
}
