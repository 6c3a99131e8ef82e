//! What is written for versions and hosts of each kind.

use super::*;
use crate::cluster::{KubernetesVersion, sample};

const V1: HostFacts = HostFacts {
    cgroup_v1: true,
    sys_resource: false,
};
const V2: HostFacts = HostFacts {
    cgroup_v1: false,
    sys_resource: true,
};

/// What differs between the documents for a host with cgroup v1 and one with v2.
fn only_on_v1(version: (u16, u16, u16)) -> String {
    let spec = sample::of_version(version.0, version.1, version.2);
    let v2 = HostFacts {
        cgroup_v1: false,
        ..V1
    };
    let v2 = documents(&spec, v2);
    let unlike = |line: &&str| !v2.lines().any(|other| other == *line);
    documents(&spec, V1)
        .lines()
        .filter(unlike)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Of the first master.
fn documents(spec: &ClusterSpec, host: HostFacts) -> String {
    init_documents(spec, spec.master(), host)
}

#[test]
fn init_1_36_on_cgroup_v1() {
    insta::assert_snapshot!(documents(&sample::of_version(1, 36, 3), V1), @r"
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: InitConfiguration
    nodeRegistration:
      name: kube-master
      criSocket: unix:///run/containerd/containerd.sock
      kubeletExtraArgs:
      - name: node-ip
        value: 10.192.0.2
    localAPIEndpoint:
      advertiseAddress: 10.192.0.2
    ---
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: ClusterConfiguration
    kubernetesVersion: v1.36.3
    clusterName: local-cluster
    controlPlaneEndpoint: control-plane.local-cluster.internal:6443
    encryptionAlgorithm: ECDSA-P256
    certificateValidityPeriod: 87600h0m0s
    caCertificateValidityPeriod: 87600h0m0s
    networking:
      serviceSubnet: 10.96.0.0/16
      dnsDomain: cluster.local
    apiServer:
      certSANs:
      - localhost
      - 127.0.0.1
      - control-plane.local-cluster.internal
      - kube-master
      - 10.192.0.2
    controllerManager:
      extraArgs:
      - name: leader-elect
        value: 'false'
      - name: kube-api-qps
        value: '500'
      - name: kube-api-burst
        value: '1000'
      - name: cluster-signing-duration
        value: 87600h0m0s
      - name: tls-cert-file
        value: /etc/kubernetes/pki/kube-controller-manager.crt
      - name: tls-private-key-file
        value: /etc/kubernetes/pki/kube-controller-manager.key
    scheduler:
      extraArgs:
      - name: leader-elect
        value: 'false'
      - name: tls-cert-file
        value: /etc/kubernetes/pki/kube-scheduler.crt
      - name: tls-private-key-file
        value: /etc/kubernetes/pki/kube-scheduler.key
      extraVolumes:
      - name: serving-certificate
        hostPath: /etc/kubernetes/pki/kube-scheduler.crt
        mountPath: /etc/kubernetes/pki/kube-scheduler.crt
        readOnly: true
        pathType: File
      - name: serving-key
        hostPath: /etc/kubernetes/pki/kube-scheduler.key
        mountPath: /etc/kubernetes/pki/kube-scheduler.key
        readOnly: true
        pathType: File
    etcd:
      local:
        dataDir: /var/lib/etcd
        extraArgs:
        - name: heartbeat-interval
          value: '20'
        - name: election-timeout
          value: '100'
        - name: feature-gates
          value: InitialCorruptCheck=false
    ---
    apiVersion: kubelet.config.k8s.io/v1beta1
    kind: KubeletConfiguration
    cgroupDriver: cgroupfs
    failCgroupV1: false
    failSwapOn: false
    clusterDNS:
    - 10.96.0.10
    clusterDomain: cluster.local
    resolvConf: /etc/local-cluster/resolv.conf
    rotateCertificates: true
    oomScoreAdj: 0
    nodeStatusUpdateFrequency: 4s
    nodeStatusReportFrequency: 5m0s
    registryPullQPS: 0
    kubeAPIQPS: 500
    kubeAPIBurst: 1000
    imageGCHighThresholdPercent: 100
    evictionHard:
      nodefs.available: 0%
      nodefs.inodesFree: 0%
      imagefs.available: 0%
    ---
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    clusterCIDR: 10.244.0.0/16
    oomScoreAdj: 0
    conntrack:
      maxPerCore: 0
      min: 0
    iptables:
      minSyncPeriod: 100ms
      syncPeriod: 30s
    ");
}

#[test]
fn init_1_30_on_cgroup_v2() {
    insta::assert_snapshot!(documents(&sample::of_version(1, 30, 14), V2), @r"
    apiVersion: kubeadm.k8s.io/v1beta3
    kind: InitConfiguration
    nodeRegistration:
      name: kube-master
      criSocket: unix:///run/containerd/containerd.sock
      kubeletExtraArgs:
        node-ip: 10.192.0.2
    localAPIEndpoint:
      advertiseAddress: 10.192.0.2
    ---
    apiVersion: kubeadm.k8s.io/v1beta3
    kind: ClusterConfiguration
    kubernetesVersion: v1.30.14
    clusterName: local-cluster
    controlPlaneEndpoint: control-plane.local-cluster.internal:6443
    networking:
      serviceSubnet: 10.96.0.0/16
      dnsDomain: cluster.local
    apiServer:
      certSANs:
      - localhost
      - 127.0.0.1
      - control-plane.local-cluster.internal
      - kube-master
      - 10.192.0.2
    controllerManager:
      extraArgs:
        cluster-signing-duration: 87600h0m0s
        kube-api-burst: '1000'
        kube-api-qps: '500'
        leader-elect: 'false'
        tls-cert-file: /etc/kubernetes/pki/kube-controller-manager.crt
        tls-private-key-file: /etc/kubernetes/pki/kube-controller-manager.key
    scheduler:
      extraArgs:
        leader-elect: 'false'
        tls-cert-file: /etc/kubernetes/pki/kube-scheduler.crt
        tls-private-key-file: /etc/kubernetes/pki/kube-scheduler.key
      extraVolumes:
      - name: serving-certificate
        hostPath: /etc/kubernetes/pki/kube-scheduler.crt
        mountPath: /etc/kubernetes/pki/kube-scheduler.crt
        readOnly: true
        pathType: File
      - name: serving-key
        hostPath: /etc/kubernetes/pki/kube-scheduler.key
        mountPath: /etc/kubernetes/pki/kube-scheduler.key
        readOnly: true
        pathType: File
    etcd:
      local:
        dataDir: /var/lib/etcd
        extraArgs:
          election-timeout: '100'
          experimental-initial-corrupt-check: 'false'
          heartbeat-interval: '20'
    ---
    apiVersion: kubelet.config.k8s.io/v1beta1
    kind: KubeletConfiguration
    cgroupDriver: systemd
    failSwapOn: false
    clusterDNS:
    - 10.96.0.10
    clusterDomain: cluster.local
    resolvConf: /etc/local-cluster/resolv.conf
    rotateCertificates: true
    nodeStatusUpdateFrequency: 4s
    nodeStatusReportFrequency: 5m0s
    registryPullQPS: 0
    kubeAPIQPS: 500
    kubeAPIBurst: 1000
    imageGCHighThresholdPercent: 100
    evictionHard:
      nodefs.available: 0%
      nodefs.inodesFree: 0%
      imagefs.available: 0%
    ---
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    clusterCIDR: 10.244.0.0/16
    conntrack:
      maxPerCore: 0
      min: 0
    iptables:
      minSyncPeriod: 100ms
      syncPeriod: 30s
    ");
}

#[test]
fn init_1_24_is_like_1_30() {
    let older = documents(&sample::of_version(1, 24, 17), V2);
    let newer = documents(&sample::of_version(1, 30, 14), V2);
    assert_eq!(older.replace("v1.24.17", "v1.30.14"), newer);
}

#[test]
fn init_1_20_on_cgroup_v1() {
    insta::assert_snapshot!(documents(&sample::of_version(1, 20, 2), V1), @r"
    apiVersion: kubeadm.k8s.io/v1beta2
    kind: InitConfiguration
    nodeRegistration:
      name: kube-master
      criSocket: unix:///run/containerd/containerd.sock
      kubeletExtraArgs:
        node-ip: 10.192.0.2
    localAPIEndpoint:
      advertiseAddress: 10.192.0.2
    ---
    apiVersion: kubeadm.k8s.io/v1beta2
    kind: ClusterConfiguration
    kubernetesVersion: v1.20.2
    clusterName: local-cluster
    controlPlaneEndpoint: control-plane.local-cluster.internal:6443
    networking:
      serviceSubnet: 10.96.0.0/16
      dnsDomain: cluster.local
    apiServer:
      certSANs:
      - localhost
      - 127.0.0.1
      - control-plane.local-cluster.internal
      - kube-master
      - 10.192.0.2
    controllerManager:
      extraArgs:
        cluster-signing-duration: 87600h0m0s
        kube-api-burst: '1000'
        kube-api-qps: '500'
        leader-elect: 'false'
        tls-cert-file: /etc/kubernetes/pki/kube-controller-manager.crt
        tls-private-key-file: /etc/kubernetes/pki/kube-controller-manager.key
    scheduler:
      extraArgs:
        leader-elect: 'false'
        tls-cert-file: /etc/kubernetes/pki/kube-scheduler.crt
        tls-private-key-file: /etc/kubernetes/pki/kube-scheduler.key
      extraVolumes:
      - name: serving-certificate
        hostPath: /etc/kubernetes/pki/kube-scheduler.crt
        mountPath: /etc/kubernetes/pki/kube-scheduler.crt
        readOnly: true
        pathType: File
      - name: serving-key
        hostPath: /etc/kubernetes/pki/kube-scheduler.key
        mountPath: /etc/kubernetes/pki/kube-scheduler.key
        readOnly: true
        pathType: File
    etcd:
      local:
        dataDir: /var/lib/etcd
        extraArgs:
          election-timeout: '100'
          experimental-initial-corrupt-check: 'false'
          heartbeat-interval: '20'
    ---
    apiVersion: kubelet.config.k8s.io/v1beta1
    kind: KubeletConfiguration
    cgroupDriver: cgroupfs
    failSwapOn: false
    clusterDNS:
    - 10.96.0.10
    clusterDomain: cluster.local
    resolvConf: /etc/local-cluster/resolv.conf
    rotateCertificates: true
    oomScoreAdj: 0
    nodeStatusUpdateFrequency: 4s
    nodeStatusReportFrequency: 5m0s
    registryPullQPS: 0
    kubeAPIQPS: 500
    kubeAPIBurst: 1000
    imageGCHighThresholdPercent: 100
    evictionHard:
      nodefs.available: 0%
      nodefs.inodesFree: 0%
      imagefs.available: 0%
    ---
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    clusterCIDR: 10.244.0.0/16
    oomScoreAdj: 0
    conntrack:
      maxPerCore: 0
      min: 0
    iptables:
      minSyncPeriod: 100ms
      syncPeriod: 30s
    ");
}

#[test]
fn cgroup_v1_must_be_allowed_from_1_31_on() {
    assert_eq!(only_on_v1((1, 20, 2)), "cgroupDriver: cgroupfs");
    assert_eq!(only_on_v1((1, 24, 17)), "cgroupDriver: cgroupfs");
    assert_eq!(only_on_v1((1, 30, 14)), "cgroupDriver: cgroupfs");
    let both = "cgroupDriver: cgroupfs\nfailCgroupV1: false";
    assert_eq!(only_on_v1((1, 31, 0)), both);
    assert_eq!(only_on_v1((1, 36, 3)), both);
}

#[test]
fn a_lone_master_has_no_taints() {
    let spec = sample::spec(|input| input.members.workers.clear());
    assert!(documents(&spec, V2).contains("\n  taints: []\n"));
    assert!(!documents(&sample::spec(|_| {}), V2).contains("taints"));
}

#[test]
fn the_certificate_holds_the_published_address() {
    let sans = |address: [u8; 4]| {
        cert_sans(&sample::spec(|input| {
            input.api_server_address = address.into();
        }))
        .join(" ")
    };
    let names = "control-plane.local-cluster.internal kube-master 10.192.0.2";
    assert_eq!(sans([127, 0, 0, 1]), format!("localhost 127.0.0.1 {names}"));
    assert_eq!(sans([0, 0, 0, 0]), format!("localhost 127.0.0.1 {names}"));
    assert_eq!(
        sans([192, 0, 2, 7]),
        format!("localhost 127.0.0.1 192.0.2.7 {names}")
    );
}

#[test]
fn join_1_36() {
    let spec = sample::of_version(1, 36, 3);
    insta::assert_snapshot!(join_documents(&spec, &spec.nodes[1], "/etc/local-cluster/discovery.conf"), @r"
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: JoinConfiguration
    discovery:
      file:
        kubeConfigPath: /etc/local-cluster/discovery.conf
    nodeRegistration:
      name: kube-node-1
      criSocket: unix:///run/containerd/containerd.sock
      kubeletExtraArgs:
      - name: node-ip
        value: 10.192.0.3
    ");
}

#[test]
fn join_1_20() {
    let spec = sample::of_version(1, 20, 2);
    insta::assert_snapshot!(join_documents(&spec, &spec.nodes[2], "/etc/local-cluster/discovery.conf"), @r"
    apiVersion: kubeadm.k8s.io/v1beta2
    kind: JoinConfiguration
    discovery:
      file:
        kubeConfigPath: /etc/local-cluster/discovery.conf
    nodeRegistration:
      name: kube-node-2
      criSocket: unix:///run/containerd/containerd.sock
      kubeletExtraArgs:
        node-ip: 10.192.0.4
    ");
}

#[test]
fn texts_that_look_like_other_types_stay_texts() {
    let documents = documents(&sample::of_version(1, 30, 14), V2);
    let cluster: serde_yaml::Value =
        serde_yaml::from_str(documents.split("---\n").nth(1).unwrap()).unwrap();
    let args = &cluster["controllerManager"]["extraArgs"];
    assert_eq!(args["leader-elect"].as_str(), Some("false"));
    assert_eq!(args["kube-api-qps"].as_str(), Some("500"));
}

#[test]
fn etcd_waits_for_the_disk_unless_told_otherwise() {
    for minor in [30, 36] {
        let mut spec = sample::of_version(1, minor, 0);
        let asks = |spec: &ClusterSpec| documents(spec, V2).contains("unsafe-no-fsync");
        assert!(!asks(&spec));
        spec.unsafe_fast = true;
        assert!(asks(&spec));
    }
}

#[test]
fn no_member_compares_its_data_with_its_peers_before_it_serves() {
    for (minor, wanted) in [
        (33, "experimental-initial-corrupt-check"),
        (34, "InitialCorruptCheck=false"),
    ] {
        for mut spec in [sample::of_version(1, minor, 0), sample::three_masters(0)] {
            spec.version = KubernetesVersion::new(1, minor, 0);
            let text = documents(&spec, V2);
            assert!(text.contains(wanted), "{text}");
            assert_eq!(text.contains("feature-gates"), minor == 34, "{text}");
        }
    }
}
