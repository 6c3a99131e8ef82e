//! What is made from the table of settings is in the repository as it would be made today.
//!
//! `UPDATE=1 cargo test --test cli generated` writes it.

use std::collections::BTreeSet;
use std::path::Path;

use local_cluster::settings::{DEFAULTS, document, reference, table};

fn check(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == text,
        "{} is out of date: run with UPDATE=1",
        path.display()
    );
}

#[test]
fn the_reference_page() {
    check("docs/settings.md", &reference::page());
}

#[test]
fn the_schema() {
    check("config/schema.json", &reference::schema());
}

#[test]
fn the_defaults_name_each_setting_that_works() {
    let named = document::read(DEFAULTS, |_| false).unwrap();
    let named: BTreeSet<String> = named.into_iter().map(|entry| entry.name).collect();
    let mut wanted: BTreeSet<String> = table::SETTINGS
        .iter()
        .filter(|setting| setting.works())
        .map(|setting| setting.name.to_owned())
        .collect();
    wanted.insert("version".to_owned());
    assert_eq!(named, wanted);
}

#[test]
fn no_name_is_there_twice() {
    let all = table::SETTINGS.iter().flat_map(|setting| {
        let old = setting.old_variable.map(str::to_owned);
        [
            setting.name.to_owned(),
            format!("--{}", setting.flag),
            setting.variable(),
        ]
        .into_iter()
        .chain(old)
    });
    let mut seen = BTreeSet::new();
    for name in all {
        assert!(seen.insert(name.clone()), "{name}");
    }
}
