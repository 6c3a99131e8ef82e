//! What a cluster of three nodes must carry, and that it comes back.

use crate::network::{self, WORKLOAD};
use crate::program::{Program, engine};
use serde_json::Value;
use std::fs::File;

const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";
const NODES: [&str; 3] = ["kube-master", "kube-node-1", "kube-node-2"];

#[cfg(feature = "e2e-all")]
const RESTARTS: usize = 20;
#[cfg(not(feature = "e2e-all"))]
const RESTARTS: usize = 2;

#[test]
fn three_nodes_do_what_a_cluster_does() {
    let program = Program::new(240);
    program.ok(&["up"]);
    settings_and_status(&program);
    network::assert_works(&program, &NODES);
    for node in NODES {
        program.assert_certificates_last(node);
    }
    images_can_be_removed(&program);
    broken_dns_is_told(&program);
    commands_get_their_input(&program);
    restarts(&program);
    unused_images_are_collected(&program);
    program.ok(&["down"]);
    let status: Value = serde_json::from_str(&program.status(&["--output", "json"])).unwrap();
    assert_eq!(status["exists"], false);
}

fn settings_and_status(program: &Program) {
    let status: Value = serde_json::from_str(&program.status(&["--output", "json"])).unwrap();
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
    assert!(
        status["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["ready"] == true),
        "{status}"
    );
    assert_eq!(program.ok(&["up", "--dry-run"]), "nothing to do\n");
    program.ok(&["up"]);
    let (code, text) = program.fails(&["up", "--no-dedicated", "--pod-subnet", "10.77.0.0/16"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("cluster.noDedicated") && text.contains("cluster.podSubnet"),
        "{text}"
    );
    let ranges = program.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].spec.podCIDR}"]);
    assert_eq!(ranges, "10.244.1.0/24 10.244.2.0/24 10.244.3.0/24");
    assert_eq!(
        program.kubectl(&["get", "csr", "-o", "name"]),
        "",
        "kubelets need nobody's approval"
    );
    let port = program.ok(&["apiserver-port"]);
    assert!(
        program
            .ok(&["kubeconfig"])
            .contains(&format!("https://127.0.0.1:{}", port.trim()))
    );
    let mode = std::fs::metadata(
        program
            .home()
            .join(".kubeadm-local-cluster/cluster-240/admin.conf"),
    )
    .unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
}

fn images_can_be_removed(program: &Program) {
    program.exec(
        "kube-node-1",
        &[
            "ctr",
            "-n",
            "k8s.io",
            "images",
            "rm",
            "--sync",
            "registry.k8s.io/etcd:3.6.8-0",
        ],
    );
    let left = program.exec(
        "kube-node-1",
        &["ctr", "-n", "k8s.io", "images", "ls", "-q"],
    );
    assert!(left.contains(AGNHOST) && !left.contains("etcd"), "{left}");
    // The other nodes share the files, and have theirs.
    assert!(
        program
            .exec(
                "kube-node-2",
                &["ctr", "-n", "k8s.io", "images", "ls", "-q"]
            )
            .contains("etcd")
    );
}

