//! The address ranges of a cluster, and who has which address in them.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnetwork::Ipv4Network;

use super::{ClusterId, Names, SpecInput, SpecProblem};

// The address table: the last number of each address in the cluster's /24. Addresses never change, so an entry may be
// added but not moved. The lower half is ours; Docker takes what nobody asked for from the upper half.

/// Docker's end of the network.
pub const GATEWAY: u8 = 1;
/// The first master.
pub const MASTER: u8 = 2;
/// Workers 1 to 100.
pub const WORKERS: RangeInclusive<u8> = 3..=102;
/// Masters 2 to 5.
pub const FURTHER_MASTERS: RangeInclusive<u8> = 103..=106;
/// The load balancer before several masters.
pub const LOAD_BALANCER: u8 = 110;
/// The DNS server that gives IPv4-only names IPv6 addresses.
pub const DNS64: u8 = 111;
/// The translator from IPv6 to IPv4.
pub const NAT64: u8 = 112;
/// For services of type LoadBalancer.
pub const LOAD_BALANCER_SERVICES: RangeInclusive<u8> = 113..=126;
/// The first of the addresses that Docker may give away by itself.
pub const DOCKER_CHOICE: u8 = 128;

/// What the network of a clone can carry: the nodes' packets, of 1500 bytes, and the tunnel around them.
pub const CLONE_MTU: u16 = 1550;

/// The most workers that the address table has room for.
pub const MAX_WORKERS: u16 = 100;

/// The most masters that it has room for.
pub const MAX_MASTERS: u16 = 5;

/// Prefix length of a cluster's network, and of a node's pods.
pub const SUBNET_PREFIX: u8 = 24;
/// Prefix lengths that a pool of clusters' networks may have.
pub const POOL_PREFIXES: RangeInclusive<u8> = 8..=24;
/// Prefix lengths that the pod subnet may have: each node number needs a /24 in it.
pub const POD_PREFIXES: RangeInclusive<u8> = 8..=16;
/// Prefix lengths that the service subnet may have: Kubernetes allows no larger one.
pub const SERVICE_PREFIXES: RangeInclusive<u8> = 12..=24;

/// The address ranges of one cluster and the fixed addresses in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Name of the Docker network.
    pub name: String,
    /// The pool that the network is taken from (`dind.subnet`).
    pub pool: Ipv4Network,
    /// The network's range: the Nth /24 of the pool.
    pub subnet: Ipv4Network,
    /// The nodes' own addresses: the same, but in a clone, whose nodes keep those that they had.
    pub node_subnet: Ipv4Network,
    /// The network's gateway, `.1`.
    pub gateway: Ipv4Addr,
    /// Where Docker takes addresses from that nobody asked for: the upper half, `.128/25`. Without it, Docker would
    /// give a stopped node's address to another container.
    pub ip_range: Ipv4Network,
    /// All pods of the cluster.
    pub pod_subnet: Ipv4Network,
    /// All services of the cluster.
    pub service_subnet: Ipv4Network,
    /// The service of the API server: the first address, by Kubernetes' rule.
    pub api_service: Ipv4Addr,
    /// The service of the cluster's DNS: the tenth address, by kubeadm's rule.
    pub dns_service: Ipv4Addr,
}

impl NetworkPlan {
    /// The plan for cluster `id`; the input's ranges are checked already.
    pub(super) fn new(
        names: &Names,
        id: ClusterId,
        input: &SpecInput,
    ) -> Result<Self, SpecProblem> {
        let subnet = cluster_subnet(input.pool, id)?;
        Ok(Self {
            name: names.network(),
            pool: input.pool,
            subnet,
            node_subnet: input.node_subnet.unwrap_or(subnet),
            gateway: address_in(subnet, GATEWAY),
            ip_range: network(address_in(subnet, DOCKER_CHOICE), SUBNET_PREFIX + 1),
            pod_subnet: input.pod_subnet,
            service_subnet: input.service_subnet,
            api_service: address_in(input.service_subnet, 1),
            dns_service: address_in(input.service_subnet, 10),
        })
    }

    /// Whether the nodes have other addresses than Docker gives them: those of the cluster that this is a clone of.
    pub fn is_clone(&self) -> bool {
        self.node_subnet != self.subnet
    }

    /// The address of the node with this number: 1 is the first master, i + 1 is worker i, 100 + i is master i.
    pub(super) fn node_address(&self, number: u16) -> Ipv4Addr {
        numbered(self.node_subnet, number)
    }

    /// The address that Docker gives the node with this number.
    pub(super) fn docker_address(&self, number: u16) -> Ipv4Addr {
        numbered(self.subnet, number)
    }

    /// The load balancer's address among the nodes, and the one that Docker gives it.
    pub(super) fn load_balancer(&self) -> (Ipv4Addr, Ipv4Addr) {
        let of = |subnet| address_in(subnet, LOAD_BALANCER);
        (of(self.node_subnet), of(self.subnet))
    }

    /// The pods of the node with this number: the /24 of the pod subnet with the same number.
    pub(super) fn pod_range(&self, number: u16) -> Ipv4Network {
        let first = u32::from(self.pod_subnet.network());
        network(
            Ipv4Addr::from(first | (u32::from(number) << 8)),
            SUBNET_PREFIX,
        )
    }
}

/// The address of a node in a range that has the table's order.
fn numbered(subnet: Ipv4Network, number: u16) -> Ipv4Addr {
    let first = u32::from(address_in(subnet, MASTER));
    Ipv4Addr::from(first + u32::from(number) - 1)
}

/// The network of cluster `id`: the pool's /24 with that number.
pub(super) fn cluster_subnet(pool: Ipv4Network, id: ClusterId) -> Result<Ipv4Network, SpecProblem> {
    let fitting = 1_u32 << SUBNET_PREFIX.saturating_sub(pool.prefix());
    if u32::from(id.get()) >= fitting {
        return Err(SpecProblem::PoolTooSmall { pool, id, fitting });
    }
    let first = u32::from(pool.network()) | (u32::from(id.get()) << 8);
    Ok(network(Ipv4Addr::from(first), SUBNET_PREFIX))
}

/// The address with this number in a network that has at least that many.
fn address_in(subnet: Ipv4Network, number: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) | u32::from(number))
}

/// A network from its parts; a prefix over 32 means the single address.
pub(super) fn network(address: Ipv4Addr, prefix: u8) -> Ipv4Network {
    Ipv4Network::new_checked(address, prefix).unwrap_or_else(|| address.into())
}

/// The network without host bits: `10.1.2.3/16` is `10.1.0.0/16`.
pub(super) fn without_host_bits(given: Ipv4Network) -> Ipv4Network {
    network(given.network(), given.prefix())
}
