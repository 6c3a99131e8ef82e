//! Plans as text, and what holds for every plan.

mod images;
mod masters;
mod properties;

use super::*;
use crate::cluster::{ClusterSpec, NodeSpec, sample};
use crate::image::sample as image_sample;

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
        Self::of(sample::three_masters(workers), image_sample::release())
    }

    fn of(spec: ClusterSpec, origin: Origin) -> Self {
        Self {
            spec,
            images: ImagePlan::new(&image_sample::inputs(origin.clone())),
            origin,
        }
    }

    /// The default: two workers, released binaries.
    fn release() -> Self {
        Self::new(2, image_sample::release())
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
    [download]
      download kubeadm, kubelet, kubectl
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
    let wanted = Wanted::new(0, image_sample::release());
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
    let wanted = Wanted::new(0, image_sample::release());
    let mut observed = Wanted::new(1, image_sample::release()).everything();
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
    let wanted = Wanted::new(0, image_sample::release());
    let mut observed = Wanted::new(1, image_sample::release()).everything();
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
    let gone: Vec<NodeSpec> = Wanted::new(1, image_sample::release())
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
    let wanted = Wanted::with([1, 2, 3, 5].into(), image_sample::release());
    let mut observed = Wanted::new(2, image_sample::release()).everything();
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
    let wanted = Wanted::new(1, image_sample::release());
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
