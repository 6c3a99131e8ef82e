//! What every cluster's network does: that of one that is new, and of a clone.

use crate::program::Program;

pub(crate) const WORKLOAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/workload.yaml");

/// All that a cluster's network is for: pods reach each other, from every node; what nobody serves is refused; and the API
/// server reaches kubelets.
pub(crate) fn assert_works(program: &Program, nodes: &[&str]) {
    program.kubectl(&["apply", "-f", WORKLOAD]);
    let pods = assert_pods_reach_all(program, nodes);
    for node in nodes {
        program.exec(
            node,
            &["curl", "-sf", "-m", "10", "http://127.0.0.1:18080/hostname"],
        );
        // Nothing serves this address: it is refused at once, and never leaves the node.
        let refused = program.run(&[
            "exec",
            node,
            "curl",
            "-s",
            "-m",
            "5",
            "http://10.96.200.200/",
        ]);
        assert_eq!(
            refused.status.code(),
            Some(7),
            "an unserved service address"
        );
    }
    let log = program.kubectl(&["logs", &pods[0]]);
    assert!(log.contains("GET /hostname"), "{log}");
    program.kubectl(&[
        "wait",
        "pod/nobody",
        "--for=condition=Ready",
        "--timeout=60s",
    ]);
    let map = program.kubectl(&["exec", "nobody", "--", "cat", "/proc/self/uid_map"]);
    let host = map.split_whitespace().nth(1).unwrap();
    assert_ne!(
        host, "0",
        "root of a pod with user namespaces is nobody on its node"
    );
    forwarded_port(program);
}

fn forwarded_port(program: &Program) {
    let mut forward = program.spawn(&["kubectl", "port-forward", "service/server", "28080:80"]);
    program.until("the forwarded port answers", |_| {
        let output = std::process::Command::new("curl")
            .args(["-sf", "-m", "2", "http://127.0.0.1:28080/hostname"])
            .output();
        output.is_ok_and(|output| output.stdout.starts_with(b"server-"))
    });
    // The program waits for kubectl, and kubectl goes with it: both get the signal of a terminal's Ctrl-C.
    let _ = std::process::Command::new("pkill")
        .args(["-f", "port-forward service/server 28080:80"])
        .status();
    forward.wait().unwrap();
}

/// The pods of the workload, one on each node, reach each other by address, by service, and by ports of nodes; gives their
/// names.
pub(crate) fn assert_pods_reach_all(program: &Program, nodes: &[&str]) -> Vec<String> {
    program.kubectl(&["rollout", "status", "daemonset/server", "--timeout=120s"]);
    let list = |path: &str| -> Vec<String> {
        let path = format!("jsonpath={{.items[*].{path}}}");
        let text = program.kubectl(&["get", "pods", "-l", "app=server", "-o", &path]);
        text.split_whitespace().map(str::to_owned).collect()
    };
    let (pods, addresses) = (list("metadata.name"), list("status.podIP"));
    assert_eq!(pods.len(), nodes.len());
    for from in &pods {
        let fetch =
            |url: &str| program.kubectl(&["exec", from, "--", "curl", "-sf", "-m", "10", url]);
        for (to, address) in pods.iter().zip(&addresses) {
            assert_eq!(
                &fetch(&format!("http://{address}:8080/hostname")),
                to,
                "from {from}"
            );
        }
        assert!(
            pods.contains(&fetch("http://server/hostname")),
            "the service's name"
        );
        for node in nodes {
            assert!(
                pods.contains(&fetch(&format!("http://{node}:30080/hostname"))),
                "NodePort of {node}"
            );
            fetch(&format!("http://{node}:18080/hostname"));
        }
        // More than one packet of full size, which a tunnel that is too narrow would lose.
        let long = fetch(&format!(
            "http://{}:8080/echo?msg={}",
            addresses[0],
            "x".repeat(6000)
        ));
        assert_eq!(long.len(), 6000);
    }
    pods
}
