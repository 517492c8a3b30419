//! Sources of models as the environment configures them, and downloads into a cache.

use anyhow::Context as _;
use async_trait::async_trait;
use futures_util::stream;
use pelton_client::{Client, ClientError, escape};
use pelton_egress::{Egress, EgressSettings};
use pelton_secrets::Redacted;
use pelton_sources::{
    Address, Bucket, BucketSettings, Download, Hub, HubSettings, Integrity, Listing, Opened,
    Origin, Patterns, RemoteFile, Result, Retry, Selection, Source, SourceError, fetch,
    select_files,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The hub or bucket that an address names; none for what lies on this machine.
pub fn open(address: &Address) -> Result<Option<Box<dyn Source>>> {
    let connect = Duration::from_secs(10);
    let egress = Arc::new(Egress::new(EgressSettings { connect, ..EgressSettings::default() }));
    Ok(match address {
        Address::Hub { repository, revision } => {
            let settings = HubSettings {
                endpoint: variable("HF_ENDPOINT"),
                token: variable("HF_TOKEN").map(Redacted::new),
            };
            Some(Box::new(Hub::new(egress, settings, repository, revision.clone())?))
        }
        Address::Bucket { bucket, prefix } => {
            let settings = BucketSettings {
                endpoint: variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")),
                region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
                key_id: variable("AWS_ACCESS_KEY_ID"),
                secret_key: variable("AWS_SECRET_ACCESS_KEY").map(Redacted::new),
                session_token: variable("AWS_SESSION_TOKEN").map(Redacted::new),
            };
            Some(Box::new(Bucket::new(egress, settings, bucket, prefix)?))
        }
        Address::Folder(_) | Address::Registry(_) => None,
    })
}

/// Where downloads lie until they are registered: `PELTON_CACHE` is read by the command line.
pub fn default_cache() -> PathBuf {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    folder.unwrap_or_else(std::env::temp_dir).join("pelton")
}

/// What the registry keeps of where a model came from.
pub fn lineage(listing: &Listing) -> Value {
    let Listing { origin, license, license_link, notes: _, files: _ } = listing;
    let mut source = json!(origin);
    source["license"] = json!(license);
    if let Some(link) = license_link {
        source["license_link"] = json!(link);
    }
    json!({ "source": source })
}

/// A model that was downloaded.
pub struct Downloaded {
    /// Its folder.
    pub folder: PathBuf,
    /// What was listed.
    pub listing: Listing,
    /// The files that it has.
    pub files: Vec<RemoteFile>,
}

/// Downloads a remote model into `cache` without asking, and logs what it is and how far it is.
pub async fn download(address: &Address, cache: &Path) -> anyhow::Result<Downloaded> {
    let source = open(address)?.with_context(|| format!("{address} is not remote"))?;
    let listing = source.list().await?;
    let selection = select_files(&listing.files, &Patterns::default());
    selection.check().with_context(|| format!("{address} cannot be served"))?;
    let Selection { files, left_out } = &selection;
    let total = selection.size();
    tracing::info!(
        model = %address,
        commit = listing.origin.commit.as_deref().unwrap_or_default(),
        license = listing.license.as_deref().unwrap_or("not stated"),
        files = files.len(),
        left_out = left_out.len(),
        bytes = total,
        "downloading the model"
    );
    let folder = listing.origin.folder_in(cache);
    let (here, told) = (AtomicI64::new(0), AtomicI64::new(0));
    let tenth = i64::try_from(total / 10).unwrap_or(i64::MAX).max(1);
    let progress = |change: i64| {
        let now = here.fetch_add(change, Ordering::Relaxed) + change;
        if told.fetch_max(now / tenth, Ordering::Relaxed) < now / tenth {
            tracing::info!(model = %address, bytes = now, of = total, "downloading");
        }
    };
    let how = Download { folder: &folder, retry: Retry::default(), progress: &progress };
    fetch(source.as_ref(), files, &how)
        .await
        .with_context(|| format!("{address} cannot be downloaded"))?;
    Ok(Downloaded { folder, listing, files: selection.files })
}

/// A model of a Pelton server's registry.
pub struct Registry {
    client: Client,
    reference: String,
}

impl Registry {
    /// `name@version`, or `name` for the newest.
    pub const fn new(client: Client, reference: String) -> Self {
        Self { client, reference }
    }
}

fn failed(error: ClientError) -> SourceError {
    let transient = error.is_transient();
    SourceError::Other { source: Box::new(error), transient }
}

#[async_trait]
impl Source for Registry {
    async fn list(&self) -> Result<Listing> {
        let path = format!("/api/v1/models/{}", escape(&self.reference));
        let model: Value = self.client.get(&path).await.map_err(failed)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let unusable = |reason: &str| SourceError::Unreadable {
            host: self.client.base().into(),
            reason: reason.into(),
        };
        let mut files = Vec::new();
        for file in model["files"].as_array().into_iter().flatten() {
            let digest = text(&file["digest"]).ok_or_else(|| unusable("a file has no digest"))?;
            let integrity = digest.parse().map_err(|_| unusable("a digest is none"))?;
            let path = text(&file["path"]).ok_or_else(|| unusable("a file has no path"))?;
            files.push(RemoteFile {
                path: pelton_sources::checked_path(&path)?.to_owned(),
                size: file["size"].as_u64().unwrap_or_default(),
                integrity: Integrity::Sha256(integrity),
                location: digest,
                version: None,
            });
        }
        let commit = text(&model["digest"]).map(|digest| digest.replace("sha256:", ""));
        let origin = Origin {
            kind: "pelton",
            address: text(&model["ref"]).unwrap_or_else(|| self.reference.clone()),
            endpoint: Some(self.client.base().to_owned()),
            revision: None,
            commit,
        };
        let license = text(&model["license"]);
        Listing { origin, license, license_link: None, notes: Vec::new(), files }
            .sorted(self.client.base())
    }

    async fn open(&self, file: &RemoteFile, from: u64) -> Result<Opened> {
        let opened = self.client.open_blob(&file.location, from).await.map_err(failed)?;
        let from = opened.from();
        let content = stream::try_unfold(opened, |mut opened| async {
            Ok(opened.next().await.map_err(failed)?.map(|piece| (piece, opened)))
        });
        Ok(Opened { from, content: Box::pin(content) })
    }
}
