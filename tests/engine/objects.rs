//! Containers, volumes, networks and images: listed, made, removed.

use std::collections::BTreeMap;

use local_cluster::engine::{Facts, Found, State};
use serde_json::json;

use crate::fake::{Answer, Fake, done, json, refusal};
use crate::told;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn the_engine_says_what_it_is() {
    let fake = Fake::new([(
        "GET /info",
        json(
            200,
            &json!({
                "ServerVersion": "20.10.24", "Driver": "overlay2", "CgroupVersion": "1", "Architecture": "x86_64",
                "MemTotal": 8_589_934_592_u64, "NCPU": 4, "DockerRootDir": "/var/lib/docker",
                "OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "SecurityOptions": ["name=seccomp,profile=default"],
                "DriverStatus": [["Backing Filesystem", "extfs"], ["odd"], ["Supports d_type", "true"]],
            }),
        ),
    )]);
    let Facts {
        version,
        storage_driver,
        cgroup_v1,
        memory,
        backing_filesystem,
        ..
    } = fake.engine().facts().await.unwrap();
    assert_eq!(
        (version.as_str(), storage_driver.as_str(), cgroup_v1),
        ("20.10.24", "overlay2", true)
    );
    assert_eq!(
        (memory, backing_filesystem.as_deref()),
        (8 << 30, Some("extfs"))
    );
}

#[tokio::test]
async fn an_engine_that_says_little_is_asked_no_more() {
    let fake = Fake::new([(
        "GET /info",
        json(200, &json!({ "CgroupVersion": "2", "MemTotal": -1 })),
    )]);
    let facts = fake.engine().facts().await.unwrap();
    assert_eq!((facts.memory, facts.cgroup_v1), (0, false));
    assert_eq!(facts.backing_filesystem, None);
}

#[tokio::test]
async fn containers_are_listed_by_name_with_what_they_do() {
    let fake = Fake::new([(
        "GET /containers/json",
        json(
            200,
            &json!([
                { "Names": ["/kube-node-1"], "State": "exited", "Status": "Exited (137) 2 minutes ago" },
                {
                    "Names": ["/kube-master", "/other/alias"], "State": "running", "Status": "Up 2 minutes",
                    "Image": "local-cluster/node:1", "Labels": { "local-cluster.role": "master" },
                    "Mounts": [{ "Type": "volume", "Name": "kube-master-data" }, { "Type": "bind", "Source": "/x" }],
                    "Ports": [
                        { "PrivatePort": 6443, "PublicPort": 6443, "Type": "tcp", "IP": "127.0.0.1" },
                        { "PrivatePort": 53, "Type": "udp" },
                    ],
                },
                { "Names": ["/e"], "State": "created", "Status": "Created" },
                { "Names": ["/d"], "State": "dead", "Status": "Dead" },
                { "Names": ["/c"], "State": "paused", "Status": "Up 1 second (Paused)" },
                { "Names": ["/b"], "State": "restarting", "Status": "Restarting (1) 1 second ago" },
                { "Names": ["/a"], "State": "removing" },
                // Being made or removed: without a name, without anything.
                {},
            ]),
        ),
    )]);
    let found = fake
        .engine()
        .containers("local-cluster.cluster=local-cluster")
        .await
        .unwrap();
    let states: Vec<(&str, State)> = found
        .iter()
        .map(|found| (found.name.as_str(), found.state))
        .collect();
    assert_eq!(
        states,
        [
            ("", State::Other),
            ("a", State::Other),
            ("b", State::Other),
            ("c", State::Paused),
            ("d", State::Exited(-1)),
            ("e", State::Created),
            ("kube-master", State::Running),
            ("kube-node-1", State::Exited(137)),
        ]
    );
    let master = Found {
        name: "kube-master".to_owned(),
        labels: labels(&[("local-cluster.role", "master")]),
        state: State::Running,
        image: "local-cluster/node:1".to_owned(),
        volumes: vec!["kube-master-data".to_owned()],
    };
    assert_eq!(found[6], master);
    let query = fake.only("GET /containers/json").query;
    assert!(query.contains("all=true"), "{query}");
    assert!(
        query.contains(
            "filters=%7B%22label%22%3A%5B%22local-cluster.cluster%3Dlocal-cluster%22%5D%7D"
        ),
        "{query}"
    );
}

