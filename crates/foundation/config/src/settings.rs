//! Every setting, its default and its meaning, in one table.

use crate::{ConfigError, Provider, environment_name};
use pelton_secrets::Redacted;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// How a setting's value is written and read.
trait Setting: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
}

macro_rules! plain_setting {
    ($($kind:ty),*) => {$(
        impl Setting for $kind {
            fn read(text: &str) -> Result<Self, String> {
                <$kind as FromStr>::from_str(text).map_err(|error| error.to_string())
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
plain_setting!(
    SocketAddr,
    bool,
    u16,
    u32,
    u64,
    usize,
    f64,
    i64,
    String,
    Authentication,
    LogFormat,
    Quantization
);

impl Setting for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Redacted<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::new(text.to_owned()))
    }
    fn show(&self) -> String {
        if self.expose().is_empty() { String::new() } else { "[redacted]".into() }
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("it should be one of {}", [$($text),*].join(", "))),
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(match self { $(Self::$variant => $text),* })
            }
        }
    };
}

choice!(
    /// Who must show a key.
    Authentication {
        /// Everybody, unless the server listens on loopback only.
        Auto = "auto",
        /// Everybody.
        Required = "required",
    }
);
choice!(
    /// How logs are written.
    LogFormat {
        /// For a person at a terminal.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
);
choice!(
    /// The precision in which the engine holds linear weights.
    Quantization {
        /// 32-bit floats.
        F32 = "f32",
        /// 16-bit floats.
        F16 = "f16",
        /// Blocks of 32 eight-bit integers with a scale.
        Q8 = "q8_0",
        /// Super-blocks of 256 six-bit integers.
        Q6K = "q6_k",
        /// Super-blocks of 256 four-bit integers.
        Q4K = "q4_k",
        /// The same, with more bits where llama.cpp's `Q4_K_M` has them.
        Q4KM = "q4_k_m",
    }
);

macro_rules! settings {
    ($($section:ident { $($key:ident: $kind:ty = $default:expr, $doc:literal;)* })*) => {
        $(settings!(@section $section { $($key: $kind, $doc;)* });)*

        /// The whole configuration.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $(#[doc = concat!("Settings under `", stringify!($section), "`.")]
            pub $section: $section::Settings,)*
            /// Upstream providers by name.
            pub providers: BTreeMap<String, Provider>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($section: $section::Settings { $($key: $default),* },)*
                    providers: BTreeMap::new(),
                }
            }
        }

        impl Config {
            /// Every setting's name, `section.key`.
            pub fn keys() -> impl Iterator<Item = &'static str> {
                [$($(concat!(stringify!($section), ".", stringify!($key))),*),*].into_iter()
            }

            /// Changes one setting.
            ///
            /// # Errors
            /// When there is no such setting or the value cannot be read; `place` says in the
            /// error where the value came from.
            pub fn set(&mut self, key: &str, value: &str, place: &str) -> Result<(), ConfigError> {
                let refuse = |reason: String| ConfigError::Value {
                    place: place.into(),
                    key: key.into(),
                    value: value.into(),
                    reason,
                };
                $($(if key == concat!(stringify!($section), ".", stringify!($key)) {
                    self.$section.$key = <$kind as Setting>::read(value).map_err(refuse)?;
                    return Ok(());
                })*)*
                Err(ConfigError::Unknown { key: key.into(), hint: nearest(key) })
            }
        }

        /// The reference page of all settings, in Markdown.
        #[must_use]
        pub fn reference() -> String {
            let mut page = String::from(REFERENCE_HEAD);
            let defaults = Config::default();
            $(
                let _ = writeln!(page, "\n## `[{}]`\n\n| setting | default | environment | what it does |\n| --- | --- | --- | --- |", stringify!($section));
                $(
                    let _ = writeln!(
                        page,
                        "| `{}` | `{}` | `{}` | {} |",
                        stringify!($key),
                        defaults.$section.$key.show(),
                        environment_name(concat!(stringify!($section), ".", stringify!($key))),
                        $doc,
                    );
                )*
            )*
            page.push_str(REFERENCE_PROVIDERS);
            page
        }
    };
    (@section $section:ident { $($key:ident: $kind:ty, $doc:literal;)* }) => {
        /// The settings of one section.
        pub mod $section {
            #[allow(unused_imports, reason = "not every section uses every kind")]
            use super::*;

            /// The settings of this section.
            #[derive(Debug, Clone, PartialEq)]
            pub struct Settings {
                $(#[doc = $doc] pub $key: $kind,)*
            }
        }
    };
}

