//! Logs go to stderr, so that what a command prints stays its own.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in tracing's syntax.
    #[error(
        "`{filter}` is not a log filter: write a level such as `info`, or `info,pelton_gateway=debug`"
    )]
    Filter {
        /// The text that was given.
        filter: String,
        /// What tracing says.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something in this process logs already.
    #[error("logging was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends the process's logs to stderr.
///
/// # Errors
/// [`TelemetryError`] when the filter cannot be read, or on a second call.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = read_filter(filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => registry.with(layer.with_target(false)).try_init()?,
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_current_span(true)).try_init()?;
        }
    }
    Ok(())
}

fn read_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(filter)
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named() {
        let error = read_filter("info,pelton=loud").map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("`info,pelton=loud` is not a log filter"), "{error}");
        assert!(read_filter("info,pelton_gateway=debug").is_ok());
    }
}
