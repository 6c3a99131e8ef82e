//! Names follow from what goes in, from all of it and from nothing else.

use super::*;
use crate::settings::BaseKind;
use proptest::prelude::*;
use sample::{inputs, release};
use std::collections::BTreeSet;

/// The names of one plan, each under what it names.
fn names(plan: &ImagePlan) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("base", plan.base.clone()),
        ("builder", plan.builder.clone()),
        ("node base", plan.node_base.clone()),
        ("node", plan.node.clone()),
        ("preload", plan.preload.clone()),
    ])
}

/// What has another name after a change.
fn changed(origin: &Origin, change: impl Fn(&mut ImageInputs)) -> Vec<&'static str> {
    let before = names(&ImagePlan::new(&inputs(origin.clone())));
    let mut inputs = inputs(origin.clone());
    change(&mut inputs);
    let after = names(&ImagePlan::new(&inputs));
    before
        .into_iter()
        .filter(|(what, name)| after[what] != *name)
        .map(|(what, _)| what)
        .collect()
}

#[test]
fn the_same_inputs_give_the_same_names() {
    for origin in [release(), Origin::Modules] {
        assert_eq!(
            ImagePlan::new(&inputs(origin.clone())),
            ImagePlan::new(&inputs(origin.clone()))
        );
        assert_eq!(changed(&origin, |_| {}), Vec::<&str>::new());
    }
}

