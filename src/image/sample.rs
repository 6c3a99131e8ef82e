//! Inputs for tests.

use super::base::BaseChoice;
use super::{ImageInputs, Origin};
use crate::cluster::DEFAULT_VERSION;
use crate::settings::BaseKind;

/// The default settings with this source.
pub(crate) fn inputs(origin: Origin) -> ImageInputs {
    ImageInputs {
        version: DEFAULT_VERSION,
        origin,
        base: BaseChoice {
            kind: BaseKind::Auto,
            name: "auto".to_owned(),
            sha256: None,
            debian_mirror: None,
        },
        preload: Vec::new(),
        ca_bundle: None,
    }
}

/// The released binaries, from where the default settings have them.
pub(crate) fn release() -> Origin {
    Origin::Release {
        url: "https://dl.k8s.io/release".to_owned(),
        registry: "registry.k8s.io".to_owned(),
    }
}
