//! Images into the nodes of a cluster that runs.

use crate::program::{Program, engine, load_into_engine};
use local_cluster::image::context::{File, archive};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

const POD: &str = "apiVersion: v1
kind: Pod
metadata: { name: loaded }
spec:
  restartPolicy: Never
  nodeName: kube-node-1
  containers:
  - { name: app, image: local-cluster-test/five:2, imagePullPolicy: Never, command: [/program, version, --client] }
";

/// An archive as `docker save` writes it: a program, and four files.
fn save(program: &Program, tag: u8, files: [&str; 4]) -> PathBuf {
    let kubectl = program
        .home()
        .join(".kubeadm-local-cluster/cluster-216/kubectl");
    let mut layers = vec![archive(&[File::new(
        "program",
        0o755,
        std::fs::read(kubectl).unwrap(),
    )])];
    layers.extend(files.iter().enumerate().map(|(at, content)| {
        archive(&[File::new(
            format!("file-{at}"),
            0o644,
            content.as_bytes().to_vec(),
        )])
    }));
    let sha = |bytes: &[u8]| local_cluster::source::digest::hex(&Sha256::digest(bytes));
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| format!("sha256:{}", sha(layer)))
        .collect();
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } })
        .to_string();
    let config_name = format!("{}.json", sha(config.as_bytes()));
    let names: Vec<String> = (0..layers.len())
        .map(|at| format!("{at}/layer.tar"))
        .collect();
    let manifest = json!([{ "Config": config_name, "RepoTags": [format!("local-cluster-test/five:{tag}")], "Layers": names }]);
    let mut entries = vec![
        File::new(config_name, 0o644, config.into_bytes()),
        File::new("manifest.json", 0o644, manifest.to_string().into_bytes()),
    ];
    entries.extend(
        names
            .into_iter()
            .zip(layers)
            .map(|(name, layer)| File::new(name, 0o644, layer)),
    );
    let path = program.home().join(format!("five-{tag}.tar"));
    std::fs::write(&path, archive(&entries)).unwrap();
    path
}

/// What `load` told of each node.
fn told(output: &str) -> Vec<String> {
    let events = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let end = events
        .into_iter()
        .find(|event| event["event"] == "run_finished")
        .unwrap();
    let lines = end["next"].as_array().unwrap().iter().skip(1);
    lines
        .map(|line| {
            line.as_str()
                .unwrap()
                .rsplit_once(", ")
                .map_or(line.as_str().unwrap(), |(line, _)| line)
                .to_owned()
        })
        .collect()
}

#[test]
fn nodes_are_sent_what_they_lack() {
    let program = Program::new(216);
    program.ok(&["up", "--num-nodes", "1", "--skip-snapshot"]);
    let first = save(&program, 1, ["a", "b", "c", "d"]);
    let second = save(&program, 2, ["a", "b", "c", "other"]);
    let (master, worker) = (
        program.container("kube-master"),
        program.container("kube-node-1"),
    );

    // One node alone; then the other lacks all, and the first nothing.
    let name = first.to_str().unwrap();
    let one = told(&program.ok(&[
        "--output",
        "json",
        "load",
        "--archive",
        name,
        "--node",
        "kube-master",
    ]));
    assert_eq!(one, [format!("{master} was sent 5 of 5 layers")]);
    let archive = std::fs::File::open(&first).unwrap();
    let piped = program
        .command(&["--output", "json", "load", "--archive", "-"])
        .stdin(archive)
        .output()
        .unwrap();
    let both = told(std::str::from_utf8(&piped.stdout).unwrap());
    assert_eq!(
        both,
        [
            format!("{master} had all of it"),
            format!("{worker} was sent 5 of 5 layers")
        ]
    );

    // From the engine, one layer changed.
    load_into_engine(&second);
    let changed = told(&program.ok(&[
        "--output",
        "json",
        "copy-image",
        "local-cluster-test/five:2",
    ]));
    engine("DELETE", "/images/local-cluster-test/five:2");
    assert_eq!(
        changed,
        [&master, &worker].map(|node| format!("{node} was sent 1 of 5 layers"))
    );
    let list = program.ok(&["image", "list"]);
    assert!(
        list.lines()
            .any(|line| line.contains("local-cluster-test/five:2") && line.ends_with("all nodes")),
        "{list}"
    );

    let pod = program.home().join("pod.yaml");
    std::fs::write(&pod, POD).unwrap();
    program.kubectl(&["apply", "-f", pod.to_str().unwrap()]);
    program.kubectl(&[
        "wait",
        "pod/loaded",
        "--for=jsonpath={.status.phase}=Succeeded",
        "--timeout=120s",
    ]);
    assert!(
        program
            .kubectl(&["logs", "loaded"])
            .contains("Client Version")
    );

    program.ok(&["stop", "kube-node-1"]);
    let output = program.run(&["load", "--archive", name]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success()
            && text.contains(&format!("left out, as they do not run: {worker}")),
        "{text}"
    );
}
