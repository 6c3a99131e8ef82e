//! Clusters of several masters.

use super::*;

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
fn etcd_takes_no_member_while_it_misses_one() {
    let wanted = Wanted::three_masters(0);
    let five: Vec<NodeSpec> = wanted.spec.possible_masters().collect();
    let all = |known: &[NodeSpec]| known.iter().map(|node| node.address).collect();
    let missed = |known: &[NodeSpec], observed: &Observed| -> Vec<String> {
        let missed = out_of_reach(&wanted.spec, &five[3..], &all(known), observed);
        missed.into_iter().map(|node| node.name).collect()
    };
    let mut observed = wanted.everything();
    assert_eq!(missed(&five[..3], &observed), [""; 0]);
    // Of what it still knows of the two that are to join again, the first one's goes before.
    assert_eq!(missed(&five[..4], &observed), [""; 0]);
    assert_eq!(missed(&five, &observed), ["kube-master-5"]);
    // So does what is made anew.
    observed.volumes.insert(five[4].volume.clone());
    assert_eq!(missed(&five, &observed), [""; 0]);
    // One that was stopped counts, whatever etcd says.
    let found = observed.nodes.get_mut(&five[2].container).unwrap();
    found.state = State::Exited(0);
    assert_eq!(missed(&[], &observed), ["kube-master-3"]);
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
