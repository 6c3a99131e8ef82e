//! What is asked of Docker, as JSON: this is where a node becomes a container.

use super::*;
use crate::engine::{HOST_NETWORK, Job, label};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn mount(volume: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        volume: volume.to_owned(),
        target: target.to_owned(),
        read_only,
    }
}

/// A master as `up` makes it.
fn master(rights: Rights) -> NodeContainer {
    NodeContainer {
        name: "kube-master-cluster-3".to_owned(),
        hostname: "kube-master".to_owned(),
        image: "local-cluster/node:1.36.3-0123456789ab".to_owned(),
        labels: labels(&[(label::CLUSTER, "local-cluster-3"), (label::ROLE, "master")]),
        network: "k8s-kubeadm-local-cluster-cluster-3".to_owned(),
        address: Ipv4Addr::new(10, 192, 3, 2),
        mounts: vec![
            mount("kube-master-cluster-3-data", "/data", false),
            mount("preload", "/preload", true),
        ],
        publish: Some(Publish {
            address: Ipv4Addr::LOCALHOST,
            port: 6446,
            container_port: 6443,
        }),
        cpu_shares: Some(10 * 1024),
        environment: vec!["HTTPS_PROXY=http://proxy:3128".to_owned()],
        rights: Some(rights),
        program: None,
    }
}

fn job(rights: Option<Rights>, network: Option<&str>) -> Job {
    Job {
        name: "local-cluster-build-etcd".to_owned(),
        image: "local-cluster/builder:0123456789ab".to_owned(),
        command: vec![
            "/usr/local/bin/build-programs".to_owned(),
            "etcd".to_owned(),
        ],
        environment: vec!["CGO_ENABLED=0".to_owned()],
        mounts: vec![mount("local-cluster-cache", "/cache", true)],
        labels: labels(&[(label::JOB, "build")]),
        rights,
        network: network.map(str::to_owned),
    }
}

fn some_capabilities() -> Rights {
    Rights::Capabilities(vec!["CHOWN".to_owned(), "SYS_ADMIN".to_owned()])
}

fn json(body: &ContainerCreateBody) -> String {
    // By way of a value, whose keys are sorted.
    serde_json::to_string_pretty(&serde_json::to_value(body).unwrap()).unwrap()
}

/// The lines that one body has and the other has not.
fn difference(one: &ContainerCreateBody, other: &ContainerCreateBody) -> String {
    let (one, other) = (json(one), json(other));
    let only = |a: &str, b: &str, sign: char| -> Vec<String> {
        let there: Vec<&str> = b.lines().map(|line| line.trim_end_matches(',')).collect();
        let missing = a
            .lines()
            .filter(|line| !there.contains(&line.trim_end_matches(',')));
        missing
            .map(|line| format!("{sign}{}", line.trim_end_matches(',')))
            .collect()
    };
    [only(&one, &other, '-'), only(&other, &one, '+')]
        .concat()
        .join("\n")
}

