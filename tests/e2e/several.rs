//! Clusters that know nothing of each other.

use crate::program::Program;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Child;

const FIRST: u8 = 200;
const CLUSTERS: u8 = 10;

#[test]
fn ten_that_begin_at_once_all_come_up() {
    let programs: Vec<Program> = (FIRST..FIRST + CLUSTERS).map(Program::new).collect();
    let start = |program: &Program| -> Child {
        program.spawn(&["up", "--num-nodes", "0", "--skip-snapshot"])
    };
    let started: Vec<Child> = programs.iter().map(start).collect();
    for (up, id) in started.into_iter().zip(FIRST..) {
        let ended = up.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "cluster {id}: {told}");
    }
    let listed: Value =
        serde_json::from_str(&programs[0].ok(&["list", "--output", "json"])).unwrap();
    let mut ports = BTreeSet::new();
    for (program, id) in programs.iter().zip(FIRST..) {
        let name = format!("local-cluster-{id}");
        let mut clusters = listed["clusters"].as_array().unwrap().iter();
        let cluster = clusters.find(|cluster| cluster["cluster"] == name.as_str());
        assert!(cluster.is_some(), "{listed}");
        let port = program.ok(&["apiserver-port"]);
        let context = program.kubectl(&["config", "current-context"]);
        assert_eq!(context, name);
        assert!(ports.insert(port), "{id} has another's port");
        let address = r#"jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}"#;
        assert_eq!(
            program.kubectl(&["get", "nodes", "-o", address]),
            format!("10.192.{id}.2")
        );
    }
}
