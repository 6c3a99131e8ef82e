//! Plans as text, and what holds for every plan.

use super::*;
use crate::cluster::{ClusterSpec, NodeSpec, sample};
use crate::image::{PRELOAD_TESTS, sample as images};
use proptest::prelude::*;

/// What is wanted: a cluster with so many workers, and the images of one source.
#[derive(Debug)]
struct Wanted {
    spec: ClusterSpec,
    images: ImagePlan,
    origin: Origin,
}

impl Wanted {
    fn new(workers: u16, origin: Origin) -> Self {
        Self::with(sample::first(workers), origin)
    }

    fn with(workers: BTreeSet<u16>, origin: Origin) -> Self {
        Self::of(
            sample::spec(|input| input.members.workers = workers),
            origin,
        )
    }

    /// Three masters, and so many workers.
    fn three_masters(workers: u16) -> Self {
        Self::of(sample::three_masters(workers), images::release())
    }

    fn of(spec: ClusterSpec, origin: Origin) -> Self {
        Self {
            spec,
            images: ImagePlan::new(&images::inputs(origin.clone())),
            origin,
        }
    }

    /// The default: two workers, released binaries.
    fn release() -> Self {
        Self::new(2, images::release())
    }

    fn stages(&self, observed: &Observed) -> Vec<Stage> {
        let mut stages = plan_images(&self.images, &self.origin, observed);
        stages.extend(plan(&self.spec, observed));
        stages
    }

    /// The plan as `--dry-run` prints it. The versions of what is built are left out: they change with each release.
    fn text(&self, observed: &Observed) -> String {
        let all = self
            .images
            .node_programs
            .iter()
            .chain(&self.images.image_programs);
        all.fold(render(&self.stages(observed)), |text, programs| {
            let component = &programs.component;
            text.replace(
                &format!("build {} {}\n", component.name, component.version),
                &format!("build {} VERSION\n", component.name),
            )
        })
    }

    /// All of it is there and at work.
    fn everything(&self) -> Observed {
        let mut observed = self.all_images();
        observed.network = true;
        for node in &self.spec.nodes {
            observed
                .nodes
                .insert(node.container.clone(), running(Phases::Done));
            observed.volumes.insert(node.volume.clone());
        }
        if let Some(balancer) = &self.spec.load_balancer {
            let found = ObservedNode {
                state: State::Running,
                phases: None,
            };
            observed.nodes.insert(balancer.container.clone(), found);
        }
        observed
    }

    /// The images are there, and nothing of the cluster.
    fn all_images(&self) -> Observed {
        let images = &self.images;
        let tags = [
            &images.base,
            &images.builder,
            &images.node_base,
            &images.node,
        ];
        Observed {
            images: tags.into_iter().cloned().collect(),
            preloaded: true,
            ..Observed::default()
        }
    }
}

fn running(phases: Phases) -> ObservedNode {
    ObservedNode {
        state: State::Running,
        phases: Some(phases),
    }
}

fn stopped(state: State) -> ObservedNode {
    ObservedNode {
        state,
        phases: None,
    }
}

/// The plan for a cluster that is whole but for one change.
fn after(change: impl FnOnce(&mut Observed)) -> String {
    let wanted = Wanted::release();
    let mut observed = wanted.everything();
    change(&mut observed);
    wanted.text(&observed)
}

fn with_node(name: &str, node: ObservedNode) -> String {
    after(|observed| {
        observed.nodes.insert(name.to_owned(), node);
    })
}

