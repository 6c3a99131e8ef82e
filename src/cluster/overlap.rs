//! Whether the cluster's ranges are free on the engine and on the client, and what is free where they are not.

use std::fmt;

use ipnetwork::Ipv4Network;

use super::network::{network, without_host_bits};
use super::problem::setting;
use super::{ClusterSpec, NetworkPlan};

/// The ranges for private use (RFC 1918), in which free ones are looked for.
const PRIVATE: [([u8; 4], u8); 3] = [
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
];

/// Routes with a shorter prefix lead everywhere: the default route, and the two halves that VPN clients put in its
/// place. Every range overlaps them, and that is no conflict.
const SHORTEST_PREFIX: u8 = 2;

/// So many are named who use a range of ours: a host may have hundreds of routes.
const NAMED: usize = 3;

/// A range that somebody else uses. The cluster's own network and the routes it brings are for the caller to leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Who uses it, as it is to stand in a message: "Docker network `foo`", "route of this host".
    pub what: String,
    /// The range.
    pub subnet: Ipv4Network,
}

/// One of the cluster's ranges that others use already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The setting and its range.
    pub ours: String,
    /// Who use it, each with the range.
    pub theirs: Vec<String>,
    /// A value for the setting that overlaps nothing, if there is one.
    pub free: Option<Ipv4Network>,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = &self.theirs[..self.theirs.len().min(NAMED)];
        write!(f, "{} overlaps {}", self.ours, named.join(", "))?;
        if self.theirs.len() > NAMED {
            write!(f, " and {} others", self.theirs.len() - NAMED)?;
        }
        match self.free {
            Some(free) => write!(f, "; {free} is free"),
            None => Ok(()),
        }
    }
}

/// The ranges of the cluster that others use.
pub fn overlaps(spec: &ClusterSpec, taken: &[Taken]) -> Vec<Overlap> {
    let taken: Vec<_> = taken
        .iter()
        .filter(|taken| taken.subnet.prefix() >= SHORTEST_PREFIX)
        .collect();
    let plan = &spec.network;
    let mut avoid: Vec<_> = taken
        .iter()
        .map(|taken| without_host_bits(taken.subnet))
        .collect();
    avoid.extend([plan.subnet, plan.pod_subnet, plan.service_subnet]);

    let mut found = Vec::new();
    for (setting, used, whole) in ranges(plan) {
        let hits: Vec<_> = taken
            .iter()
            .filter(|taken| taken.subnet.overlaps(used))
            .collect();
        if hits.is_empty() {
            continue;
        }
        let free = free_like(whole, &avoid);
        avoid.extend(free);
        let theirs = hits.into_iter();
        let theirs =
            theirs.map(|taken| format!("{} ({})", taken.what, without_host_bits(taken.subnet)));
        found.push(Overlap {
            ours: format!("`{setting}` {used}"),
            theirs: theirs.collect(),
            free,
        });
    }
    found
}

/// Each setting with the range that the cluster uses and the setting's whole range.
fn ranges(plan: &NetworkPlan) -> [(&'static str, Ipv4Network, Ipv4Network); 3] {
    [
        (setting::POOL, plan.subnet, plan.pool),
        (setting::POD_SUBNET, plan.pod_subnet, plan.pod_subnet),
        (
            setting::SERVICE_SUBNET,
            plan.service_subnet,
            plan.service_subnet,
        ),
    ]
}

/// A private range of the same size as `model` that overlaps nothing of `avoid`: the next after `model` in its own
/// private range, or else the first in any.
fn free_like(model: Ipv4Network, avoid: &[Ipv4Network]) -> Option<Ipv4Network> {
    let all = || {
        PRIVATE
            .into_iter()
            .map(|(address, prefix)| network(address.into(), prefix))
            .flat_map(|private| subnets(private, model.prefix()))
    };
    let free = |candidate: &Ipv4Network| !avoid.iter().any(|taken| taken.overlaps(*candidate));
    let later = all().filter(|candidate| candidate.network() > model.network());
    later.chain(all()).find(free)
}

/// The subnets of `whole` with this prefix length, in order; none where it is too short.
fn subnets(whole: Ipv4Network, prefix: u8) -> impl Iterator<Item = Ipv4Network> {
    let bits = prefix.checked_sub(whole.prefix());
    let count = bits.map_or(0, |bits| 1_u32 << bits);
    let size = 1_u32.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    (0..count).map(move |i| network((u32::from(whole.network()) + i * size).into(), prefix))
}
