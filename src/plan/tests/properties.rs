//! What is true of every plan, whatever is wanted and whatever was found.

use super::*;
use proptest::prelude::*;

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
    let origin = prop_oneof![Just(image_sample::release()), Just(Origin::Modules)];
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
            Step::BuildTests(_) | Step::AssembleTests(_) | Step::InstallTests(_) => {
                panic!("nobody has asked for the tests' images");
            }
            Step::Download(_) => assert_ne!(self.wanted.origin, Origin::Modules),
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
            Step::RetireNode(node) | Step::RenewNode(node) | Step::RemoveNode(node) => {
                if !matches!(step, Step::RemoveNode(_)) {
                    self.assert_master_runs();
                }
                let container = self.observed.nodes.remove(&node.container);
                let volume = self.observed.volumes.remove(&node.volume);
                assert!(
                    container.is_some() || volume,
                    "{} is not there",
                    node.container
                );
                if matches!(step, Step::RenewNode(_)) {
                    self.perform(&Step::CreateVolume(node.clone()));
                }
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
            | Step::DiscardVolume(_)
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
                Step::RemoveNode(node) | Step::RetireNode(node) | Step::RenewNode(node) => Some(&node.container),
                _ => None,
            });
            let created = count(|step| match step { Step::CreateNode(node) | Step::JoinMaster(node) => Some(&node.container), _ => None });
            prop_assert!(touched <= 1 && awaited <= 1 && removed <= created);
            prop_assert!(awaited >= touched);
        }
    }

    /// A run that repairs and is broken off after any step leaves it known which nodes the cluster has.
    #[test]
    fn a_repair_that_is_killed_forgets_no_node((wanted, observed) in any_case()) {
        let stages = wanted.stages(&observed);
        let steps = || stages.iter().flat_map(|stage| &stage.steps);
        prop_assume!(!steps().any(|step| matches!(step, Step::RemoveNode(_))));
        let known = |observed: &Observed| -> BTreeSet<String> {
            let is_known = |node: &&NodeSpec| observed.nodes.contains_key(&node.container) || observed.volumes.contains(&node.volume);
            wanted.spec.nodes.iter().filter(is_known).map(|node| node.name.clone()).collect()
        };
        let mut model = Model { wanted: &wanted, observed: observed.clone(), built: BTreeSet::new(), new: BTreeSet::new() };
        for step in steps() {
            model.perform(step);
            let lost = &known(&observed) - &known(&model.observed);
            prop_assert!(lost.is_empty(), "after {}: {:?}", step, lost);
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
