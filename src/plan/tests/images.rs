//! Images and the preload volume, which come before the cluster.

use super::*;
use crate::image::PRELOAD_TESTS;

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
    [download]
      download kubeadm, kubelet, kubectl
    [node image]
      install the programs into the node image
    [images]
      unpack the preloaded images
    ");
    insta::assert_snapshot!(without(&Wanted::new(2, Origin::Modules)), @r"
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
    ");
}

#[test]
fn the_images_of_the_tests_are_preloaded() {
    for origin in [Origin::Modules, image_sample::release()] {
        let mut inputs = image_sample::inputs(origin.clone());
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