#[test]
fn a_master() {
    insta::assert_snapshot!(json(&master(Rights::Privileged).body()), @r#"
    {
      "Env": [
        "HTTPS_PROXY=http://proxy:3128"
      ],
      "ExposedPorts": {
        "6443/tcp": {}
      },
      "HostConfig": {
        "CgroupnsMode": "private",
        "CpuShares": 10240,
        "Init": false,
        "Mounts": [
          {
            "ReadOnly": false,
            "Source": "kube-master-cluster-3-data",
            "Target": "/data",
            "Type": "volume",
            "VolumeOptions": {
              "NoCopy": true
            }
          },
          {
            "ReadOnly": true,
            "Source": "preload",
            "Target": "/preload",
            "Type": "volume",
            "VolumeOptions": {
              "NoCopy": true
            }
          }
        ],
        "NetworkMode": "k8s-kubeadm-local-cluster-cluster-3",
        "PortBindings": {
          "6443/tcp": [
            {
              "HostIp": "127.0.0.1",
              "HostPort": "6446"
            }
          ]
        },
        "Privileged": true,
        "RestartPolicy": {
          "Name": "unless-stopped"
        },
        "SecurityOpt": [
          "seccomp=unconfined",
          "apparmor=unconfined"
        ],
        "Tmpfs": {
          "/run": "exec,mode=755",
          "/tmp": "exec"
        }
      },
      "Hostname": "kube-master",
      "Image": "local-cluster/node:1.36.3-0123456789ab",
      "Labels": {
        "local-cluster.cluster": "local-cluster-3",
        "local-cluster.role": "master"
      },
      "NetworkingConfig": {
        "EndpointsConfig": {
          "k8s-kubeadm-local-cluster-cluster-3": {
            "Aliases": [
              "kube-master"
            ],
            "IPAMConfig": {
              "IPv4Address": "10.192.3.2"
            }
          }
        }
      },
      "StopTimeout": 30
    }
    "#);
}

#[test]
fn a_node_where_nothing_may_be_privileged() {
    let (all, some) = (
        master(Rights::Privileged).body(),
        master(some_capabilities()).body(),
    );
    insta::assert_snapshot!(difference(&all, &some), @r#"
    -    "Privileged": true
    +    "CapAdd": [
    +      "CHOWN"
    +      "SYS_ADMIN"
    +    "CapDrop": [
    +      "ALL"
    +    "DeviceCgroupRules": [
    +      "a *:* rwm"
    +    "MaskedPaths": []
    +    "ReadonlyPaths": []
    "#);
}

#[test]
fn a_worker_publishes_nothing() {
    let mut worker = master(Rights::Privileged);
    worker.publish = None;
    insta::assert_snapshot!(difference(&master(Rights::Privileged).body(), &worker.body()), @r#"
    -  "ExposedPorts": {
    -    "6443/tcp": {}
    -    "PortBindings": {
    -      "6443/tcp": [
    -        {
    -          "HostIp": "127.0.0.1"
    -          "HostPort": "6446"
    -      ]
    "#);
}

#[test]
fn a_job() {
    insta::assert_snapshot!(json(&job(None, None).body()), @r#"
    {
      "Cmd": [],
      "Entrypoint": [
        "/usr/local/bin/build-programs",
        "etcd"
      ],
      "Env": [
        "CGO_ENABLED=0"
      ],
      "HostConfig": {
        "Init": true,
        "Mounts": [
          {
            "ReadOnly": true,
            "Source": "local-cluster-cache",
            "Target": "/cache",
            "Type": "volume",
            "VolumeOptions": {
              "NoCopy": true
            }
          }
        ]
      },
      "Image": "local-cluster/builder:0123456789ab",
      "Labels": {
        "local-cluster.job": "build"
      }
    }
    "#);
}

#[test]
fn a_job_with_rights_and_the_hosts_network() {
    let (plain, more) = (
        job(None, None).body(),
        job(Some(Rights::Privileged), Some(HOST_NETWORK)).body(),
    );
    insta::assert_snapshot!(difference(&plain, &more), @r#"
    +    "NetworkMode": "host"
    +    "Privileged": true
    +    "SecurityOpt": [
    +      "seccomp=unconfined"
    +      "apparmor=unconfined"
    "#);
    let (plain, more) = (
        job(None, None).body(),
        job(Some(some_capabilities()), None).body(),
    );
    insta::assert_snapshot!(difference(&plain, &more), @r#"
    +    "CapAdd": [
    +      "CHOWN"
    +      "SYS_ADMIN"
    +    "CapDrop": [
    +      "ALL"
    +    "DeviceCgroupRules": [
    +      "a *:* rwm"
    +    "MaskedPaths": []
    +    "ReadonlyPaths": []
    +    "SecurityOpt": [
    +      "seccomp=unconfined"
    +      "apparmor=unconfined"
    "#);
}

#[test]
fn a_container_to_try_rights_with() {
    insta::assert_snapshot!(json(&NodeContainer::throw_away("image", &Rights::Privileged)), @r#"
    {
      "Entrypoint": [
        "/bin/true"
      ],
      "HostConfig": {
        "NetworkMode": "none",
        "Privileged": true,
        "SecurityOpt": [
          "seccomp=unconfined",
          "apparmor=unconfined"
        ]
      },
      "Image": "image",
      "Labels": {
        "local-cluster.job": "rights"
      }
    }
    "#);
}