fn broken_dns_is_told(program: &Program) {
    program.kubectl(&[
        "-n",
        "kube-system",
        "scale",
        "deployment/coredns",
        "--replicas=0",
    ]);
    let (code, text) = program.fails(&["up"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("CoreDNS has 0 of 0 replicas available"),
        "{text}"
    );
    program.kubectl(&[
        "-n",
        "kube-system",
        "scale",
        "deployment/coredns",
        "--replicas=2",
    ]);
    program.ok(&["up"]);
}

fn commands_get_their_input(program: &Program) {
    let file = program.home().join("input");
    std::fs::write(&file, "0123456789abcde\n".repeat(1 << 16)).unwrap();
    let ended = |stdin: std::process::Stdio, command: &[&str]| {
        let arguments = [&["exec", "kube-node-1"], command].concat();
        let output = program.command(&arguments).stdin(stdin).output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let input = File::open(&file).unwrap();
    assert_eq!(ended(input.into(), &["wc", "-c"]), "1048576\n");
    assert_eq!(ended(std::process::Stdio::null(), &["cat"]), "");
    // Nobody writes to this pipe or closes it: a command that does not read ends all the same.
    let (open, _writer) = std::io::pipe().unwrap();
    assert_eq!(ended(open.into(), &["echo", "done"]), "done\n");
}

/// kubelet takes an image that nobody uses from its node, though other nodes share the files, and the node can have it again.
fn unused_images_are_collected(program: &Program) {
    let (collecting, other) = ("kube-node-2", "kube-node-1");
    let images = |node: &str| -> Vec<String> {
        let listed = program.exec(node, &["ctr", "-n", "k8s.io", "images", "ls", "-q"]);
        listed.lines().map(str::to_owned).collect()
    };
    let runs = |name: &str, node: &str| {
        let overrides = format!(r#"{{"spec":{{"nodeName":"{node}"}}}}"#);
        let pod = ["run", name, "--image-pull-policy=Never", "--image", AGNHOST];
        program.kubectl(&[&pod[..], &["--overrides", &overrides, "--", "pause"]].concat());
        let ready = ["--for=condition=Ready", "--timeout=60s"];
        program.kubectl(&[&["wait", &format!("pod/{name}")], &ready[..]].concat());
    };
    program.kubectl(&["delete", "-f", WORKLOAD]);
    let before = images(collecting);
    let pressure = |nodefs: &str| {
        let set = format!(
            "sed -i '/^imageMinimumGCAge/d; s/\\(nodefs.available\\): .*/\\1: {nodefs}/' /var/lib/kubelet/config.yaml && \
             echo 'imageMinimumGCAge: 1ms' >>/var/lib/kubelet/config.yaml && systemctl restart kubelet"
        );
        program.exec(collecting, &["sh", "-c", &set]);
    };
    // Pods of the system are not evicted, so images are all that there is to take.
    pressure("99%");
    program.until("kubelet has collected the image", |_| {
        !images(collecting).iter().any(|image| image == AGNHOST)
    });
    // What kubeadm asks for is pinned.
    let pinned = |images: Vec<String>| -> Vec<String> {
        let of_kubeadm = |image: &String| {
            image.starts_with("registry.k8s.io/") && !image.contains("/e2e-test-images/")
        };
        images.into_iter().filter(of_kubeadm).collect()
    };
    assert_eq!(pinned(images(collecting)), pinned(before));
    pressure("0%");
    runs("other", other);

    let archive = program.home().join("agnhost.tar");
    // Without `--local`, ctr 2.4 can end before it has written what containerd has sent it.
    let export = [
        "exec", other, "ctr", "-n", "k8s.io", "images", "export", "--local", "-", AGNHOST,
    ];
    let exported = program.run(&export);
    let told = String::from_utf8_lossy(&exported.stderr);
    assert!(exported.status.success(), "{told}");
    std::fs::write(&archive, exported.stdout).unwrap();
    let import = [
        "exec", collecting, "ctr", "-n", "k8s.io", "images", "import", "-",
    ];
    let archive = File::open(&archive).unwrap();
    let imported = program.command(&import).stdin(archive).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    runs("again", collecting);
    let container = program.container(collecting);
    engine("POST", &format!("/containers/{container}/restart?t=10"));
    program.until(
        "the pod runs again in the node that was restarted",
        |program| {
            let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
            let ready = ["--for=condition=Ready", "--timeout=10s"];
            let waited = program.run(&[&["kubectl", "wait", "pod/again"], &ready[..]].concat());
            waited.status.success() && program.kubectl(&["get", "pod/again", "-o", restarts]) != "0"
        },
    );
}

/// All containers at once; nobody helps them up.
fn restarts(program: &Program) {
    let boots = |program: &Program| {
        program.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[*].status.nodeInfo.bootID}",
        ])
    };
    assert!(!boots(program).is_empty());
    for round in 1..=RESTARTS {
        std::thread::scope(|scope| {
            for node in NODES {
                let container = program.container(node);
                scope.spawn(move || {
                    engine("POST", &format!("/containers/{container}/restart?t=10"))
                });
            }
        });
        program.until("all nodes are Ready and the pods on them run", |program| {
            let ready = program.run(&[
                "kubectl",
                "wait",
                "nodes",
                "--all",
                "--for=condition=Ready",
                "--timeout=10s",
            ]);
            let rolled = program.run(&[
                "kubectl",
                "rollout",
                "status",
                "daemonset/server",
                "--timeout=30s",
            ]);
            ready.status.success() && rolled.status.success()
        });
        assert_eq!(
            program.ok(&["up", "--dry-run"]),
            "nothing to do\n",
            "after restart {round}"
        );
        program.until("the cluster says so itself", |program| {
            program.run(&["up"]).status.success()
        });
    }
}
