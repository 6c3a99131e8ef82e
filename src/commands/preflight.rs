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
                "give the `--dind-subnet` that it was made with, or remove it with `local-cluster clean`",
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
