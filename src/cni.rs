//! How pods are connected: each node's CNI configuration, its routes to the other nodes' pods, and its masquerading.
//!
//! This room is pure: a [`ClusterSpec`] goes in, data comes out. Configuration, routes and rules are the same for the
//! life of a node, and none of them survives a restart by itself: they belong to the node's boot.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::Serialize;

use crate::cluster::{ClusterSpec, CniPlugin, NodeSpec};

/// The bridge of a node's pods.
const BRIDGE: &str = "cni0";

/// The CNI network configuration list of a node, JSON.
pub fn conflist(spec: &ClusterSpec, node: &NodeSpec) -> String {
    let list = ConfigurationList {
        cni_version: "0.4.0",
        name: "local-cluster",
        plugins: (connector(spec.cni, node), PortMap::new()),
    };
    let mut text = serde_json::to_string_pretty(&list)
        .expect("structs of strings, lists and flags can be written as JSON");
    text.push('\n');
    text
}

/// The node's routes: each other node's pods, by way of that node.
///
/// Of all nodes that the cluster can have, since their addresses are fixed: who comes later is known to all that are
/// there, and packets to who is not there end at the node instead of leaving by its default route.
pub fn routes(spec: &ClusterSpec, node: &NodeSpec) -> Vec<(Ipv4Network, Ipv4Addr)> {
    spec.possible_masters()
        .chain(spec.possible_workers())
        .filter(|other| other.number != node.number)
        .map(|other| (other.pod_subnet, other.address))
        .collect()
}

/// The node's rule in the `nat` table that gives its pods' packets the node's address on their way out: chain and rule,
/// to be put behind `iptables -t nat -C` (is it there?) and `-A` (add it).
///
/// Between pods, on whichever nodes, addresses stay as they are; Kubernetes demands it. Everything else is masqueraded,
/// packets to the nodes' network too: its gateway and foreign containers in it have no route back to pods. What stays
/// on the bridge is left alone, since multicast and broadcast there may pass through this chain as well.
///
/// The plugins' own `ipMasq` cannot be used: it spares the node's own pods only, not those of other nodes.
pub fn masquerade(spec: &ClusterSpec, node: &NodeSpec) -> Vec<String> {
    let own = node.pod_subnet.to_string();
    let all = spec.network.pod_subnet.to_string();
    [
        "POSTROUTING",
        "-s",
        &own,
        "!",
        "-d",
        &all,
        "!",
        "-o",
        BRIDGE,
        "-j",
        "MASQUERADE",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The plugin that connects a pod with its node.
fn connector(plugin: CniPlugin, node: &NodeSpec) -> Connector {
    let ipam = HostLocal::new(node.pod_subnet);
    match plugin {
        CniPlugin::Bridge => Connector::Bridge {
            bridge: BRIDGE,
            is_gateway: true,
            ip_masq: false,
            hairpin_mode: true,
            ipam,
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigurationList {
    cni_version: &'static str,
    name: &'static str,
    plugins: (Connector, PortMap),
}

#[derive(Serialize)]
#[serde(
    tag = "type",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
enum Connector {
    Bridge {
        bridge: &'static str,
        /// Gives the bridge the range's first address. Not `isDefaultGateway`, which newer releases of the plugin
        /// refuse beside a default route.
        is_gateway: bool,
        ip_masq: bool,
        /// Lets a pod reach itself through a service.
        hairpin_mode: bool,
        ipam: HostLocal,
    },
}

/// Hands out the addresses of the node's pod range.
#[derive(Serialize)]
#[serde(tag = "type", rename = "host-local", rename_all = "camelCase")]
struct HostLocal {
    /// Under /run, so that leases end with the pods when a node stops; elsewhere they would leak.
    data_dir: &'static str,
    ranges: [[Range; 1]; 1],
    routes: [Route; 1],
}

impl HostLocal {
    fn new(subnet: Ipv4Network) -> Self {
        Self {
            data_dir: "/run/cni",
            ranges: [[Range { subnet }]],
            routes: [Route { dst: "0.0.0.0/0" }],
        }
    }
}

#[derive(Serialize)]
struct Range {
    subnet: Ipv4Network,
}

#[derive(Serialize)]
struct Route {
    dst: &'static str,
}

/// Serves pods' host ports.
#[derive(Serialize)]
#[serde(tag = "type", rename = "portmap")]
struct PortMap {
    capabilities: Capabilities,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    port_mappings: bool,
}

impl PortMap {
    fn new() -> Self {
        Self {
            capabilities: Capabilities {
                port_mappings: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;

    #[test]
    fn the_bridge_of_the_first_worker() {
        let spec = sample::spec(|_| {});
        insta::assert_snapshot!(conflist(&spec, &spec.nodes[1]), @r#"
        {
          "cniVersion": "0.4.0",
          "name": "local-cluster",
          "plugins": [
            {
              "type": "bridge",
              "bridge": "cni0",
              "isGateway": true,
              "ipMasq": false,
              "hairpinMode": true,
              "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni",
                "ranges": [
                  [
                    {
                      "subnet": "10.244.2.0/24"
                    }
                  ]
                ],
                "routes": [
                  {
                    "dst": "0.0.0.0/0"
                  }
                ]
              }
            },
            {
              "type": "portmap",
              "capabilities": {
                "portMappings": true
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn routes_lead_to_all_others_that_there_can_be() {
        let spec = sample::spec(|_| {});
        let lines = |node| {
            let routes = routes(&spec, node).into_iter();
            routes
                .map(|(range, via)| format!("{range} via {via}"))
                .collect::<Vec<_>>()
        };
        let of_master = lines(spec.master());
        assert_eq!(of_master.len(), 104);
        assert_eq!(of_master[0], "10.244.102.0/24 via 10.192.0.103");
        assert_eq!(of_master[3], "10.244.105.0/24 via 10.192.0.106");
        assert_eq!(of_master[4], "10.244.2.0/24 via 10.192.0.3");
        assert_eq!(of_master[103], "10.244.101.0/24 via 10.192.0.102");
        assert_eq!(
            lines(&spec.nodes[2])[4..7],
            [
                "10.244.105.0/24 via 10.192.0.106",
                "10.244.2.0/24 via 10.192.0.3",
                "10.244.4.0/24 via 10.192.0.5"
            ]
        );
    }

    #[test]
    fn pods_keep_their_address_between_each_other_only() {
        let spec = sample::spec(|_| {});
        assert_eq!(
            masquerade(&spec, &spec.nodes[1]).join(" "),
            "POSTROUTING -s 10.244.2.0/24 ! -d 10.244.0.0/16 ! -o cni0 -j MASQUERADE"
        );
    }
}
