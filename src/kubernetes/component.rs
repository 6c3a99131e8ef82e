//! Configuration of the programs on every node: kubelet and kube-proxy.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::HostFacts;
use super::kubeadm::DNS_DOMAIN;
use crate::cluster::ClusterSpec;

/// The resolver configuration that pods inherit. The node's own names Docker's DNS server on a loopback address, which
/// pods cannot reach.
const RESOLV_CONF: &str = "/etc/local-cluster/resolv.conf";

/// How dear kubelet and kube-proxy are to the kernel when memory ends. Theirs is -999 by default. Where nodes may not have
/// that, they stay as dear as they are: each start of theirs would try it twice, with 100 ms of sleep after each.
fn oom_score_adj(host: HostFacts) -> Option<i32> {
    (!host.sys_resource).then_some(0)
}

/// Configures kubelet, for all nodes alike.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KubeletConfiguration {
    api_version: &'static str,
    kind: &'static str,
    cgroup_driver: &'static str,
    /// Kubelet 1.31 learnt to refuse cgroup v1, and 1.35 does unless told otherwise.
    #[serde(rename = "failCgroupV1", skip_serializing_if = "Option::is_none")]
    fail_cgroup_v1: Option<bool>,
    /// The host's swap is not ours to turn off.
    fail_swap_on: bool,
    #[serde(rename = "clusterDNS")]
    cluster_dns: [Ipv4Addr; 1],
    cluster_domain: &'static str,
    resolv_conf: &'static str,
    rotate_certificates: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i32>,
    /// After a restart a kubelet takes the Ready of before for its own, and looks again after this time, when it has said
    /// meanwhile that it is not: 10 s unless told otherwise. It waits as long for the API server's answer to each of its
    /// heartbeats, so that it must be longer than several masters take to agree on a leader. What has not changed it reports
    /// at the other interval, which would be the same one where it is not given.
    node_status_update_frequency: &'static str,
    node_status_report_frequency: &'static str,
    /// 0: pulls are not throttled.
    #[serde(rename = "registryPullQPS")]
    registry_pull_qps: u32,
    #[serde(rename = "kubeAPIQPS")]
    kube_api_qps: u32,
    #[serde(rename = "kubeAPIBurst")]
    kube_api_burst: u32,
    /// The disk is the host's, and its filling up no reason to throw away images: 100 turns that off.
    #[serde(rename = "imageGCHighThresholdPercent")]
    image_gc_high_threshold_percent: u8,
    eviction_hard: EvictionHard,
}

impl KubeletConfiguration {
    pub(super) fn new(spec: &ClusterSpec, host: HostFacts) -> Self {
        let must_allow_v1 = host.cgroup_v1 && spec.version.is_at_least(31);
        Self {
            api_version: "kubelet.config.k8s.io/v1beta1",
            kind: "KubeletConfiguration",
            cgroup_driver: if host.cgroup_v1 {
                "cgroupfs"
            } else {
                "systemd"
            },
            fail_cgroup_v1: must_allow_v1.then_some(false),
            fail_swap_on: false,
            cluster_dns: [spec.network.dns_service],
            cluster_domain: DNS_DOMAIN,
            resolv_conf: RESOLV_CONF,
            rotate_certificates: true,
            oom_score_adj: oom_score_adj(host),
            node_status_update_frequency: "4s",
            node_status_report_frequency: "5m0s",
            registry_pull_qps: 0,
            kube_api_qps: 500,
            kube_api_burst: 1000,
            image_gc_high_threshold_percent: 100,
            eviction_hard: EvictionHard {
                nodefs_available: "0%",
                nodefs_inodes_free: "0%",
                imagefs_available: "0%",
            },
        }
    }
}

/// No pod is evicted because the host's disk fills up.
#[derive(Serialize)]
struct EvictionHard {
    #[serde(rename = "nodefs.available")]
    nodefs_available: &'static str,
    #[serde(rename = "nodefs.inodesFree")]
    nodefs_inodes_free: &'static str,
    #[serde(rename = "imagefs.available")]
    imagefs_available: &'static str,
}

/// Configures kube-proxy, for all nodes alike.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KubeProxyConfiguration {
    api_version: &'static str,
    kind: &'static str,
    mode: &'static str,
    #[serde(rename = "clusterCIDR")]
    cluster_cidr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i32>,
    conntrack: Conntrack,
    iptables: Iptables,
}

impl KubeProxyConfiguration {
    pub(super) fn new(spec: &ClusterSpec, host: HostFacts) -> Self {
        Self {
            api_version: "kubeproxy.config.k8s.io/v1alpha1",
            kind: "KubeProxyConfiguration",
            mode: "iptables",
            cluster_cidr: spec.network.pod_subnet.to_string(),
            oom_score_adj: oom_score_adj(host),
            conntrack: Conntrack {
                max_per_core: 0,
                min: 0,
            },
            iptables: Iptables {
                min_sync_period: "100ms",
                sync_period: "30s",
            },
        }
    }
}

/// 0 leaves the host's limit as it is: a container may not change it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Conntrack {
    max_per_core: u32,
    min: u32,
}

/// The default of 1 s between two updates would delay each new service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Iptables {
    min_sync_period: &'static str,
    sync_period: &'static str,
}
