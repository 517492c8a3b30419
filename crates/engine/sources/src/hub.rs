//! The Hugging Face Hub, or what speaks like it: `HF_ENDPOINT` says where.
//!
//! Three routes: `/api/models/ID/revision/REV` resolves a revision and has the card's data,
//! `/api/models/ID/tree/COMMIT` lists files with their checksums page by page, and
//! `/ID/resolve/COMMIT/PATH` gives a file, often by a redirect to another host
//! (<https://huggingface.co/docs/hub/api>).

use crate::card::license_of;
use crate::error::{Result, SourceError, shown};
use crate::folder::MOST_FILES;
use crate::integrity::Integrity;
use crate::listing::{Listing, Opened, Origin, RemoteFile, Source};
use crate::path::check_path;
use crate::web::{Asked, Web, first_byte, unexpected};
use async_trait::async_trait;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use pelton_egress::{Egress, Inbound};
use pelton_secrets::Redacted;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use url::Url;

/// The public hub.
const PUBLIC: &str = "https://huggingface.co";
/// Bytes of one answer of the API at most.
const LARGEST_ANSWER: usize = 16 << 20;

/// Which hub, and who asks.
#[derive(Debug, Clone, Default)]
pub struct HubSettings {
    /// `HF_ENDPOINT`: another hub than the public one. It may lie in a private network.
    pub endpoint: Option<String>,
    /// `HF_TOKEN`: sent to the hub itself, never along a redirect to another host.
    pub token: Option<Redacted<String>>,
}

/// A repository of a hub.
pub struct Hub {
    web: Web,
    repository: String,
    revision: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    #[serde(default, rename = "cardData")]
    card_data: Value,
    #[serde(default)]
    gated: Value,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    oid: String,
    size: u64,
}

impl Hub {
    /// The repository `ORG/NAME` at a revision, the default branch without.
    ///
    /// # Errors
    /// When the endpoint is no http or https address.
    pub fn new(
        egress: Arc<Egress>,
        settings: HubSettings,
        repository: &str,
        revision: Option<String>,
    ) -> Result<Self> {
        let HubSettings { endpoint, token } = settings;
        let configured = endpoint.is_some();
        let text = endpoint.as_deref().unwrap_or(PUBLIC).trim_end_matches('/');
        let home = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.query().is_none()
        });
        let home = home.ok_or_else(|| SourceError::Address {
            text: shown(text, 120),
            reason: "HF_ENDPOINT should be a hub's address, as in https://huggingface.co".into(),
        })?;
        // Files and pipes that tokens come from end in a line break.
        let token = token.map(|token| Redacted::new(token.expose().trim().to_owned()));
        let token = token.filter(|token| !token.expose().is_empty());
        let web = Web::new(egress, home, token, configured);
        Ok(Self { web, repository: repository.to_owned(), revision })
    }

    fn address(&self) -> String {
        format!("hf://{}", self.repository)
    }

    /// The page that people look at.
    fn page(&self) -> String {
        self.route(&[]).to_string()
    }

    /// An address below the hub's: the repository's id with what stands before and after it, each
    /// part escaped.
    fn url<'a>(&'a self, before: &[&'a str], after: &[&'a str]) -> Url {
        let mut url = self.web.home().clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(before).extend(self.repository.split('/')).extend(after);
        }
        url
    }

    fn api(&self, after: &[&str]) -> Url {
        self.url(&["api", "models"], after)
    }

    fn route(&self, after: &[&str]) -> Url {
        self.url(&[], after)
    }

    async fn json<T: DeserializeOwned>(&self, url: Url) -> Result<(T, HeaderMap)> {
        let answer = self.web.send(Asked::get(url)).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer, None).await);
        }
        let headers = answer.headers().clone();
        let body = answer.read(LARGEST_ANSWER).await?;
        let parsed = serde_json::from_slice(&body)
            .map_err(|error| SourceError::unreadable(&self.web.host(), error.to_string()))?;
        Ok((parsed, headers))
    }

    /// What an error of the hub means for the user. `X-Error-Code` says more than the status.
    async fn refusal(&self, answer: Inbound, path: Option<&str>) -> SourceError {
        let status = answer.status();
        let header = |name: &str| {
            let text = answer.headers().get(name).and_then(|text| text.to_str().ok());
            text.unwrap_or_default().to_owned()
        };
        let (code, words) = (header("x-error-code"), header("x-error-message"));
        let address = self.address();
        let page = self.page();
        match (code.as_str(), status) {
            ("GatedRepo", _) if self.web.has_token() => SourceError::Refused {
                address,
                advice: format!(
                    "it is gated; accept its terms at {page} with the account of HF_TOKEN, and wait for approval where its owners ask for it"
                ),
            },
            ("GatedRepo", _) => SourceError::Refused {
                address,
                advice: format!(
                    "it is gated; accept its terms at {page}, and set HF_TOKEN to a token of that account"
                ),
            },
            ("RevisionNotFound", _) => SourceError::NotFound {
                address: format!("{address}@{}", self.revision.as_deref().unwrap_or("main")),
                advice: format!("the repository has no such branch, tag or commit; see {page}"),
            },
            ("EntryNotFound", _) => SourceError::NotFound {
                address: format!("{address}: `{}`", shown(path.unwrap_or_default(), 80)),
                advice: "the file is gone from the repository; pull again".into(),
            },
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) if self.web.has_token() => {
                SourceError::Refused {
                    address,
                    advice: "there is no such model, or HF_TOKEN is no longer valid or may not read it; check the name and the token's permissions".into(),
                }
            }
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => SourceError::Refused {
                address,
                advice: "there is no such model, or it is private; check the name, or set HF_TOKEN to a token that may read it".into(),
            },
            ("RepoNotFound", _) | (_, StatusCode::NOT_FOUND) => SourceError::NotFound {
                address,
                advice: format!("{} has no such model; check the name", self.web.host()),
            },
            _ => unexpected(&self.web.host(), status, &words),
        }
    }

    async fn files(&self, commit: &str) -> Result<Vec<RemoteFile>> {
        let mut url = self.api(&["tree", commit]);
        url.set_query(Some("recursive=true&expand=false"));
        let mut files = Vec::new();
        let mut next = Some(url);
        while let Some(url) = next {
            let (entries, headers): (Vec<Entry>, _) = self.json(url.clone()).await?;
            // An empty page that leads to another would lead on for ever.
            let empty = entries.is_empty();
            for entry in entries {
                if entry.kind == "file" {
                    files.push(self.file(commit, entry)?);
                }
            }
            if files.len() > MOST_FILES {
                return Err(SourceError::TooMuch {
                    what: "more files".into(),
                    limit: MOST_FILES.to_string(),
                });
            }
            next = self.next_page(&url, &headers)?.filter(|next| !empty && *next != url);
        }
        Ok(files)
    }

    fn file(&self, commit: &str, entry: Entry) -> Result<RemoteFile> {
        let Entry { kind: _, path, size, oid, lfs } = entry;
        check_path(&path)?;
        let (integrity, size) = match &lfs {
            Some(LargeFile { oid, size }) => (oid.parse().ok().map(Integrity::Sha256), *size),
            None => (Integrity::git_blob(&oid), size),
        };
        let integrity = integrity.ok_or_else(|| {
            let reason = format!("it gives no checksum of `{}`", shown(&path, 80));
            SourceError::unreadable(&self.web.host(), reason)
        })?;
        let parts: Vec<&str> = ["resolve", commit].into_iter().chain(path.split('/')).collect();
        let location = self.route(&parts).to_string();
        Ok(RemoteFile { path, size, integrity, location, version: None })
    }

    /// The next page as the `Link` header names it, on the same hub.
    fn next_page(&self, at: &Url, headers: &HeaderMap) -> Result<Option<Url>> {
        let links = headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
        let next = links.flat_map(|link| link.split(',')).find_map(|link| {
            let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
            let relations = rest.split(';').map(|part| part.trim().replace('"', ""));
            relations.into_iter().any(|part| part == "rel=next").then_some(address)
        });
        let Some(next) = next else { return Ok(None) };
        match at.join(next) {
            Ok(next) if next.origin() == self.web.home().origin() => Ok(Some(next)),
            _ => Err(SourceError::unreadable(&self.web.host(), "its next page lies elsewhere")),
        }
    }
}