settings! {
    server {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7077)), "Address and port to listen on.";
        data: PathBuf = PathBuf::from("data"), "Folder that holds everything Pelton stores.";
        authentication: Authentication = Authentication::Auto, "`auto`: keys are required unless the address is loopback. `required`: always.";
        max_body_bytes: usize = 33_554_432, "Largest request body on the serving and native routes; uploads of blobs are streamed and not bound by it.";
        max_blob_bytes: u64 = 68_719_476_736, "Largest blob that may be uploaded.";
        max_in_flight: usize = 1_024, "Calls served at once; more get 503 with Retry-After.";
        shutdown_seconds: u64 = 20, "How long open calls may go on after a stop signal.";
        worker_threads: usize = 2, "Threads that serve requests.";
    }
    log {
        format: LogFormat = LogFormat::Pretty, "`pretty` or `json`.";
        filter: String = String::from("info"), "What is logged, in tracing's filter syntax.";
    }
    metadata {
        url: Redacted<String> = Redacted::new(String::new()), "`postgres://…` for PostgreSQL; empty for SQLite in the data folder.";
        max_connections: u32 = 8, "Connections kept to the database.";
    }
    traces {
        queue: usize = 8_192, "Records that may wait for the disk before callers are told to slow down.";
        commit_ms: u64 = 20, "Longest time a record waits for its group commit.";
        seal_rows: u64 = 200_000, "Rows in a hot segment before it is sealed into Parquet.";
        seal_minutes: u64 = 30, "Age of a hot segment before it is sealed into Parquet.";
        retention_days: u64 = 0, "Days that traces are kept; 0 keeps them.";
    }
    engine {
        enabled: bool = true, "Whether the embedded engine runs.";
        model: PathBuf = PathBuf::new(), "Base model to register and serve: a folder, a GGUF file, `hf://ORG/NAME[@REVISION]`, `s3://BUCKET/PREFIX` or a registered model; empty for the built-in pelton-tiny.";
        quantization: Quantization = Quantization::F32, "`f32`, `f16`, `q8_0`, `q6_k`, `q4_k` or `q4_k_m`; a GGUF file's own blocks stay as they are.";
        threads: usize = 2, "Threads that compute.";
        max_batch: usize = 64, "Sequences that decode together.";
        max_waiting: usize = 512, "Requests that may wait for a place in the batch; more get 429.";
        kv_tokens: usize = 65_536, "Tokens that the key-value cache holds.";
        speculative_tokens: i64 = -1, "Tokens that a step guesses at most by prompt lookup; 0 turns it off, -1 decides by the model's size.";
    }
    jobs {
        slots: usize = 1, "Jobs that run at once.";
        lease_seconds: u64 = 60, "How long a silent worker keeps its job.";
        max_attempts: u32 = 5, "Times that a job whose process died is started anew.";
        threads: usize = 2, "Threads that a training job computes with.";
    }
    gateway {
        connect_ms: u64 = 3_000, "Time to open a connection to an upstream.";
        first_token_ms: u64 = 60_000, "Time to the first byte of an answer.";
        idle_ms: u64 = 60_000, "Longest silence inside a stream.";
        total_ms: u64 = 600_000, "Longest time of a whole call.";
        retries: u32 = 2, "Attempts after the first, before any content was sent.";
    }
}

const REFERENCE_HEAD: &str = "# Configuration\n\n\
<!-- Written by `cargo xtask gen`; do not edit. -->\n\n\
A setting is found, from weakest to strongest, in its default, in the configuration file\n\
(`pelton up --config pelton.toml`), in the environment, and in a flag (`--set section.key=value`).\n";

const REFERENCE_PROVIDERS: &str = "\n## `[providers.NAME]`\n\n\
One table for each OpenAI-compatible upstream, in the file only.\n\n\
| key | what it does |\n| --- | --- |\n\
| `base_url` | The address up to and including `/v1`. |\n\
| `api_key_env` | The environment variable that holds the API key; left out for an open upstream. |\n\
| `allow_private` | Whether the address may lie in a private or loopback range; `false` unless set. |\n\
| `prompt_nanousd_per_million`, `completion_nanousd_per_million` | Price of a million tokens in nano-dollars; costs are unknown, not zero, when left out. |\n";

/// The setting whose name shares the longest start or the same last part with `key`.
fn nearest(key: &str) -> Option<String> {
    let last = key.rsplit('.').next().unwrap_or(key);
    Config::keys()
        .find(|known| known.rsplit('.').next() == Some(last))
        .or_else(|| {
            Config::keys()
                .map(|known| (known, common_start(known, key)))
                .max_by_key(|&(_, shared)| shared)
                .filter(|&(_, shared)| shared > 4)
                .map(|(known, _)| known)
        })
        .map(str::to_owned)
}

fn common_start(left: &str, right: &str) -> usize {
    left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b).count()
}
