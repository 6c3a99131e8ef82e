//! Tests of the spec and the network plan.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ipnetwork::Ipv4Network;
use proptest::prelude::*;

use super::*;
use crate::cluster::overlap::{Taken, overlaps};

fn one_worker() -> Members {
    Members {
        masters: sample::first(1),
        workers: sample::first(1),
    }
}

fn net(text: &str) -> Ipv4Network {
    text.parse().unwrap()
}

fn problems(change: impl FnOnce(&mut SpecInput)) -> Vec<String> {
    let mut input = sample::input();
    change(&mut input);
    let found = ClusterSpec::new(&input).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_cluster_has_the_addresses_of_the_older_tool() {
    let spec = sample::spec(|_| {});
    assert_eq!(spec.network.subnet, net("10.192.0.0/24"));
    assert_eq!(spec.network.gateway.to_string(), "10.192.0.1");
    assert_eq!(spec.network.ip_range, net("10.192.0.128/25"));
    assert_eq!(spec.network.api_service.to_string(), "10.96.0.1");
    assert_eq!(spec.network.dns_service.to_string(), "10.96.0.10");
    let nodes: Vec<_> = spec
        .nodes
        .iter()
        .map(|n| {
            format!(
                "{} {} {} {} {}",
                n.container, n.volume, n.role, n.address, n.pod_subnet
            )
        })
        .collect();
    assert_eq!(
        nodes,
        [
            "kube-master kube-master-data master 10.192.0.2 10.244.1.0/24",
            "kube-node-1 kube-node-1-data worker 10.192.0.3 10.244.2.0/24",
            "kube-node-2 kube-node-2-data worker 10.192.0.4 10.244.3.0/24",
        ]
    );
    assert_eq!(spec.master().number, 1);
    assert_eq!(spec.workers().count(), 2);
    assert_eq!(spec.preferred_port(), 6443);
    assert_eq!(
        spec.control_plane_address(),
        "control-plane.local-cluster.internal:6443"
    );
}

#[test]
fn three_masters_have_a_load_balancer() {
    let spec = sample::three_masters(1);
    let nodes: Vec<_> = spec
        .nodes
        .iter()
        .map(|n| {
            format!(
                "{} {} {} {} {}",
                n.name,
                n.role,
                n.ordinal(),
                n.address,
                n.pod_subnet
            )
        })
        .collect();
    assert_eq!(
        nodes,
        [
            "kube-master master 1 10.192.0.2 10.244.1.0/24",
            "kube-master-2 master 2 10.192.0.103 10.244.102.0/24",
            "kube-master-3 master 3 10.192.0.104 10.244.103.0/24",
            "kube-node-1 worker 1 10.192.0.3 10.244.2.0/24",
        ]
    );
    let balancer = spec.load_balancer.as_ref().unwrap();
    assert_eq!(balancer.container, "kube-lb");
    assert_eq!(balancer.address.to_string(), "10.192.0.110");
    assert_eq!(sample::spec(|_| {}).load_balancer, None);
    // One that lost two of its masters is still one of several.
    let left = sample::spec(|input| {
        input.members.masters = [3].into();
        input.balanced = true;
    });
    assert_eq!(left.fingerprint(), spec.fingerprint());
    assert_eq!(left.master().name, "kube-master-3");
    let problems = problems(|input| input.members.masters = [1, 6].into());
    assert_eq!(
        problems,
        ["`cluster.numMasters` is 2, but a cluster has 1 to 5 masters"]
    );
}

#[test]
fn vectors_of_the_older_tool() {
    let ten = sample::spec(|input| {
        input.id = 10;
        input.members.workers = sample::first(16);
    });
    assert_eq!(ten.network.subnet, net("10.192.10.0/24"));
    assert_eq!(ten.master().address.to_string(), "10.192.10.2");
    assert_eq!(ten.nodes[10].address.to_string(), "10.192.10.12");
    assert_eq!(ten.nodes[16].pod_subnet, net("10.244.17.0/24"));
    assert_eq!(ten.names.suffix(), "-cluster-10");
    assert_eq!(ten.preferred_port(), 6453);
    let labelled = sample::spec(|input| {
        input.id = 10;
        input.label = Some("foo".to_owned());
    });
    assert_eq!(labelled.names.suffix(), "-foo");
    assert_eq!(labelled.network.subnet, net("10.192.10.0/24"));
}

#[test]
fn names_of_the_three_kinds_of_clusters() {
    let names = |id, label| {
        let names = Names::new(ClusterId::new(id), label);
        let container = names.container("kube-node-1");
        let volume = names.volume(&container);
        [
            container,
            volume,
            names.network(),
            names.context(),
            names.directory(),
        ]
        .join(" ")
    };
    assert_eq!(
        names(0, None),
        "kube-node-1 kube-node-1-data k8s-kubeadm-local-cluster local-cluster "
    );
    assert_eq!(
        names(7, None),
        "kube-node-1-cluster-7 kube-node-1-cluster-7-data k8s-kubeadm-local-cluster-cluster-7 \
         local-cluster-7 cluster-7"
    );
    assert_eq!(
        names(7, Some("foo")),
        "kube-node-1-foo kube-node-1-foo-data k8s-kubeadm-local-cluster-foo local-cluster-foo cluster-foo"
    );
}

#[test]
fn the_master_takes_pods_where_nobody_else_does() {
    let tainted = |workers, no_dedicated| {
        sample::spec(|input| {
            input.members.workers = sample::first(workers);
            input.no_dedicated = no_dedicated;
        })
        .taint_masters()
    };
    assert!(tainted(1, false));
    assert!(!tainted(0, false));
    assert!(!tainted(1, true));
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(|input| {
        input.label = Some("Foo".to_owned());
        input.members.workers = sample::first(101);
        input.version = KubernetesVersion::new(1, 19, 0);
        input.api_server_port = Some(0);
        input.pool = net("10.192.3.4/25");
        input.pod_subnet = net("10.244.0.0/20");
        input.service_subnet = net("10.96.0.0/8");
    });
    insta::assert_snapshot!(found.join("\n"), @r"
    `cluster.label` cannot be `Foo`: only lower case letters, digits and `-` are allowed
    `cluster.numNodes` is 101, but a cluster has room for 100 workers
    `source.kubernetesVersion` 1.19.0 is not supported: it must be 1.23 or newer, as the containerd in the nodes speaks only CRI v1
    `cluster.apiServerPort` cannot be 0: leave it out to have a free port chosen
    `dind.subnet` 10.192.3.4/25 is not the start of a range: did you mean 10.192.3.0/25?
    `dind.subnet` 10.192.3.4/25 has a prefix length of 25: it must be 8 to 24
    `cluster.podSubnet` 10.244.0.0/20 has a prefix length of 20: it must be 8 to 16
    `cluster.serviceSubnet` 10.96.0.0/8 is not the start of a range: did you mean 10.0.0.0/8?
    `cluster.serviceSubnet` 10.96.0.0/8 has a prefix length of 8: it must be 12 to 24
    ");
}

#[test]
fn a_pool_too_small_says_what_fits() {
    let found = problems(|input| {
        input.pool = net("10.50.4.0/22");
        input.id = 4;
    });
    insta::assert_snapshot!(found.join("\n"), @"`dind.subnet` 10.50.4.0/22 holds 4 clusters, number 0 to 3, but this is number 4: give a range with a smaller prefix length or a smaller cluster id");
    let last = sample::spec(|input| {
        input.pool = net("10.50.4.0/22");
        input.id = 3;
    });
    assert_eq!(last.network.subnet, net("10.50.7.0/24"));
}

#[test]
fn own_ranges_must_not_overlap() {
    let found = problems(|input| {
        input.pod_subnet = net("10.192.0.0/12");
        input.service_subnet = net("10.192.0.0/16");
    });
    insta::assert_snapshot!(found.join("\n"), @r"
    `dind.subnet` 10.192.0.0/24 overlaps `cluster.podSubnet` 10.192.0.0/12: give one of them another range
    `dind.subnet` 10.192.0.0/24 overlaps `cluster.serviceSubnet` 10.192.0.0/16: give one of them another range
    `cluster.podSubnet` 10.192.0.0/12 overlaps `cluster.serviceSubnet` 10.192.0.0/16: give one of them another range
    ");
}

#[test]
fn labels_are_parts_of_dns_names_and_unlike_numbered_clusters() {
    for good in [
        "foo",
        "a",
        "7up",
        "my-third",
        "cluster-a",
        "cluster",
        "x1-2",
        &"a".repeat(32),
    ] {
        assert_eq!(names::label_fault(good), None, "{good}");
    }
    for bad in [
        "",
        "-a",
        "a-",
        "A",
        "a_b",
        "ä",
        "7",
        "007",
        "cluster-7",
        "cluster-007",
        "2-a",
        &"a".repeat(33),
    ] {
        assert!(names::label_fault(bad).is_some(), "{bad}");
    }
}

#[test]
fn a_fingerprint_holds_what_cannot_change() {
    let map = sample::spec(|input| input.api_server_port = Some(7000)).fingerprint();
    let lines: Vec<_> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    cluster.apiServerAddress=127.0.0.1
    cluster.apiServerPort=7000
    cluster.cniPlugin=bridge
    cluster.noDedicated=false
    cluster.numMasters=1
    cluster.podSubnet=10.244.0.0/16
    cluster.serviceSubnet=10.96.0.0/16
    cluster.unsafeFast=false
    dind.subnet=10.192.0.0/24
    source.kubernetesVersion=1.36.3
    ");
}

#[test]
fn the_number_of_workers_may_change() {
    let some = sample::spec(|_| {}).fingerprint();
    let none = sample::spec(|input| input.members.workers.clear()).fingerprint();
    assert_eq!(some, none);
}

#[test]
fn what_is_kept_by_another_release_may_be_unreadable() {
    let kept = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
        let mut kept = sample::spec(|_| {}).fingerprint();
        change(&mut kept);
        let made = ClusterSpec::of_fingerprint(0, None, &kept, sample::input().members);
        made.map_err(|problems| problems[0].to_string())
    };
    assert!(kept(&|_| {}).is_ok());
    let without = kept(&|kept| {
        kept.remove("cluster.podSubnet");
    });
    insta::assert_snapshot!(without.unwrap_err(), @"the cluster does not say what its `cluster.podSubnet` is: another version of this program has made it");
    let other = kept(&|kept| {
        kept.insert("cluster.cniPlugin".to_owned(), "new".to_owned());
    });
    assert_eq!(
        other,
        Err(SpecProblem::Kept("cluster.cniPlugin").to_string())
    );
}

#[test]
fn workers_are_found_by_what_there_is_of_them() {
    let names = Names::new(ClusterId::new(7), None);
    let found = [
        "kube-master-cluster-7",
        "kube-master-cluster-7-data",
        "kube-node-2-cluster-7",
        "kube-node-2-cluster-7-data",
        "kube-node-4-cluster-7-data",
        "kube-node-5",
        "kube-node-101-cluster-7",
    ];
    assert_eq!(names.members_among(found).workers, BTreeSet::from([2, 4]));
    let spec = sample::spec(|input| {
        input.id = 7;
        input.members.workers = BTreeSet::from([2, 4]);
    });
    let nodes = spec
        .nodes
        .iter()
        .map(|node| format!("{} {}", node.name, node.address));
    assert_eq!(
        nodes.collect::<Vec<_>>(),
        [
            "kube-master 10.192.7.2",
            "kube-node-2 10.192.7.4",
            "kube-node-4 10.192.7.6"
        ]
    );
    let possible: Vec<_> = spec.possible_workers().collect();
    assert_eq!(possible.len(), usize::from(MAX_WORKERS));
    assert!(spec.workers().all(|node| possible.contains(node)));
}

#[test]
fn differences_are_what_both_name_and_the_user_cares_about() {
    let running = sample::spec(|input| {
        input.api_server_port = Some(7000);
        input.version = KubernetesVersion::new(1, 35, 4);
    });
    let wanted = sample::spec(|_| {});
    let found = ClusterSpec::differences(&wanted.fingerprint(), &running.fingerprint());
    assert_eq!(
        found,
        [Difference {
            setting: "source.kubernetesVersion".to_owned(),
            running: "1.35.4".to_owned(),
            wanted: "1.36.3".to_owned(),
        }]
    );
    assert_eq!(
        ClusterSpec::differences(&wanted.fingerprint(), &BTreeMap::new()),
        []
    );
    let back = ClusterSpec::differences(&running.fingerprint(), &wanted.fingerprint());
    assert_eq!(
        back.len(),
        2,
        "a port that is asked for differs from a chosen one"
    );
}

/// A clone of what `change` makes of the default settings.
fn cloned(
    id: u8,
    pool: &str,
    change: impl FnOnce(&mut BTreeMap<String, String>),
) -> Result<ClusterSpec, String> {
    let mut kept = sample::spec(|input| input.api_server_port = Some(7000)).fingerprint();
    change(&mut kept);
    let settings = ClusterSpec::cloned_fingerprint(&kept, ClusterId::new(id), net(pool))
        .map_err(|problem| problem.to_string())?;
    ClusterSpec::of_fingerprint(id, None, &settings, one_worker())
        .map_err(|problems| problems[0].to_string())
}

#[test]
fn a_clone_s_nodes_have_the_original_s_addresses_and_their_own() {
    let spec = cloned(7, "10.192.0.0/16", |_| {}).unwrap();
    let nodes = spec.nodes.iter().map(|node| {
        format!(
            "{} {} {}",
            node.container, node.address, node.docker_address
        )
    });
    insta::assert_snapshot!(nodes.collect::<Vec<_>>().join("\n"), @r"
    kube-master-cluster-7 10.192.0.2 10.192.7.2
    kube-node-1-cluster-7 10.192.0.3 10.192.7.3
    ");
    assert!(spec.network.is_clone());
    assert_eq!((spec.api_server_port, spec.preferred_port()), (None, 6450));
    // A clone of the clone has the same nodes; under the original's id it is none.
    let again = |id| {
        let settings = ClusterSpec::cloned_fingerprint(
            &spec.fingerprint(),
            ClusterId::new(id),
            net("10.192.0.0/16"),
        );
        ClusterSpec::of_fingerprint(id, None, &settings.unwrap(), one_worker()).unwrap()
    };
    assert_eq!(again(8).nodes[1].address, spec.nodes[1].address);
    assert_eq!(again(8).nodes[1].docker_address.to_string(), "10.192.8.3");
    assert!(!again(0).network.is_clone());
    assert_eq!(again(0).nodes[1].docker_address, spec.nodes[1].address);
}

#[test]
fn what_cannot_be_cloned_is_refused() {
    let refusal = |id, pool, setting: &str, value: &str| {
        let changed = cloned(id, pool, |kept| {
            kept.insert(setting.to_owned(), value.to_owned());
        });
        changed.unwrap_err()
    };
    let pool = "10.192.0.0/16";
    for value in ["10.192.0.0/16", "10.192.0.1/24", "::/24", "many"] {
        let text = refusal(1, pool, "cluster.nodeSubnet", value);
        assert!(text.contains("what its `cluster.nodeSubnet` is"), "{text}");
        let text = refusal(1, pool, "dind.subnet", value);
        assert!(text.contains("what its `dind.subnet` is"), "{text}");
    }
    let text = refusal(1, pool, "cluster.nodeSubnet", "10.244.3.0/24");
    assert!(
        text.starts_with("`cluster.nodeSubnet` 10.244.3.0/24 overlaps `cluster.podSubnet`"),
        "{text}"
    );
    let text = refusal(9, "10.192.0.0/23", "cluster.noDedicated", "false");
    assert!(
        text.starts_with("`dind.subnet` 10.192.0.0/23 holds 2 clusters"),
        "{text}"
    );
}

fn taken(what: &str, subnet: &str) -> Taken {
    Taken {
        what: what.to_owned(),
        subnet: net(subnet),
    }
}

#[test]
fn overlaps_name_both_sides_and_something_free() {
    let found = overlaps(
        &sample::spec(|_| {}),
        &[
            taken("Docker network `foo`", "10.192.0.0/20"),
            taken("route of this host", "10.244.7.1/24"),
            taken("route of this host", "10.193.0.0/16"),
            taken("default route", "0.0.0.0/0"),
            taken("VPN", "0.0.0.0/1"),
        ],
    );
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    `dind.subnet` 10.192.0.0/24 overlaps Docker network `foo` (10.192.0.0/20); 10.194.0.0/16 is free
    `cluster.podSubnet` 10.244.0.0/16 overlaps route of this host (10.244.7.0/24); 10.245.0.0/16 is free
    ");
}

#[test]
fn of_many_that_overlap_some_are_named() {
    let routes: Vec<Taken> = (1..=9)
        .map(|number| taken("route", &format!("10.244.{number}.0/24")))
        .collect();
    let found = overlaps(&sample::spec(|_| {}), &routes);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @"`cluster.podSubnet` 10.244.0.0/16 overlaps route (10.244.1.0/24), route (10.244.2.0/24), route (10.244.3.0/24) and 6 others; 10.245.0.0/16 is free");
}

#[test]
fn a_full_engine_has_nothing_free() {
    let all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(|range| taken("route", range));
    let found = overlaps(&sample::spec(|_| {}), &all);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|overlap| overlap.free.is_none()));
}

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?".prop_filter("usable", |l| names::label_fault(l).is_none())
}