/// A commit's name is used as a folder's: nothing but hexadecimal digits.
fn is_commit(sha: &str) -> bool {
    (40..=64).contains(&sha.len()) && sha.chars().all(|it| it.is_ascii_hexdigit())
}

#[async_trait]
impl Source for Hub {
    async fn list(&self) -> Result<Listing> {
        let revision = self.revision.as_deref().unwrap_or("main");
        let (info, _): (Info, _) = self.json(self.api(&["revision", revision])).await?;
        let commit = info.sha.filter(|sha| is_commit(sha)).ok_or_else(|| {
            SourceError::unreadable(&self.web.host(), "it names no commit for the revision")
        })?;
        let (license, license_link) = license_of(&info.card_data);
        let tagged = || info.tags.iter().find_map(|tag| tag.strip_prefix("license:"));
        let license = license.or_else(|| tagged().map(|license| shown(license, 120)));
        let mut notes = Vec::new();
        if info.gated.as_str().is_some() || info.gated.as_bool() == Some(true) {
            notes.push(format!("gated: its terms are at {}", self.page()));
        }
        if info.private {
            notes.push("private".into());
        }
        let origin = Origin {
            kind: "huggingface",
            address: self.address(),
            endpoint: Some(self.web.home().as_str().trim_end_matches('/').to_owned()),
            revision: Some(revision.to_owned()),
            commit: Some(commit.clone()),
        };
        let files = self.files(&commit).await?;
        Listing { origin, license, license_link, notes, files }.sorted(&self.web.host())
    }

    async fn open(&self, file: &RemoteFile, from: u64) -> Result<Opened> {
        let host = self.web.host();
        let url = Url::parse(&file.location)
            .map_err(|error| SourceError::unreadable(&host, error.to_string()))?;
        let answer = self.web.send(Asked { from, ..Asked::get(url) }).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            // What is here is longer than what is there.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                return Err(SourceError::Changed { path: file.path.clone() });
            }
            _ => return Err(self.refusal(answer, Some(&file.path)).await),
        }
        let from = first_byte(&host, &answer, from, file.size)?;
        Ok(Opened { from, content: content(answer) })
    }
}

/// An answer's body as a stream.
pub(crate) fn content(answer: Inbound) -> crate::ByteStream {
    Box::pin(stream::try_unfold(answer, |mut answer| async {
        Ok(answer.next().await?.map(|piece| (piece, answer)))
    }))
}
