//! What must fit together among the settings themselves.
//!
//! Whether ranges of addresses fit to each other and to the world is checked where the cluster is
//! planned.

use super::layers::Given;
use super::problem::{Origin, Problem, Wrong};
use super::{BaseKind, Settings};

/// All that does not fit together.
pub(super) fn together(settings: &Settings, given: &[Given]) -> Vec<Problem> {
    let base = &settings.image.base;
    let about_digest = match (settings.image.base_kind(), &settings.image.base_sha256) {
        (BaseKind::Url, None) => Some((
            "image.base",
            Wrong::new(
                format!("`{base}` is downloaded, and nothing says what it must be"),
                "give its SHA-256 as image.baseSha256",
            ),
        )),
        (BaseKind::Auto | BaseKind::Archive | BaseKind::Reference, Some(_)) => Some((
            "image.baseSha256",
            Wrong::new(
                format!("is for a tarball, and image.base is `{base}`"),
                "leave it out, or name a tarball's path or URL as image.base",
            ),
        )),
        _ => None,
    };
    let problem = |(name, what): (&str, Wrong)| {
        let highest = given.iter().rfind(|given| given.setting.name == name);
        let origin = highest.map_or(Origin::Default, |given| given.origin.clone());
        Problem {
            origin,
            key: Some(name.to_owned()),
            what,
        }
    };
    about_digest.map(problem).into_iter().collect()
}
