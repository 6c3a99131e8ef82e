//! What is made from the table: the reference page and the JSON schema.
//!
//! `docs/settings.md` and `config/schema.json` are kept in the repository, and a test compares them
//! with what these functions make.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::document::{self, Content};
use super::table::{Availability, Kind, SETTINGS, Setting};
use super::{DEFAULTS, value};

/// The words before the tables of the reference page.
const INTRODUCTION: &str = include_str!("reference/introduction.md");

/// The words after them.
const OLDER_TOOL: &str = include_str!("reference/older_tool.md");

/// The text of `docs/settings.md`.
pub fn page() -> String {
    let defaults = defaults();
    let mut page = INTRODUCTION.to_owned();
    let mut section = None;
    for setting in SETTINGS.iter().filter(|setting| setting.works()) {
        if section != Some(setting.section()) {
            section = Some(setting.section());
            add(&mut page, &format!("\n### {}", title(setting.section())));
        }
        add(&mut page, &entry(setting, defaults.get(setting.name)));
    }
    add(&mut page, "\n## Not there yet\n");
    add(
        &mut page,
        "These names are known, and refused with the reason.\n",
    );
    add(
        &mut page,
        "| Setting | Flag | Variable | What it will do | Why not yet |",
    );
    add(&mut page, "|---|---|---|---|---|");
    for setting in SETTINGS {
        if let Availability::Later { reason, .. } = setting.availability {
            let Setting {
                name, flag, doc, ..
            } = setting;
            let variable = setting.variable();
            let row = format!("| `{name}` | `--{flag}` | `{variable}` | {doc} | {reason} |");
            add(&mut page, &row);
        }
    }
    add(&mut page, OLDER_TOOL.trim_end());
    for setting in SETTINGS {
        if let Some(old) = setting.old_variable {
            add(&mut page, &format!("| `{old}` | `{}` |", setting.name));
        }
    }
    page
}

fn add(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

fn title(section: &str) -> &str {
    match section {
        "" => "General",
        "dind" => "Node networks: `dind`",
        "source" => "Where Kubernetes comes from: `source`",
        "cluster" => "The cluster: `cluster`",
        "image" => "The node image: `image`",
        "kubeconfig" => "The kubeconfig: `kubeconfig`",
        other => other,
    }
}

fn entry(setting: &Setting, default: Option<&String>) -> String {
    let Setting {
        name, flag, doc, ..
    } = setting;
    let mut text = format!("\n#### `{name}`\n\n{doc}.\n\n- flag: `--{flag}`");
    let negates = if setting.negated.is_some() {
        ", which mean the opposite"
    } else {
        ""
    };
    let variable = setting.variable();
    let value = value::wanted(setting.kind);
    let none = if setting.optional { ", or nothing" } else { "" };
    let default = default.filter(|default| !default.is_empty());
    let default = default.map_or("nothing".to_owned(), |default| format!("`{default}`"));
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "\n- variable: `{variable}`{negates}\n- value: {value}{none}\n"
    );
    let _ = write!(text, "- default: {default}");
    text
}

/// The defaults by their names, as they are written.
pub(crate) fn defaults() -> BTreeMap<String, String> {
    let entries = document::read(DEFAULTS, |_| false).unwrap_or_default();
    let texts = entries.into_iter().map(|entry| match entry.content {
        Content::Text(text) => (entry.name, text),
        Content::List(texts) => (entry.name, texts.join(",")),
        Content::Other => (entry.name, String::new()),
    });
    texts.collect()
}

/// The text of `config/schema.json`.
pub fn schema() -> String {
    let mut top = serde_json::Map::new();
    top.insert(
        "version".to_owned(),
        json!({ "const": 1, "description": "The form of the file" }),
    );
    for setting in SETTINGS.iter().filter(|setting| setting.works()) {
        match setting.name.split_once('.') {
            None => {
                top.insert(setting.name.to_owned(), schema_of(setting));
            }
            Some((section, key)) => {
                let section = top.entry(section).or_insert_with(
                    || json!({ "type": ["object", "null"], "additionalProperties": false }),
                );
                section["properties"][key] = schema_of(setting);
            }
        }
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of local-cluster",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": top,
    });
    format!("{schema:#}\n")
}

fn schema_of(setting: &Setting) -> Value {
    let mut schema = match setting.kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Number(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::OneOf(numbers) => json!({ "enum": numbers }),
        Kind::Choice(choices) => {
            let words = choices.iter().filter(|choice| choice.later.is_none());
            json!({ "enum": words.map(|choice| choice.word).collect::<Vec<_>>() })
        }
        Kind::List(words) => {
            json!({ "type": "array", "items": { "enum": words }, "uniqueItems": true })
        }
        Kind::Digest(length) => {
            json!({ "type": "string", "pattern": format!("^[0-9a-fA-F]{{{length}}}$") })
        }
        // 1.35 is a number to YAML; its text is taken as it is written.
        Kind::Version => json!({ "type": ["string", "number"] }),
        _ => json!({ "type": "string" }),
    };
    if setting.optional {
        schema = json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema["description"] = json!(setting.doc);
    schema
}
