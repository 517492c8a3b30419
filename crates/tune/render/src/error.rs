//! Why a job is not rendered.

/// Why a job is not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A field that no cluster would take.
    #[error("`{field}` is `{value}`: give {expected}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What was given, cut.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// The job cannot do what was asked for.
    #[error("{what}")]
    Unsupported {
        /// What, and why not.
        what: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// A template does not render: a fault of this crate.
    #[error("the manifest cannot be written")]
    Template(#[from] minijinja::Error),
    /// The settings cannot be written: a fault of this crate.
    #[error("the settings cannot be written")]
    Settings(#[from] serde_json::Error),
}