#[tokio::test]
async fn volumes_networks_and_images_are_listed() {
    let fake = Fake::new([
        (
            "GET /volumes",
            json(
                200,
                &json!({ "Volumes": [
                    { "Name": "v", "Driver": "local", "Mountpoint": "/", "Scope": "local", "Options": null, "Labels": { "a": "1" } },
                    { "Name": "w", "Driver": "local", "Mountpoint": "/", "Scope": "local", "Options": null, "Labels": null },
                ], "Warnings": null }),
            ),
        ),
        ("GET /volumes", json(200, &json!({ "Volumes": null }))),
        (
            "GET /networks",
            json(
                200,
                &json!([
                    { "Name": "bridge", "IPAM": { "Config": [{ "Subnet": "172.17.0.0/16" }, { "Subnet": "fd00::/64" }] } },
                    { "Name": "host", "IPAM": { "Config": null } },
                    { "Name": "odd", "IPAM": { "Config": [{ "Gateway": "10.0.0.1" }, { "Subnet": "none" }] } },
                    { "Name": "mine", "Labels": { "local-cluster.id": "3" }, "IPAM": null },
                ]),
            ),
        ),
        (
            "GET /images/json",
            json(
                200,
                &json!([
                    image(&json!(["local-cluster/node:1", "local-cluster/node:2"])),
                    image(&json!([])),
                ]),
            ),
        ),
    ]);
    let engine = fake.engine();
    let names = |found: Vec<Found>| {
        found
            .into_iter()
            .map(|found| found.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(engine.volumes("local-cluster.preload").await.unwrap()),
        ["v", "w"]
    );
    assert_eq!(
        names(engine.volumes("local-cluster.preload").await.unwrap()),
        Vec::<String>::new()
    );
    let networks = engine.networks().await.unwrap();
    let subnets: Vec<(&str, usize)> = networks
        .iter()
        .map(|network| (network.name.as_str(), network.subnets.len()))
        .collect();
    assert_eq!(
        subnets,
        [("bridge", 1), ("host", 0), ("odd", 0), ("mine", 0)]
    );
    assert_eq!(networks[3].labels, labels(&[("local-cluster.id", "3")]));
    assert_eq!(
        names(engine.images("local-cluster/*").await.unwrap()),
        ["local-cluster/node:1", "local-cluster/node:2"]
    );
}

/// An image as a list of images has it.
fn image(tags: &serde_json::Value) -> serde_json::Value {
    json!({ "Id": "sha256:0", "ParentId": "", "RepoTags": tags, "RepoDigests": [], "Created": 0, "Size": 0,
            "SharedSize": -1, "Labels": {}, "Containers": -1 })
}

#[tokio::test]
async fn old_engines_write_null_where_an_image_has_no_tags_or_labels() {
    let mut untagged = image(&json!(null));
    untagged["Labels"] = json!(null);
    let mut digestless = image(&json!(["local-cluster/base:1"]));
    digestless["Labels"] = json!(null);
    digestless["RepoDigests"] = json!(null);
    let fake = Fake::new([(
        "GET /images/json",
        json(200, &json!([untagged, digestless])),
    )]);
    let found = fake.engine().images("local-cluster/*").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "local-cluster/base:1");
}

#[tokio::test]
async fn what_is_no_list_is_an_error_that_says_what_was_asked() {
    let nonsense = || Answer::Whole(200, b"<html>".to_vec());
    let fake = Fake::new([
        ("GET /containers/json", nonsense()),
        ("GET /volumes", json(200, &json!([]))),
        ("GET /networks", Answer::HangUp),
        ("GET /images/json", refusal(500, "the disk is full")),
    ]);
    let engine = fake.engine();
    assert!(told(engine.containers("x").await).starts_with("cannot list containers: "));
    assert!(told(engine.volumes("x").await).starts_with("cannot list volumes: "));
    assert!(told(engine.networks().await).starts_with("cannot list networks: "));
    let images = told(engine.images("x").await);
    assert!(
        images.starts_with("cannot list images: ") && images.ends_with("the disk is full"),
        "{images}"
    );
}

#[tokio::test]
async fn a_removal_that_is_under_way_is_waited_for() {
    let fake = Fake::new([]);
    let removal = "DELETE /containers/c";
    let under_way = "removal of container c is already in progress";
    fake.add(removal, refusal(409, under_way));
    fake.add(removal, refusal(409, under_way));
    fake.add(removal, refusal(404, "No such container: c"));
    fake.engine().remove_container("c").await.unwrap();
    assert_eq!(fake.all(removal).len(), 3);

    let fake = Fake::new([]);
    fake.add(removal, refusal(409, "something else"));
    fake.engine().remove_container("c").await.unwrap_err();
}

#[tokio::test]
async fn removing_what_is_not_there_is_fine() {
    let gone = || refusal(404, "no such object");
    let fake = Fake::new([
        ("DELETE /containers/c", gone()),
        ("DELETE /volumes/v", gone()),
        ("DELETE /networks/n", gone()),
        ("DELETE /images/i", gone()),
    ]);
    let engine = fake.engine();
    engine.remove_container("c").await.unwrap();
    engine.remove_volume("v").await.unwrap();
    engine.remove_network("n").await.unwrap();
    engine.remove_image("i").await.unwrap();
    let query = fake.only("DELETE /containers/c").query;
    assert!(
        query.contains("force=true") && query.contains("v=true"),
        "{query}"
    );
}

