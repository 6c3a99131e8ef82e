//! The layers on each other: for each setting, the value of the highest that gives it.

use figment::Figment;
use serde_json::Value;

use super::layers::Given;
use super::problem::{Origin, Problem, Problems, Wrong};
use super::table::SETTINGS;
use super::{SettingOrigin, Settings};

/// Puts together what the layers give, lowest first.
pub(super) fn merge(given: &[Given]) -> Result<Settings, Problems> {
    let layers = given.iter().fold(Figment::new(), |layers, given| {
        layers.merge((given.setting.name, &given.value))
    });
    // All values were checked, so that an error here is one of the table, and not the user's.
    layers.extract().map_err(|error| {
        let what = Wrong::new(error.kind.to_string(), "this is a bug: please report it");
        let key = Some(error.path.join("."));
        Problems(vec![Problem {
            origin: Origin::Default,
            key,
            what,
        }])
    })
}

/// The value of each setting and where it comes from.
pub(super) fn origins(given: &[Given]) -> Vec<SettingOrigin> {
    let highest = |name: &str| given.iter().rfind(|given| given.setting.name == name);
    let shown = SETTINGS.iter().filter_map(|setting| highest(setting.name));
    shown
        .map(|given| SettingOrigin {
            name: given.setting.name,
            value: text(&given.value),
            origin: given.origin.to_string(),
        })
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
