//! What a user writes to say which model is meant.

use crate::error::{Result, SourceError, shown};
use std::fmt;
use std::path::PathBuf;

/// Where a model lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `hf://ORG/NAME[@REVISION]`: a repository of the Hugging Face Hub.
    Hub {
        /// `ORG/NAME`, or `NAME` for the oldest ones.
        repository: String,
        /// A branch, tag or commit; the default branch without.
        revision: Option<String>,
    },
    /// `s3://BUCKET/PREFIX`: the objects under a prefix.
    Bucket {
        /// The bucket.
        bucket: String,
        /// What the keys of its files begin with, without `/` at its end; may be empty.
        prefix: String,
    },
    /// A folder of this machine, or a GGUF file.
    Folder(PathBuf),
    /// `NAME[@VERSION]` in Pelton's own registry.
    Registry(String),
}

/// Letters of a repository's name at most.
const LONGEST_NAME: usize = 96;
/// Letters of a revision at most.
const LONGEST_REVISION: usize = 255;

impl Address {
    /// Reads an address. A text without a scheme means a folder when something of that name
    /// exists, or when it begins with `/`, `.` or `~`; else a model of the registry.
    ///
    /// # Errors
    /// [`SourceError::Address`] with what it should look like.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("hf://") {
            return hub(text, rest);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return bucket(text, rest);
        }
        if text.contains("://") {
            return refuse(
                text,
                "it should begin with hf:// or s3://, or be a folder or a model's name",
            );
        }
        if text.is_empty() {
            return refuse(text, "it is empty");
        }
        let path = PathBuf::from(text);
        if text.starts_with(['/', '.', '~']) || path.exists() {
            return Ok(Self::Folder(path));
        }
        Ok(Self::Registry(text.to_owned()))
    }

    /// Whether it has to be downloaded from elsewhere.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Hub { .. } | Self::Bucket { .. })
    }

    /// A name for the model in Pelton's registry.
    #[must_use]
    pub fn suggested_name(&self) -> String {
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        match self {
            Self::Hub { repository, .. } => repository.clone(),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => bucket.clone(),
            Self::Bucket { bucket, prefix } => format!("{bucket}/{}", last(prefix)),
            Self::Folder(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
                format!("local/{name}")
            }
            Self::Registry(reference) => reference.split('@').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { repository, revision: None } => write!(out, "hf://{repository}"),
            Self::Hub { repository, revision: Some(revision) } => {
                write!(out, "hf://{repository}@{revision}")
            }
            Self::Bucket { bucket, prefix } => write!(out, "s3://{bucket}/{prefix}"),
            Self::Folder(path) => write!(out, "{}", path.display()),
            Self::Registry(reference) => out.write_str(reference),
        }
    }
}

fn refuse<T>(text: &str, reason: impl Into<String>) -> Result<T> {
    Err(SourceError::Address { text: shown(text, 120), reason: reason.into() })
}

fn hub(text: &str, rest: &str) -> Result<Address> {
    let (repository, revision) = match rest.split_once('@') {
        Some((repository, revision)) => (repository, Some(revision)),
        None => (rest, None),
    };
    let repository = repository.trim_end_matches('/');
    let parts: Vec<&str> = repository.split('/').collect();
    if matches!(parts[0], "datasets" | "spaces") && parts.len() > 2 {
        return refuse(text, "it names a dataset or a space, not a model");
    }
    let fits = |part: &&str| {
        !part.is_empty()
            && part.len() <= LONGEST_NAME
            && !part.starts_with(['.', '-'])
            && !part.contains("..")
            && part.chars().all(|it| it.is_ascii_alphanumeric() || "._-".contains(it))
    };
    if parts.len() > 2 || !parts.iter().all(fits) {
        return refuse(text, "it should read hf://ORG/NAME or hf://ORG/NAME@REVISION");
    }
    let odd = |revision: &str| {
        revision.is_empty()
            || revision.len() > LONGEST_REVISION
            || revision.split('/').any(|part| part.is_empty() || part == "." || part == "..")
            || revision.chars().any(|it| it.is_control() || it.is_whitespace())
    };
    if revision.is_some_and(odd) {
        return refuse(text, "what follows the @ is no branch, tag or commit");
    }
    Ok(Address::Hub { repository: repository.into(), revision: revision.map(str::to_owned) })
}

fn bucket(text: &str, rest: &str) -> Result<Address> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let fits = (3..=63).contains(&bucket.len())
        && bucket.chars().all(|it| it.is_ascii_alphanumeric() || "._-".contains(it))
        && bucket.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !fits {
        return refuse(text, "it should read s3://BUCKET/PREFIX");
    }
    if prefix.len() > 900 || prefix.chars().any(char::is_control) {
        return refuse(text, "its prefix is no key of an object");
    }
    // URLs cannot say `.` and `..`, so that such keys cannot be asked for.
    if !prefix.is_empty()
        && prefix.split('/').any(|part| part.is_empty() || part == "." || part == "..")
    {
        return refuse(text, "its prefix holds an empty part, `.` or `..`");
    }
    Ok(Address::Bucket { bucket: bucket.into(), prefix: prefix.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, name) in [
            ("hf://Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct"),
            ("hf://gpt2", "gpt2"),
            ("hf://acme/base@refs/pr/1", "acme/base"),
            ("hf://acme/base@v1.0@2", "acme/base"),
            ("s3://models/qwen/base", "models/base"),
            ("s3://models/", "models"),
            ("acme/base@2", "acme/base"),
            ("/no/such/Folder", "local/folder"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text, "{text}");
            assert_eq!(address.suggested_name(), name, "{text}");
        }
        let slash = Address::parse("hf://acme/base@feature/x").unwrap();
        let Address::Hub { revision, .. } = slash else { panic!("a hub") };
        assert_eq!(revision.unwrap(), "feature/x");
        assert_eq!(Address::parse(".").unwrap(), Address::Folder(".".into()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "hf://",
            "hf://a/b/c",
            "hf://../x",
            "hf://a/..",
            "hf://a/b@",
            "hf://a/b@x y",
            "hf://a/b@../x",
            "hf://datasets/a/b",
            "s3://",
            "s3://ab/x",
            "s3://bucket/a/../b",
            "https://example.org/x",
            "gs://bucket/x",
            "hf://a/b?x=1",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