/// One input of the table below: what it is, how it is changed, what gets another name.
type Row = (&'static str, fn(&mut ImageInputs), &'static [&'static str]);

#[test]
fn each_input_changes_the_names_of_what_it_goes_into() {
    const ALL: &[&str] = &["base", "builder", "node", "node base", "preload"];
    let table: &[Row] = &[
        (
            "another base",
            |inputs| inputs.base.name = "debian:13".to_owned(),
            ALL,
        ),
        (
            "another digest",
            |inputs| inputs.base.sha256 = Some("00".to_owned()),
            ALL,
        ),
        (
            "another archive",
            |inputs| inputs.base.debian_mirror = Some("http://mirror".to_owned()),
            ALL,
        ),
        // What kind of base it is follows from its name.
        (
            "the kind alone",
            |inputs| inputs.base.kind = BaseKind::Archive,
            &[],
        ),
        // The base is what it was; it is the images that are built on it which get the bundle.
        (
            "a CA bundle",
            |inputs| inputs.ca_bundle = Some(b"-".to_vec()),
            &["builder", "node", "node base", "preload"],
        ),
        (
            "another patch release",
            |inputs| inputs.version.patch += 1,
            &["node", "preload"],
        ),
        (
            "another minor release",
            |inputs| inputs.version.minor -= 1,
            &["node", "preload"],
        ),
        (
            "an image to preload",
            |inputs| inputs.preload.push("agnhost".to_owned()),
            &["preload"],
        ),
        (
            "the images of the tests",
            |inputs| inputs.preload.push(PRELOAD_TESTS.to_owned()),
            &["preload"],
        ),
    ];
    for origin in [release(), Origin::Modules] {
        for (what, change, wanted) in table {
            assert_eq!(
                changed(&origin, change),
                *wanted,
                "{what}, from {}",
                origin.name()
            );
        }
    }
    // From where else it comes makes another node, and so does another mirror: nobody says that it has the same files.
    assert_eq!(
        changed(&release(), |inputs| inputs.origin = Origin::Modules),
        ["node", "preload"]
    );
    let mirror = |url: &str, registry: &str| Origin::Release {
        url: url.to_owned(),
        registry: registry.to_owned(),
    };
    assert_eq!(
        changed(&release(), |inputs| inputs.origin =
            mirror("http://mirror", "registry.k8s.io")),
        ["node", "preload"]
    );
    assert_eq!(
        changed(&release(), |inputs| inputs.origin =
            mirror("https://dl.k8s.io/release", "mirror:5000")),
        ["node", "preload"]
    );
}

#[test]
fn a_bundle_goes_into_the_context_as_it_is() {
    let of = |bundle: &[u8]| {
        let mut inputs = inputs(release());
        inputs.ca_bundle = Some(bundle.to_vec());
        ImagePlan::new(&inputs).builder
    };
    assert_ne!(of(b"one"), of(b"two"));
    // Neither is an empty one the same as none.
    assert_ne!(of(b""), ImagePlan::new(&inputs(release())).builder);
}

#[test]
fn programs_lie_in_folders_of_their_own() {
    let plan = ImagePlan::new(&inputs(Origin::Modules));
    let all: Vec<String> = plan
        .node_programs
        .iter()
        .chain(&plan.image_programs)
        .map(Programs::path)
        .collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert!(
        all.iter().all(|path| path.starts_with("/cache/out/")),
        "{all:?}"
    );
    let names = |list: &[Programs]| {
        list.iter()
            .map(|programs| programs.component.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&plan.node_programs), ["containerd", "kubernetes"]);
    assert_eq!(names(&plan.image_programs), ["etcd", "coredns"]);
    // Released binaries still need a runtime, and their images come ready.
    let plan = ImagePlan::new(&inputs(release()));
    assert_eq!(names(&plan.node_programs), ["containerd"]);
    assert_eq!(names(&plan.image_programs), Vec::<&str>::new());
}

#[test]
fn programs_are_of_the_builder_that_built_them() {
    let folders = |inputs: &ImageInputs| -> Vec<String> {
        let plan = ImagePlan::new(inputs);
        let all = plan.node_programs.iter().chain(&plan.image_programs);
        all.map(|programs| programs.folder.clone()).collect()
    };
    let before = folders(&inputs(Origin::Modules));
    let mut other = inputs(Origin::Modules);
    other.base.name = "debian:13".to_owned();
    let after = folders(&other);
    assert!(
        before.iter().all(|folder| !after.contains(folder)),
        "{before:?} {after:?}"
    );
    // Whoever signs for the proxy on the way: the sums say that the modules are the same.
    let mut signed = inputs(Origin::Modules);
    signed.ca_bundle = Some(b"-".to_vec());
    assert_eq!(folders(&signed), before);
    for programs in ImagePlan::new(&inputs(Origin::Modules)).node_programs {
        let component = programs.component;
        assert_ne!(component.folder("one"), component.folder("another"));
        assert_eq!(component.command("folder")[1], "folder");
    }
}

#[test]
fn a_digest_is_over_parts_and_not_over_their_text() {
    assert_eq!(digest(&[b"ab", b"c"]).len(), 12);
    assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    assert_ne!(digest(&[b"abc"]), digest(&[b"abc", b""]));
}

/// The form of a reference, after the grammar of github.com/distribution/reference.
fn is_reference(text: &str) -> bool {
    let Some((name, tag)) = text.split_once(':') else {
        return false;
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let component = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(plain)
            && part.ends_with(plain)
            && part.chars().all(|c| plain(c) || c == '-')
    };
    name.split('/').all(component)
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
        && tag.len() <= 128
}

/// The form of a volume's or container's name, as the engine has it.
fn is_object_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn any_inputs() -> impl Strategy<Value = ImageInputs> {
    let origin = prop_oneof![
        Just(Origin::Modules),
        (".*", ".*").prop_map(|(url, registry)| Origin::Release { url, registry }),
    ];
    let base = (".*", proptest::option::of(".*"), proptest::option::of(".*"));
    let preload = proptest::collection::vec(".*", 0..3);
    let bundle = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64));
    (any::<(u16, u16)>(), origin, base, preload, bundle).prop_map(
        |((minor, patch), origin, (name, sha256, debian_mirror), preload, ca_bundle)| ImageInputs {
            version: KubernetesVersion::new(1, minor, patch),
            origin,
            base: BaseChoice {
                kind: BaseKind::Auto,
                name,
                sha256,
                debian_mirror,
            },
            preload,
            ca_bundle,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_are_good_for_the_engine_whatever_goes_in(inputs in any_inputs()) {
        let plan = ImagePlan::new(&inputs);
        for tag in [&plan.base, &plan.builder, &plan.node_base, &plan.node] {
            prop_assert!(is_reference(tag), "{tag}");
        }
        prop_assert!(is_object_name(&plan.preload), "{}", plan.preload);
        prop_assert_eq!(plan.preload_job(), &plan.preload);
    }
}
