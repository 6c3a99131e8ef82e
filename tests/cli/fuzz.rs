//! No text makes the reader of settings fall over.

use std::collections::BTreeMap;

use local_cluster::cli::{Cli, SettingFlags};
use local_cluster::settings::{self, document, table};
use proptest::prelude::*;

fn load(text: &str) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.yaml"), text).unwrap();
    let loaded = settings::load(
        &SettingFlags::default(),
        &BTreeMap::new(),
        Some(home.path()),
    );
    if let Err(problems) = loaded {
        assert!(!problems.to_string().is_empty());
    }
}

/// Pieces of YAML, and of our own names, put together without sense.
fn yaml() -> impl Strategy<Value = String> {
    let names = table::SETTINGS.iter().map(|setting| setting.name);
    let mut pieces: Vec<&'static str> = names.flat_map(|name| name.split('.')).collect();
    pieces.extend([
        ": ",
        "\n",
        "\n  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#",
        "&a",
        "*a",
        "<<",
        "!",
        "!!float ",
        "|",
        ">",
        "'",
        "\"",
        "~",
        "null",
        "true",
        "1.30",
        "1e999",
        ".inf",
        "0x1F",
        "-1",
        "é",
        "\u{feff}",
        "\r",
        "\t",
        "---",
        "...",
        "%YAML 1.1",
        "? ",
        "\u{2028}",
        "10.0.0.0/8",
        ".",
    ]);
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_as_a_file(text in any::<String>()) {
        load(&text);
    }

    #[test]
    fn any_yaml_as_a_file(text in yaml()) {
        load(&text);
    }

    #[test]
    fn lines_are_within_the_text(text in yaml()) {
        for entry in document::read(&text, |_| false).unwrap_or_default() {
            let line = entry.line(&text);
            // All that YAML, in one version or another, takes for the end of a line.
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
            let is_within = (1..=lines).contains(&line);
            prop_assert!(is_within);
        }
    }

    #[test]
    fn any_text_as_a_value(index in 0..table::SETTINGS.len(), text in any::<String>()) {
        let environment = BTreeMap::from([(table::SETTINGS[index].variable(), text)]);
        let _ = settings::load(&SettingFlags::default(), &environment, None);
    }

    #[test]
    fn any_words_as_arguments(words in prop::collection::vec(any::<String>(), 0..5)) {
        let _ = Cli::read(std::iter::once("local-cluster".to_owned()).chain(words));
    }
}