#[tokio::test]
async fn removing_what_is_in_use_is_an_error() {
    let fake = Fake::new([(
        "DELETE /volumes/v",
        refusal(409, "volume is in use - [0123]"),
    )]);
    let error = fake.engine().remove_volume("v").await.unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert_eq!(
        told::<()>(Err(error)),
        "cannot remove volume v: Docker responded with status code 409: volume is in use - [0123]"
    );
}

#[tokio::test]
async fn starting_what_runs_is_fine() {
    let fake = Fake::new([
        ("POST /containers/c/start", Answer::Whole(304, Vec::new())),
        ("POST /containers/c/unpause", done()),
        (
            "POST /containers/d/start",
            refusal(
                500,
                "driver failed: Bind for 127.0.0.1:6443 failed: port is already allocated",
            ),
        ),
    ]);
    let engine = fake.engine();
    engine.start("c").await.unwrap();
    engine.unpause("c").await.unwrap();
    assert!(
        engine
            .start("d")
            .await
            .unwrap_err()
            .message()
            .contains("port is already allocated")
    );
}

#[tokio::test]
async fn an_overlap_with_another_pool_is_told_in_the_engines_words() {
    let words = "Pool overlaps with other one on this address space";
    let fake = Fake::new([("POST /networks/create", refusal(403, words))]);
    let (subnet, range) = (
        "10.192.0.0/24".parse().unwrap(),
        "10.192.0.128/25".parse().unwrap(),
    );
    let gateway = "10.192.0.1".parse().unwrap();
    let made = fake
        .engine()
        .create_network(
            "k8s",
            subnet,
            gateway,
            range,
            Some(1550),
            &labels(&[("a", "1")]),
        )
        .await;
    assert_eq!(
        told(made),
        format!(
            "cannot create network k8s with 10.192.0.0/24: Docker responded with status code 403: {words}"
        )
    );
    let body = fake.only("POST /networks/create").json();
    assert_eq!(
        body["IPAM"]["Config"],
        json!([{ "Subnet": "10.192.0.0/24", "IPRange": "10.192.0.128/25", "Gateway": "10.192.0.1" }])
    );
    assert_eq!(
        (&body["Driver"], &body["Labels"]),
        (&json!("bridge"), &json!({ "a": "1" }))
    );
}

#[tokio::test]
async fn a_published_port_is_found_also_where_the_container_does_not_run() {
    let inspected = |bindings: serde_json::Value| {
        json(200, &json!({ "HostConfig": { "PortBindings": bindings } }))
    };
    let fake = Fake::new([
        (
            "GET /containers/m/json",
            inspected(json!({ "6443/tcp": [{ "HostIp": "10.0.0.7", "HostPort": "16443" }] })),
        ),
        (
            "GET /containers/m/json",
            inspected(json!({ "6443/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "6443" }] })),
        ),
        (
            "GET /containers/m/json",
            inspected(json!({ "6443/tcp": [{ "HostIp": "", "HostPort": "6443" }] })),
        ),
        (
            "GET /containers/m/json",
            inspected(json!({ "6443/tcp": null })),
        ),
        (
            "GET /containers/m/json",
            inspected(json!({ "6443/tcp": [{ "HostIp": "", "HostPort": "" }] })),
        ),
        ("GET /containers/m/json", inspected(json!({}))),
        ("GET /containers/m/json", json(200, &json!({}))),
    ]);
    let engine = fake.engine();
    for address in ["10.0.0.7:16443", "127.0.0.1:6443", "127.0.0.1:6443"] {
        let published = engine.published("m", 6443).await.unwrap();
        assert_eq!(published.unwrap().to_string(), address);
    }
    for _ in 0..4 {
        assert_eq!(engine.published("m", 6443).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_file_is_read_out_of_a_container() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    archive
        .append_data(&mut header, "admin.conf", b"text".as_slice())
        .unwrap();
    let fake = Fake::new([
        (
            "GET /containers/m/archive",
            Answer::Whole(200, archive.into_inner().unwrap()),
        ),
        (
            "GET /containers/m/archive",
            refusal(404, "Could not find the file"),
        ),
        (
            "GET /containers/m/archive",
            Answer::Whole(200, b"not an archive".to_vec()),
        ),
    ]);
    let engine = fake.engine();
    assert_eq!(
        engine.read_file("m", "/etc/admin.conf").await.unwrap(),
        Some(b"text".to_vec())
    );
    assert_eq!(
        engine.read_file("m", "/etc/admin.conf").await.unwrap(),
        None
    );
    let error = told(engine.read_file("m", "/etc/admin.conf").await);
    assert!(
        error.starts_with("cannot read /etc/admin.conf of container m: "),
        "{error}"
    );
}
