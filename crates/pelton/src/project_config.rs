//! The configuration as the command line gives it: file, environment, flags.

use anyhow::Context as _;
use clap::Args;
use pelton_config::{Config, Provider};
use pelton_secrets::Redacted;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where settings come from.
#[derive(Args, Clone, Default)]
pub struct Settings {
    /// The configuration file; `pelton.toml` in the working folder when it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting, stronger than file and environment: `--set server.listen=0.0.0.0:7077`.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl Settings {
    /// Reads the whole configuration.
    pub fn load(&self) -> anyhow::Result<Config> {
        let default = Path::new("pelton.toml");
        let file = match &self.config {
            Some(file) => Some(file.as_path()),
            None => default.exists().then_some(default),
        };
        let text = file
            .map(|file| {
                std::fs::read_to_string(file).with_context(|| {
                    format!("cannot read the configuration file {}", file.display())
                })
            })
            .transpose()?;
        let mut flags = BTreeMap::new();
        for setting in &self.set {
            let (key, value) = setting
                .split_once('=')
                .with_context(|| format!("`--set {setting}` should read SECTION.KEY=VALUE"))?;
            flags.insert(key.to_owned(), value.to_owned());
        }
        Ok(pelton_config::load(text.as_deref(), std::env::vars(), &flags)?)
    }
}

/// The keys of providers, from the variables that they name.
#[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
pub fn provider_keys(
    providers: &BTreeMap<String, Provider>,
) -> anyhow::Result<BTreeMap<String, Redacted<String>>> {
    let mut keys = BTreeMap::new();
    for (name, provider) in providers {
        if let Some(variable) = &provider.api_key_env {
            let key = std::env::var(variable).with_context(|| {
                format!("provider `{name}` wants its key in {variable}, which is not set")
            })?;
            keys.insert(name.clone(), Redacted::new(key));
        }
    }
    Ok(keys)
}
