//! Typed configuration, parsed once. The only crate that knows the configuration file's shape; it
//! reads no file and no environment variable itself: their contents come in as arguments.
//!
//! A setting is found, from weakest to strongest, in its default, in the configuration file
//! (TOML, `[section]` and `key`), in the environment (`PELTON_SECTION_KEY`), and in a flag.

mod provider;
mod settings;

pub use provider::Provider;
pub use settings::{Authentication, Config, LogFormat, Quantization, reference};

use std::collections::BTreeMap;

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML, or holds a key that does not exist.
    #[error("the configuration file is not valid: {0}")]
    File(String),
    /// A value cannot be read.
    #[error("{place}: `{value}` is not valid for `{key}`: {reason}")]
    Value {
        /// Where the value came from.
        place: String,
        /// The setting, `section.key`.
        key: String,
        /// What was given.
        value: String,
        /// Why it is refused.
        reason: String,
    },
    /// A key that does not exist.
    #[error("there is no setting `{key}`{}", hint.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// What was written.
        key: String,
        /// The nearest setting that exists.
        hint: Option<String>,
    },
}

/// Builds the configuration from the text of the file, the environment, and the flags.
///
/// `environment` may hold any variables: only those that start with `PELTON_` and name a setting
/// are used. `flags` maps `section.key` to a value.
///
/// # Errors
/// [`ConfigError`] naming the setting and the place of the value that is wrong.
pub fn load(
    file: Option<&str>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(text) = file {
        apply_file(&mut config, text)?;
    }
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    for key in Config::keys() {
        let variable = environment_name(key);
        if let Some(value) = environment.get(&variable) {
            config.set(key, value, &format!("environment variable {variable}"))?;
        }
    }
    for (key, value) in flags {
        config.set(key, value, "flag")?;
    }
    Ok(config)
}

/// The environment variable of a setting: `server.listen` is `PELTON_SERVER_LISTEN`.
#[must_use]
pub fn environment_name(key: &str) -> String {
    format!("PELTON_{}", key.replace('.', "_").to_uppercase())
}

fn apply_file(config: &mut Config, text: &str) -> Result<(), ConfigError> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| ConfigError::File(error.to_string()))?;
    for (section, value) in table {
        if section == "providers" {
            config.providers = value
                .try_into()
                .map_err(|error: toml::de::Error| ConfigError::File(error.to_string()))?;
            continue;
        }
        let toml::Value::Table(keys) = value else {
            return Err(ConfigError::Unknown { key: section, hint: None });
        };
        for (key, value) in keys {
            let text = match value {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            config.set(&format!("{section}.{key}"), &text, "configuration file")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