proptest! {
    #[test]
    fn addresses_are_ours_and_nobody_elses(id: u8, num_nodes in 0..=MAX_WORKERS) {
        let spec = sample::spec(|input| { input.id = id; input.members.workers = sample::first(num_nodes); });
        let plan = &spec.network;
        let addresses: HashSet<_> = spec.nodes.iter().map(|node| node.address).collect();
        prop_assert_eq!(addresses.len(), usize::from(num_nodes) + 1);
        prop_assert!(!addresses.contains(&plan.gateway));
        let table = network::MASTER..=*network::WORKERS.end();
        for address in addresses {
            prop_assert!(plan.subnet.contains(address) && !plan.ip_range.contains(address));
            prop_assert!(table.contains(&address.octets()[3]));
        }
    }

    #[test]
    fn pod_ranges_are_disjoint_and_inside(prefix in network::POD_PREFIXES, num_nodes in 0..=MAX_WORKERS) {
        let pods = network::without_host_bits(Ipv4Network::new([100, 64, 0, 0].into(), prefix).unwrap());
        let spec = sample::spec(|input| { input.pod_subnet = pods; input.members.workers = sample::first(num_nodes); });
        let ranges: BTreeSet<_> = spec.nodes.iter().map(|node| node.pod_subnet).collect();
        prop_assert_eq!(ranges.len(), spec.nodes.len());
        for range in ranges {
            prop_assert_eq!(range.prefix(), 24);
            prop_assert!(range.is_subnet_of(pods) && range.network() == range.ip());
        }
    }

    #[test]
    fn clusters_share_no_name_and_no_network(
        one in (any::<u8>(), proptest::option::of(label())),
        other in (any::<u8>(), proptest::option::of(label())),
    ) {
        prop_assume!(one.1 != other.1 || (one.1.is_none() && one.0 != other.0));
        let names = |(id, label): &(u8, Option<String>)| Names::new(ClusterId::new(*id), label.as_deref());
        let (a, b) = (names(&one), names(&other));
        for (x, y) in [
            (a.container("kube-master"), b.container("kube-master")),
            (a.container("kube-node-1"), b.container("kube-node-1")),
            (a.container("kube-node-1"), b.container("kube-node-11")),
            (a.network(), b.network()),
            (a.context(), b.context()),
            (a.directory(), b.directory()),
        ] {
            prop_assert_ne!(x, y);
        }
    }

    /// A cluster is known from what it keeps of its settings, but for the pool that it was taken from.
    #[test]
    fn a_fingerprint_gives_its_cluster_again(
        id: u8, label in proptest::option::of(label()), workers in 0..=4_u16, no_dedicated: bool,
        pool in network::POOL_PREFIXES, port in proptest::option::of(1..=u16::MAX), patch: u16,
        inner in proptest::option::of(0..=9_u8),
    ) {
        let mut input = sample::input();
        input.id = id;
        input.label = label;
        input.members.workers = sample::first(workers);
        input.no_dedicated = no_dedicated;
        input.pool = network::without_host_bits(Ipv4Network::new([100, 64, 77, 0].into(), pool).unwrap());
        input.api_server_port = port;
        input.version.patch = patch;
        input.node_subnet = inner.map(|number| net(&format!("10.9.{number}.0/24")));
        let Ok(spec) = ClusterSpec::new(&input) else { return Ok(()) };
        let mut again = ClusterSpec::of_fingerprint(
            id, input.label.as_deref(), &spec.fingerprint(), input.members.clone()
        ).unwrap();
        again.network.pool = spec.network.pool;
        prop_assert_eq!(again, spec);
    }

    #[test]
    fn any_input_gives_a_spec_or_problems(
        id: u8, workers: BTreeSet<u16>, label in proptest::option::of(".{0,40}"),
        pool: u32, pods: u32, services: u32,
        prefixes in (0..=32_u8, 0..=32_u8, 0..=32_u8),
    ) {
        let net = |address: u32, prefix| Ipv4Network::new(address.into(), prefix).unwrap();
        let mut input = sample::input();
        input.id = id;
        input.members.workers = workers;
        input.label = label;
        input.pool = net(pool, prefixes.0);
        input.pod_subnet = net(pods, prefixes.1);
        input.service_subnet = net(services, prefixes.2);
        match ClusterSpec::new(&input) {
            Ok(spec) => prop_assert!(overlaps(&spec, &[]).is_empty()),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn what_overlaps_offers_is_free(
        others in proptest::collection::vec((any::<u32>(), 2..=32_u8), 0..20),
        at in 0..=255_u32,
    ) {
        let ours = 0x0AC0_0000 | at;
        let taken: Vec<_> = others.into_iter().chain([(ours, 30)])
            .map(|(address, prefix)| taken("somebody", &Ipv4Network::new(address.into(), prefix).unwrap().to_string()))
            .collect();
        let spec = sample::spec(|_| {});
        let found = overlaps(&spec, &taken);
        prop_assert!(!found.is_empty());
        for free in found.into_iter().filter_map(|overlap| overlap.free) {
            prop_assert!(taken.iter().all(|taken| !taken.subnet.overlaps(free)));
            let moved = SpecInput { pool: free, ..sample::input() };
            prop_assert!(ClusterSpec::new(&moved).is_ok());
        }
    }
}