#[test]
fn nothing_is_there() {
    insta::assert_snapshot!(Wanted::release().text(&Observed::default()), @r"
    [base]
      get the base of all images
    [builder]
      build the builder image
    [node base]
      build the node image
    [programs]
      build containerd VERSION
    [programs]
      build runc VERSION
    [download]
      download kubeadm, kubelet and kubectl
    [node image]
      install the programs into the node image
    [images]
      unpack the preloaded images
    [network]
      create the network
    [volumes]
      create the volume kube-node-1-data
      create the volume kube-node-2-data
    [master]
      create kube-master at 10.192.0.2
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
      create kube-node-2 at 10.192.0.4
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn nothing_is_there_and_all_is_built_from_modules() {
    insta::assert_snapshot!(Wanted::new(1, Origin::Modules).text(&Observed::default()), @r"
    [base]
      get the base of all images
    [builder]
      build the builder image
    [node base]
      build the node image
    [programs]
      build containerd VERSION
    [programs]
      build runc VERSION
    [programs]
      build kubernetes VERSION
    [programs]
      build etcd VERSION
    [programs]
      build coredns VERSION
    [node image]
      install the programs into the node image
    [images]
      unpack the preloaded images
    [network]
      create the network
    [volumes]
      create the volume kube-node-1-data
    [master]
      create kube-master at 10.192.0.2
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn everything_is_there() {
    assert_eq!(
        Wanted::release().stages(&Wanted::release().everything()),
        []
    );
    assert_eq!(after(|_| {}), "nothing to do\n");
}

#[test]
fn images_are_there_and_no_cluster() {
    let wanted = Wanted::release();
    insta::assert_snapshot!(wanted.text(&wanted.all_images()), @r"
    [network]
      create the network
    [volumes]
      create the volume kube-node-1-data
      create the volume kube-node-2-data
    [master]
      create kube-master at 10.192.0.2
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
      create kube-node-2 at 10.192.0.4
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn no_workers_are_wanted() {
    let wanted = Wanted::new(0, images::release());
    insta::assert_snapshot!(wanted.text(&wanted.all_images()), @r"
    [network]
      create the network
    [master]
      create kube-master at 10.192.0.2
    [control plane]
      wait for kubeadm init on kube-master
    ");
    assert_eq!(wanted.text(&wanted.everything()), "nothing to do\n");
}

#[test]
fn a_worker_is_missing() {
    insta::assert_snapshot!(after(|observed| {
        observed.nodes.remove("kube-node-2");
        observed.volumes.remove("kube-node-2-data");
    }), @r"
    [workers]
      create kube-node-2 at 10.192.0.4
      see that CoreDNS has two replicas
    [join]
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn workers_that_are_not_wanted_go() {
    insta::assert_snapshot!(after(|observed| {
        for (name, node) in [
            ("kube-node-3", running(Phases::Done)),
            ("kube-node-7", stopped(State::Exited(0))),
        ] {
            observed.nodes.insert(name.to_owned(), node);
        }
        observed.volumes.insert("kube-node-100-data".to_owned());
    }), @r"
    [drain]
      drain kube-node-3
    [remove]
      remove kube-node-3 and what Kubernetes knows of it
      remove kube-node-7 and what Kubernetes knows of it
      remove kube-node-100 and what Kubernetes knows of it
    ");
}

#[test]
fn workers_that_are_not_wanted_go_with_a_master_that_is_made_anew() {
    let wanted = Wanted::new(0, images::release());
    let mut observed = Wanted::new(1, images::release()).everything();
    observed
        .nodes
        .insert("kube-master".to_owned(), running(Phases::Failed));
    insta::assert_snapshot!(wanted.text(&observed), @r"
    [left over]
      remove kube-master, which cannot be used as it is
      remove kube-node-1, which cannot be used as it is
    [master]
      create kube-master at 10.192.0.2
    [control plane]
      wait for kubeadm init on kube-master
    ");
}

#[test]
fn pods_of_the_last_worker_go_to_the_master() {
    let wanted = Wanted::new(0, images::release());
    let mut observed = Wanted::new(1, images::release()).everything();
    insta::assert_snapshot!(wanted.text(&observed), @r"
    [untaint]
      let ordinary pods run on kube-master
    [drain]
      drain kube-node-1
    [remove]
      remove kube-node-1 and what Kubernetes knows of it
    ");
    // A cluster that is stopped is started first.
    for node in observed.nodes.values_mut() {
        *node = stopped(State::Exited(0));
    }
    insta::assert_snapshot!(wanted.text(&observed), @r"
    [master]
      start kube-master
    [control plane]
      wait for kubeadm init on kube-master
    [untaint]
      let ordinary pods run on kube-master
    [remove]
      remove kube-node-1 and what Kubernetes knows of it
    ");
    let open = sample::spec(|input| {
        input.members.workers.clear();
        input.no_dedicated = true;
    });
    let gone: Vec<NodeSpec> = Wanted::new(1, images::release())
        .spec
        .workers()
        .cloned()
        .collect();
    let stages = removal(&open, &gone, &observed);
    assert_eq!(stages.len(), 1, "{stages:?}");
    assert_eq!(removal(&open, &[], &observed), []);
}

#[test]
fn an_addition_leaves_the_other_nodes_alone() {
    let wanted = Wanted::with([1, 2, 3, 5].into(), images::release());
    let mut observed = Wanted::new(2, images::release()).everything();
    // Of a cluster that somebody works with: a node is stopped, another run was killed.
    observed
        .nodes
        .insert("kube-node-1".to_owned(), stopped(State::Exited(0)));
    observed
        .nodes
        .insert("kube-node-5".to_owned(), stopped(State::Created));
    observed.volumes.insert("kube-node-5-data".to_owned());
    assert_eq!(unfinished(&wanted.spec, &observed).workers, [5].into());
    assert!(is_complete(wanted.spec.master(), &observed));
    let added: Vec<NodeSpec> = wanted.spec.nodes[3..].to_vec();
    insta::assert_snapshot!(render(&addition(&wanted.spec, &added, &observed)), @r"
    [left over]
      remove kube-node-5 and what Kubernetes knows of it
    [workers]
      create kube-node-3 at 10.192.0.5
      create kube-node-5 at 10.192.0.7
      see that CoreDNS has two replicas
    [join]
      wait for kubeadm join on kube-node-3
      wait for kubeadm join on kube-node-5
    ");
}

#[test]
fn a_killed_run_leaves_the_volumes_of_the_workers_that_are_to_come() {
    let wanted = Wanted::new(1, images::release());
    let mut observed = wanted.everything();
    observed.nodes.remove("kube-node-1");
    observed
        .nodes
        .insert("kube-master".to_owned(), running(Phases::Running));
    insta::assert_snapshot!(wanted.text(&observed), @r"
    [api server]
      wait for the API server on kube-master
    [left over]
      remove kube-node-1 and what Kubernetes knows of it
    [workers]
      create kube-node-1 at 10.192.0.3
      see that CoreDNS has two replicas
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn a_volume_without_its_container_is_of_a_run_that_was_killed() {
    insta::assert_snapshot!(after(|observed| {
        observed.nodes.remove("kube-node-1");
    }), @r"
    [left over]
      remove kube-node-1 and what Kubernetes knows of it
    [workers]
      create kube-node-1 at 10.192.0.3
      see that CoreDNS has two replicas
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn a_container_that_was_never_started_may_lack_files() {
    insta::assert_snapshot!(with_node("kube-node-1", stopped(State::Created)), @r"
    [left over]
      remove kube-node-1 and what Kubernetes knows of it
    [workers]
      create kube-node-1 at 10.192.0.3
      see that CoreDNS has two replicas
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn a_worker_whose_phases_have_failed_is_made_anew() {
    insta::assert_snapshot!(with_node("kube-node-1", running(Phases::Failed)), @r"
    [left over]
      remove kube-node-1 and what Kubernetes knows of it
    [workers]
      create kube-node-1 at 10.192.0.3
      see that CoreDNS has two replicas
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn with_a_master_whose_phases_have_failed_all_are_made_anew() {
    insta::assert_snapshot!(with_node("kube-master", running(Phases::Failed)), @r"
    [left over]
      remove kube-master, which cannot be used as it is
      remove kube-node-1, which cannot be used as it is
      remove kube-node-2, which cannot be used as it is
    [volumes]
      create the volume kube-node-1-data
      create the volume kube-node-2-data
    [master]
      create kube-master at 10.192.0.2
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
      create kube-node-2 at 10.192.0.4
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn without_a_master_workers_are_of_no_use() {
    insta::assert_snapshot!(after(|observed| {
        observed.nodes.remove("kube-master");
        observed.volumes.remove("kube-master-data");
        observed.nodes.remove("kube-node-2");
        observed.volumes.remove("kube-node-2-data");
    }), @r"
    [left over]
      remove kube-node-1, which cannot be used as it is
    [volumes]
      create the volume kube-node-1-data
      create the volume kube-node-2-data
    [master]
      create kube-master at 10.192.0.2
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
      create kube-node-2 at 10.192.0.4
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn stopped_nodes_are_started() {
    let wanted = Wanted::release();
    let mut observed = wanted.everything();
    for (name, status) in [("kube-master", 0), ("kube-node-1", 137)] {
        observed
            .nodes
            .insert(name.to_owned(), stopped(State::Exited(status)));
    }
    observed
        .nodes
        .insert("kube-node-2".to_owned(), stopped(State::Other));
    insta::assert_snapshot!(wanted.text(&observed), @r"
    [master]
      start kube-master
    [api server]
      wait for the API server on kube-master
    [workers]
      start kube-node-1
      start kube-node-2
    [control plane]
      wait for kubeadm init on kube-master
    [join]
      wait for kubeadm join on kube-node-1
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn a_paused_node_is_unpaused() {
    insta::assert_snapshot!(with_node("kube-node-2", stopped(State::Paused)), @r"
    [workers]
      unpause kube-node-2
    [join]
      wait for kubeadm join on kube-node-2
    ");
}

#[test]
fn phases_that_still_run_are_waited_for() {
    insta::assert_snapshot!(with_node("kube-master", running(Phases::Running)), @r"
    [control plane]
      wait for kubeadm init on kube-master
    ");
}

#[test]
fn the_network_is_missing() {
    insta::assert_snapshot!(after(|observed| observed.network = false), @r"
    [network]
      create the network
    ");
}

#[test]
fn the_preload_volume_is_incomplete() {
    insta::assert_snapshot!(after(|observed| observed.preloaded = false), @r"
    [images]
      unpack the preloaded images
    ");
    let wanted = Wanted::new(2, Origin::Modules);
    let mut observed = wanted.everything();
    observed.preloaded = false;
    // What the images are assembled of may have gone with the cache.
    insta::assert_snapshot!(wanted.text(&observed), @r"
    [programs]
      build etcd VERSION
    [programs]
      build coredns VERSION
    [programs]
      build kubernetes VERSION
    [images]
      unpack the preloaded images
    ");
}

#[test]
fn the_node_image_is_missing_and_the_preload_volume_is_there() {
    let without = |wanted: &Wanted| {
        let mut observed = wanted.everything();
        observed.images.remove(&wanted.images.node);
        wanted.text(&observed)
    };
    insta::assert_snapshot!(without(&Wanted::release()), @r"
    [programs]
      build containerd VERSION
    [programs]
      build runc VERSION
    [download]
      download kubeadm, kubelet and kubectl
    [node image]
      install the programs into the node image
    [images]
      unpack the preloaded images
    ");
    insta::assert_snapshot!(without(&Wanted::new(2, Origin::Modules)), @r"
    [programs]
      build containerd VERSION
    [programs]
      build runc VERSION
    [programs]
      build kubernetes VERSION
    [programs]
      build etcd VERSION
    [programs]
      build coredns VERSION
    [node image]
      install the programs into the node image
    [images]
      unpack the preloaded images
    ");
}

#[test]
fn the_images_of_the_tests_are_preloaded() {
    for origin in [Origin::Modules, images::release()] {
        let mut inputs = images::inputs(origin.clone());
        inputs.preload = vec![PRELOAD_TESTS.to_owned()];
        let images = ImagePlan::new(&inputs);
        let titles = |observed: &Observed| -> Vec<&str> {
            let stages = plan_images(&images, &origin, observed);
            stages.iter().map(|stage| stage.title).collect()
        };
        let mut observed = Observed::default();
        let all = titles(&observed);
        assert_eq!(all.last(), Some(&"images"), "{all:?}");
        for once in ["base", "builder", "tests image", "tests", "test images"] {
            let found = all.iter().filter(|title| **title == once);
            assert_eq!(found.count(), 1, "{once}: {all:?}");
        }
        let mut programs = plan_images(&images, &origin, &observed);
        programs.retain(|stage| stage.title == "programs");
        let coredns = programs.iter().filter(
            |stage| matches!(&stage.steps[..], [Step::BuildPrograms(made)] if made.component.name == "coredns"),
        );
        assert_eq!(coredns.count(), 1);

        observed.images = [images.node.clone()].into();
        observed.preloaded = true;
        assert_eq!(titles(&observed), Vec::<&str>::new());
    }
}

#[test]
fn images_of_another_version_do_not_count() {
    let wanted = Wanted::release();
    let mut others = wanted.everything();
    others.images = others.images.iter().map(|tag| format!("{tag}0")).collect();
    let mut none = wanted.everything();
    none.images.clear();
    assert_eq!(wanted.text(&others), wanted.text(&none));
}

#[test]
fn an_authority_is_needed_where_workers_join_a_master_that_stays() {
    let wanted = Wanted::release();
    let needed = |change: &dyn Fn(&mut Observed)| {
        let mut observed = wanted.everything();
        change(&mut observed);
        let stages = wanted.stages(&observed);
        creates(&stages, Some(Role::Worker)) && !creates(&stages, Some(Role::Master))
    };
    assert!(!needed(&|_| {}));
    assert!(!needed(&|observed| observed.nodes.clear()));
    assert!(needed(&|observed| {
        observed.nodes.remove("kube-node-1");
    }));
    assert!(!needed(&|observed| {
        observed
            .nodes
            .insert("kube-node-1".to_owned(), stopped(State::Exited(0)));
    }));
}

#[test]
fn differences_are_told_in_one_line() {
    let wanted = sample::spec(|_| {}).fingerprint();
    let running = sample::of_version(1, 30, 1).fingerprint();
    let differences = ClusterSpec::differences(&wanted, &running);
    let text =
        describe(&differences).replace(&crate::cluster::DEFAULT_VERSION.to_string(), "DEFAULT");
    insta::assert_snapshot!(text, @"`source.kubernetesVersion` is 1.30.1 and DEFAULT is wanted");
}

/// The plan for three masters and a worker of which all is there but for one change.
fn of_three(change: impl FnOnce(&mut Observed)) -> String {
    let wanted = Wanted::three_masters(1);
    let mut observed = wanted.everything();
    change(&mut observed);
    wanted.text(&observed)
}

#[test]
fn three_masters_are_made_side_by_side() {
    let wanted = Wanted::three_masters(1);
    insta::assert_snapshot!(wanted.text(&wanted.all_images()), @r"
    [network]
      create the network
    [volumes]
      create the volume kube-master-data
      create the volume kube-master-2-data
      create the volume kube-master-3-data
      create the volume kube-node-1-data
    [masters]
      create kube-master at 10.192.0.2
      create kube-master-2 at 10.192.0.103
      create kube-master-3 at 10.192.0.104
      create kube-lb at 10.192.0.110
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
    [control plane]
      wait for kubeadm init on kube-master
      wait for kubeadm init on kube-master-2
      wait for kubeadm init on kube-master-3
    [join]
      wait for kubeadm join on kube-node-1
    ");
    assert_eq!(of_three(|_| {}), "nothing to do\n");
}

#[test]
fn masters_that_were_stopped_are_started() {
    insta::assert_snapshot!(of_three(|observed| {
        for node in observed.nodes.values_mut() {
            *node = stopped(State::Exited(0));
        }
    }), @r"
    [masters]
      start kube-master
      start kube-master-2
      start kube-master-3
      start kube-lb
    [api server]
      wait for the API server on kube-master
    [workers]
      start kube-node-1
    [control plane]
      wait for kubeadm init on kube-master
      wait for kubeadm init on kube-master-2
      wait for kubeadm init on kube-master-3
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn a_master_that_is_lost_is_added_again() {
    let lost = |with_volume: bool| {
        of_three(|observed| {
            observed.nodes.remove("kube-master");
            if !with_volume {
                observed.volumes.remove("kube-master-data");
            }
        })
    };
    insta::assert_snapshot!(lost(true), @r"
    [left over]
      remove kube-master and what Kubernetes knows of it
    [join master]
      add kube-master at 10.192.0.2 to the control plane
    [control plane]
      wait for kubeadm init on kube-master
    ");
    insta::assert_snapshot!(lost(false), @r"
    [join master]
      add kube-master at 10.192.0.2 to the control plane
    [control plane]
      wait for kubeadm init on kube-master
    ");
}

#[test]
fn a_control_plane_that_was_never_complete_is_made_anew() {
    insta::assert_snapshot!(of_three(|observed| {
        observed.nodes.insert("kube-master".to_owned(), running(Phases::Running));
        observed.nodes.insert("kube-master-2".to_owned(), running(Phases::Failed));
        observed.nodes.remove("kube-master-3");
        observed.nodes.insert("kube-lb".to_owned(), stopped(State::Created));
    }), @r"
    [left over]
      remove kube-master, which cannot be used as it is
      remove kube-master-2, which cannot be used as it is
      remove kube-master-3, which cannot be used as it is
      remove kube-node-1, which cannot be used as it is
    [volumes]
      create the volume kube-master-data
      create the volume kube-master-2-data
      create the volume kube-master-3-data
      create the volume kube-node-1-data
    [masters]
      create kube-master at 10.192.0.2
      create kube-master-2 at 10.192.0.103
      create kube-master-3 at 10.192.0.104
      create kube-lb at 10.192.0.110
    [api server]
      wait for the API server on kube-master
    [workers]
      create kube-node-1 at 10.192.0.3
    [control plane]
      wait for kubeadm init on kube-master
      wait for kubeadm init on kube-master-2
      wait for kubeadm init on kube-master-3
    [join]
      wait for kubeadm join on kube-node-1
    ");
}

#[test]
fn etcd_knows_of_masters_that_have_left_nothing() {
    let spec = Wanted::three_masters(0).spec;
    let outvoted = |known: &[NodeSpec]| {
        let known = known.iter().map(|node| node.address).collect();
        super::outvoted(&spec, &known)
    };
    let five: Vec<NodeSpec> = spec.possible_masters().collect();
    assert_eq!(outvoted(&five[..3]), None);
    assert_eq!(outvoted(&five[1..3]), None);
    assert_eq!(outvoted(&five), None);
    assert_eq!(outvoted(&five[1..]), Some((2, 4)));
    assert_eq!(outvoted(&five[2..]), Some((1, 3)));
    assert_eq!(outvoted(&five[3..]), Some((0, 2)));
}

#[test]
fn what_is_left_of_masters_may_be_too_few() {
    let wanted = Wanted::three_masters(0);
    let left = |gone: &[&str]| {
        let mut observed = wanted.everything();
        observed
            .nodes
            .retain(|name, _| !gone.contains(&name.as_str()));
        let left = minority(&wanted.spec, &observed);
        left.map(|left| {
            left.iter()
                .map(|node| node.name.clone())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(left(&[]), None);
    assert_eq!(left(&["kube-master"]), None);
    assert_eq!(
        left(&["kube-master", "kube-master-3"]),
        Some(vec!["kube-master-2".to_owned()])
    );
    // Nothing is kept that could be lost.
    assert_eq!(
        left(&["kube-master", "kube-master-2", "kube-master-3"]),
        None
    );
}

#[test]
fn masters_go_one_after_another() {
    let before = Wanted::three_masters(1);
    let left = sample::spec(|input| {
        input.members.masters = [3].into();
        input.members.workers.clear();
        input.balanced = true;
    });
    let gone: Vec<NodeSpec> = before
        .spec
        .nodes
        .iter()
        .filter(|node| node.name != "kube-master-3")
        .cloned()
        .collect();
    insta::assert_snapshot!(render(&removal(&left, &gone, &before.everything())), @r"
    [untaint]
      let ordinary pods run on kube-master-3
    [drain]
      drain kube-master
      drain kube-master-2
      drain kube-node-1
    [remove]
      remove kube-master and what Kubernetes knows of it
    [remove]
      remove kube-master-2 and what Kubernetes knows of it
    [remove]
      remove kube-node-1 and what Kubernetes knows of it
    ");
}

fn any_node() -> impl Strategy<Value = Option<ObservedNode>> {
    let phases = prop_oneof![
        Just(Phases::Done),
        Just(Phases::Running),
        Just(Phases::Failed)
    ];
    let phases = proptest::option::of(phases);
    let state = prop_oneof![
        4 => Just(State::Running),
        1 => Just(State::Created),
        1 => Just(State::Paused),
        1 => any::<i64>().prop_map(State::Exited),
        1 => Just(State::Other),
    ];
    proptest::option::weighted(
        0.8,
        (state, phases).prop_map(|(state, phases)| ObservedNode { state, phases }),
    )
}

/// Something wanted, and anything there: also what cannot be, like phases of a container that does not run.
fn any_case() -> impl Strategy<Value = (Wanted, Observed)> {
    let origin = prop_oneof![Just(images::release()), Just(Origin::Modules)];
    // One more of each than is ever wanted: what a larger cluster has left.
    let nodes = proptest::collection::vec((any_node(), any::<bool>()), 6);
    let tags = proptest::collection::vec(any::<bool>(), 4);
    // With holes: nodes come and go.
    let workers = proptest::collection::btree_set(1..=5_u16, 0..=4);
    let masters = proptest::option::of(proptest::collection::btree_set(1..=4_u16, 1..=4));
    let members = (masters, workers);
    let nodes = (
        nodes,
        proptest::collection::vec((any_node(), any::<bool>()), 5),
    );
    (members, origin, nodes, tags, any::<bool>(), any::<bool>()).prop_map(
        |((masters, workers), origin, (nodes, further), tags, network, preloaded)| {
            let several = masters.is_some();
            let spec = sample::spec(|input| {
                input.members.workers = workers;
                input.balanced = several;
                if let Some(masters) = masters {
                    input.members.masters = masters;
                }
            });
            let wanted = Wanted::of(spec, origin);
            let mut observed = Observed {
                network,
                preloaded,
                ..Observed::default()
            };
            let largest = sample::spec(|input| input.members.workers = sample::first(5));
            for (node, (found, volume)) in largest.nodes.iter().zip(nodes) {
                observed
                    .nodes
                    .extend(found.map(|found| (node.container.clone(), found)));
                observed.volumes.extend(volume.then(|| node.volume.clone()));
            }
            let masters = largest.possible_masters().skip(1);
            for (node, (found, volume)) in masters.zip(further).filter(|_| several) {
                observed
                    .nodes
                    .extend(found.map(|found| (node.container.clone(), found)));
                observed.volumes.extend(volume.then(|| node.volume.clone()));
            }
            let all = wanted.all_images().images;
            observed.images = all
                .into_iter()
                .zip(tags)
                .filter(|(_, there)| *there)
                .map(|(tag, _)| tag)
                .collect();
            (wanted, observed)
        },
    )
}

/// An engine that does what it is told, and insists that each step finds what it needs.
struct Model<'a> {
    wanted: &'a Wanted,
    observed: Observed,
    /// Programs that were built in this run.
    built: BTreeSet<&'static str>,
    /// Volumes that were made in this run, and that no node has used.
    new: BTreeSet<String>,
}

impl Model<'_> {
    fn perform(&mut self, step: &Step) {
        let images = &self.wanted.images;
        let has = |observed: &Observed, tag: &str| observed.images.contains(tag);
        match step {
            Step::ObtainBase => self.make(&images.base),
            Step::BuildBuilder => {
                assert!(has(&self.observed, &images.base));
                self.make(&images.builder);
            }
            Step::BuildNodeBase => {
                assert!(has(&self.observed, &images.base));
                self.make(&images.node_base);
            }
            Step::BuildPrograms(programs) => {
                assert!(has(&self.observed, &images.builder));
                assert!(
                    self.built.insert(programs.component.name),
                    "{} is built twice",
                    programs.component.name
                );
            }
            Step::BuildTests(_) | Step::AssembleTests(_) => {
                panic!("nobody has asked for the tests' images");
            }
            Step::Download => assert_ne!(self.wanted.origin, Origin::Modules),
            Step::InstallPrograms => {
                assert!(has(&self.observed, &images.node_base));
                assert!(
                    images
                        .node_programs
                        .iter()
                        .all(|programs| self.built.contains(programs.component.name))
                );
                self.make(&images.node);
            }
            Step::FillPreload => {
                assert!(has(&self.observed, &images.node));
                assert!(
                    images
                        .image_programs
                        .iter()
                        .all(|programs| self.built.contains(programs.component.name))
                );
                let from_modules = self.wanted.origin == Origin::Modules;
                assert!(!from_modules || self.built.contains("kubernetes"));
                self.observed.preloaded = true;
            }
            Step::RemoveNetwork(_) => self.observed.network = false,
            Step::CreateNetwork => {
                assert!(!self.observed.network);
                self.observed.network = true;
            }
            Step::CreateVolume(node) => {
                assert!(self.observed.volumes.insert(node.volume.clone()));
                self.new.insert(node.volume.clone());
            }
            Step::RetireNode(node) | Step::RemoveNode(node) => {
                if matches!(step, Step::RetireNode(_)) {
                    self.assert_master_runs();
                }
                let container = self.observed.nodes.remove(&node.container);
                let volume = self.observed.volumes.remove(&node.volume);
                assert!(
                    container.is_some() || volume,
                    "{} is not there",
                    node.container
                );
            }
            Step::CreateLoadBalancer(balancer) => {
                assert!(self.observed.network);
                let node = running(Phases::Done);
                let before = self.observed.nodes.insert(balancer.container.clone(), node);
                assert!(before.is_none_or(|before| before.state == State::Created));
            }
            Step::CreateNode(node) | Step::JoinMaster(node) => {
                if matches!(step, Step::JoinMaster(_)) {
                    self.assert_master_runs();
                }
                assert!(
                    self.observed.network
                        && self.observed.preloaded
                        && has(&self.observed, &images.node)
                );
                assert!(
                    self.observed.volumes.insert(node.volume.clone())
                        || self.new.remove(&node.volume),
                    "{} has a used volume",
                    node.container
                );
                let before = self
                    .observed
                    .nodes
                    .insert(node.container.clone(), running(Phases::Running));
                assert_eq!(before, None, "{} is there", node.container);
            }
            Step::StartNode(container) => {
                let found = self.observed.nodes.get_mut(container).unwrap();
                *found = running(Phases::Running);
            }
            Step::UnpauseNode(container) => {
                let found = self.observed.nodes.get_mut(container).unwrap();
                assert_eq!(found.state, State::Paused);
                *found = running(Phases::Running);
            }
            Step::StopNode(_)
            | Step::PauseNode(_)
            | Step::HaltNode(_)
            | Step::Rename { .. }
            | Step::Discard(_)
            | Step::FillVolumes(_)
            | Step::RecreateNode(_) => panic!("not in the making of a cluster"),
            Step::AwaitApiServer(node) => {
                assert_eq!(self.observed.nodes[&node.container].state, State::Running);
            }
            Step::AwaitPhases(node) => {
                let master = self.wanted.spec.masters().any(|master| {
                    self.observed.nodes.get(&master.container) == Some(&running(Phases::Done))
                });
                let found = self.observed.nodes.get_mut(&node.container).unwrap();
                assert_eq!(found.state, State::Running);
                // Nobody joins a control plane that is not there.
                assert!(node.role == Role::Master || master);
                *found = running(Phases::Done);
            }
            Step::DrainNode(node) => {
                self.assert_master_runs();
                assert_eq!(self.observed.nodes[&node.container].state, State::Running);
            }
            Step::UntaintMaster(_) | Step::ScaleDns => self.assert_master_runs(),
        }
    }

    fn assert_master_runs(&self) {
        let mut masters = self.wanted.spec.masters();
        assert!(masters.any(|master| {
            let found = self.observed.nodes.get(&master.container);
            found.is_some_and(|found| found.state == State::Running)
        }));
    }

    fn make(&mut self, tag: &str) {
        assert!(
            self.observed.images.insert(tag.to_owned()),
            "{tag} is made twice"
        );
    }
}

proptest! {
    /// Each step finds what it needs, and after the last there is nothing left to do.
    #[test]
    fn a_plan_that_was_carried_out_is_empty((wanted, observed) in any_case()) {
        let stages = wanted.stages(&observed);
        let mut model = Model { wanted: &wanted, observed, built: BTreeSet::new(), new: BTreeSet::new() };
        for step in stages.iter().flat_map(|stage| &stage.steps) {
            model.perform(step);
        }
        prop_assert_eq!(wanted.stages(&model.observed), []);
    }

    #[test]
    fn no_stage_is_empty_and_no_step_is_there_twice((wanted, observed) in any_case()) {
        let stages = wanted.stages(&observed);
        prop_assert!(stages.iter().all(|stage| !stage.steps.is_empty()));
        let texts: Vec<String> = stages.iter().flat_map(|stage| &stage.steps).map(ToString::to_string).collect();
        prop_assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len());
        prop_assert!(render(&stages).ends_with('\n'));
    }

    /// A node is touched by one kind of step before it is waited for, and whatever is touched is waited for.
    #[test]
    fn a_node_has_one_fate((wanted, observed) in any_case()) {
        let stages = plan(&wanted.spec, &observed);
        let steps: Vec<&Step> = stages.iter().flat_map(|stage| &stage.steps).collect();
        for node in &wanted.spec.nodes {
            let count = |one: fn(&Step) -> Option<&str>| steps.iter().filter(|step| one(step) == Some(&node.container)).count();
            let touched = count(|step| match step {
                Step::CreateNode(node) | Step::JoinMaster(node) => Some(&node.container),
                Step::StartNode(container) | Step::UnpauseNode(container) => Some(container),
                _ => None,
            });
            let awaited = count(|step| match step { Step::AwaitPhases(node) => Some(&node.container), _ => None });
            let removed = count(|step| match step {
                Step::RemoveNode(node) | Step::RetireNode(node) => Some(&node.container),
                _ => None,
            });
            let created = count(|step| match step { Step::CreateNode(node) | Step::JoinMaster(node) => Some(&node.container), _ => None });
            prop_assert!(touched <= 1 && awaited <= 1 && removed <= created);
            prop_assert!(awaited >= touched);
        }
    }

    /// All have certificates of one authority: it is made with the control plane, and all nodes with it.
    #[test]
    fn nodes_are_made_with_their_authority((wanted, observed) in any_case()) {
        let stages = plan(&wanted.spec, &observed);
        let created: BTreeSet<&str> = stages
            .iter()
            .flat_map(|stage| &stage.steps)
            .filter_map(|step| match step { Step::CreateNode(node) => Some(node.container.as_str()), _ => None })
            .collect();
        let masters = wanted.spec.masters().filter(|node| created.contains(node.container.as_str())).count();
        if masters > 0 {
            prop_assert_eq!(created.len(), wanted.spec.nodes.len());
            prop_assert!(joining(&stages).next().is_none());
        }
        let worker = wanted.spec.workers().any(|node| created.contains(node.container.as_str()));
        prop_assert_eq!(creates(&stages, Some(Role::Worker)), worker);
        prop_assert_eq!(creates(&stages, Some(Role::Master)), masters > 0);
    }
}

/// In a clone it has a node's rights, as it has to make the way to its nodes.
#[test]
fn a_load_balancer_needs_to_know_its_rights() {
    let spec = sample::three_masters(0);
    let balancer = spec.load_balancer.clone().unwrap();
    let stage = |step| {
        [Stage {
            title: "masters",
            steps: vec![step],
        }]
    };
    assert!(needs_rights(&stage(Step::CreateLoadBalancer(balancer))));
    assert!(!needs_rights(&stage(Step::StartNode("kube-lb".to_owned()))));
}
