//! S3, or what speaks like it: `AWS_ENDPOINT_URL` says where. Requests are signed by `rusty-s3`
//! (query signatures of Signature Version 4), which reaches no network itself.

use crate::card::{LARGEST_CARD, front_matter, license_of};
use crate::error::{Result, SourceError, shown};
use crate::folder::MOST_FILES;
use crate::hub::content;
use crate::integrity::Integrity;
use crate::listing::{Listing, Opened, Origin, RemoteFile, Source};
use crate::path::check_path;
use crate::web::{Asked, Web, first_byte, unexpected};
use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use pelton_egress::{Egress, Inbound};
use pelton_ids::Hasher;
use pelton_secrets::Redacted;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Credentials, S3Action, UrlStyle};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Bytes of a page of a listing at most.
const LARGEST_PAGE: usize = 16 << 20;
/// Bytes of an error at most.
const LARGEST_ERROR: usize = 64 << 10;
/// How long a signature is good for: until the request is sent.
const SIGNED_FOR: Duration = Duration::from_secs(300);
/// Asks for the checksums that S3 keeps; must be signed with the rest.
const WITH_CHECKSUM: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

/// Which S3, and who asks: what the `AWS_…` variables say.
#[derive(Debug, Clone, Default)]
pub struct BucketSettings {
    /// `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. It may lie in a private network.
    pub endpoint: Option<String>,
    /// `AWS_REGION` or `AWS_DEFAULT_REGION`; `us-east-1` without.
    pub region: Option<String>,
    /// `AWS_ACCESS_KEY_ID`; requests are not signed without.
    pub key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_key: Option<Redacted<String>>,
    /// `AWS_SESSION_TOKEN`
    pub session_token: Option<Redacted<String>>,
}

/// The objects under a prefix of a bucket.
pub struct Bucket {
    web: Web,
    bucket: rusty_s3::Bucket,
    credentials: Option<Credentials>,
    prefix: String,
    region: String,
}

impl Bucket {
    /// The objects of `bucket` whose keys begin with `prefix` and `/`; all with an empty prefix.
    ///
    /// # Errors
    /// When the endpoint or the bucket's name cannot be used.
    pub fn new(
        egress: Arc<Egress>,
        settings: BucketSettings,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self> {
        let BucketSettings { endpoint, region, key_id, secret_key, session_token } = settings;
        let region = region.unwrap_or_else(|| "us-east-1".into());
        let configured = endpoint.is_some();
        let text = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let refuse = |reason: String| SourceError::Address { text: shown(&text, 120), reason };
        let home = Url::parse(&text)
            .map_err(|error| refuse(format!("AWS_ENDPOINT_URL is no address: {error}")))?;
        // Certificates of virtual hosts do not cover names with dots, and other servers than
        // Amazon's rarely have virtual hosts.
        let style =
            if configured || bucket.contains('.') { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = rusty_s3::Bucket::new(home, style, bucket.to_owned(), region.clone())
            .map_err(|error| refuse(error.to_string()))?;
        let credentials = match (key_id, secret_key, session_token) {
            (Some(key), Some(secret), Some(token)) => Some(Credentials::new_with_token(
                key,
                secret.expose().clone(),
                token.expose().clone(),
            )),
            (Some(key), Some(secret), None) => Some(Credentials::new(key, secret.expose().clone())),
            (None, None, _) => None,
            _ => {
                return Err(SourceError::Files(
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both, or none for a public bucket".into(),
                ));
            }
        };
        let web = Web::new(egress, bucket.base_url().clone(), None, configured);
        Ok(Self { web, bucket, credentials, prefix: prefix.to_owned(), region })
    }

    fn address(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix)
    }

    /// The key's path inside the prefix; none for one beside it and for a folder's marker.
    fn path_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        let path = match self.prefix.as_str() {
            "" => key,
            prefix => key.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        (!path.is_empty() && !path.ends_with('/')).then_some(path)
    }

    async fn files(&self) -> Result<Vec<RemoteFile>> {
        let mut files = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut action = self.bucket.list_objects_v2(self.credentials.as_ref());
            if !self.prefix.is_empty() {
                action.with_prefix(format!("{}/", self.prefix));
            }
            if let Some(after) = &after {
                action.with_continuation_token(after.as_str());
            }
            let answer = self.web.send(Asked::get(action.sign(SIGNED_FOR))).await?;
            if !answer.status().is_success() {
                return Err(self.refusal(answer, None).await);
            }
            let unreadable = |reason| SourceError::unreadable(&self.web.host(), reason);
            let page = answer.read(LARGEST_PAGE).await?;
            let page = std::str::from_utf8(&page).map_err(|error| unreadable(error.to_string()))?;
            let page = ListObjectsV2::parse_response(page)
                .map_err(|error| unreadable(error.to_string()))?;
            for object in page.contents {
                let Some(path) = self.path_of(&object.key).map(str::to_owned) else { continue };
                check_path(&path)?;
                files.push(RemoteFile {
                    path,
                    size: object.size.unwrap_or_default(),
                    integrity: Integrity::Length,
                    version: object.etag,
                    location: object.key,
                });
            }
            if files.len() > MOST_FILES {
                return Err(SourceError::TooMuch {
                    what: "more files".into(),
                    limit: MOST_FILES.to_string(),
                });
            }
            match page.next_continuation_token {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(files),
            }
        }
    }

    /// The licence of the card among the files.
    async fn license(&self, files: &[RemoteFile]) -> Result<(Option<String>, Option<String>)> {
        let card = files.iter().find(|file| file.path == "README.md");
        let Some(card) = card.filter(|card| card.size <= LARGEST_CARD) else {
            return Ok((None, None));
        };
        let action = self.bucket.get_object(self.credentials.as_ref(), &card.location);
        let answer = self.web.send(Asked::get(action.sign(SIGNED_FOR))).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer, Some(&card.path)).await);
        }
        let text = answer.read(usize::try_from(LARGEST_CARD).unwrap_or(usize::MAX)).await?;
        let data = front_matter(&String::from_utf8_lossy(&text));
        Ok(data.map_or((None, None), |data| license_of(&data)))
    }

    /// What an error of S3 means for the user: the code in its body says more than the status.
    async fn refusal(&self, answer: Inbound, path: Option<&str>) -> SourceError {
        let status = answer.status();
        let region = header(answer.headers(), "x-amz-bucket-region").map(str::to_owned);
        let body = answer.read(LARGEST_ERROR).await.unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        let code = element(&body, "Code");
        let address = self.address();
        if let Some(region) = region.filter(|region| *region != self.region) {
            let advice =
                format!("the bucket lies in another region; set AWS_REGION={}", shown(&region, 40));
            return SourceError::Refused { address, advice };
        }
        match (code, status) {
            ("NoSuchBucket", _) => SourceError::NotFound {
                address,
                advice: format!("{} has no such bucket", self.web.host()),
            },
            ("NoSuchKey", _) | (_, StatusCode::NOT_FOUND) => SourceError::NotFound {
                address: format!("{address}: `{}`", shown(path.unwrap_or_default(), 80)),
                advice: "the object is gone; pull again".into(),
            },
            (_, StatusCode::PRECONDITION_FAILED) => {
                SourceError::Changed { path: path.unwrap_or_default().into() }
            }
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => SourceError::Refused {
                address,
                advice: if self.credentials.is_some() {
                    let said = if code.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", shown(code, 60))
                    };
                    format!("the key in AWS_ACCESS_KEY_ID is not accepted or may not read it{said}")
                } else {
                    "it is not public; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()
                },
            },
            _ => unexpected(&self.web.host(), status, element(&body, "Message")),
        }
    }

    /// The headers of a request for an object as it was listed.
    fn unchanged(file: &RemoteFile) -> Vec<(&'static str, &str)> {
        let version = file.version.as_deref().map(|version| ("if-match", version));
        version.into_iter().chain([WITH_CHECKSUM]).collect()
    }
}

/// The text of the first element of this name; empty without. For S3's flat errors only.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let Some((_, rest)) = body.split_once(&format!("<{name}>")) else { return "" };
    rest.split_once("</").map_or("", |(text, _)| text)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The strongest checksum of a whole object that S3 tells. Checksums of parts (`COMPOSITE`) say
/// nothing without the parts' sizes; of an object in parts, whose ETag ends in `-N`, only those are
/// believed that are said to be of the whole. ETags of objects encrypted with KMS or the
/// customer's key are no MD5.
fn strongest(headers: &HeaderMap) -> Integrity {
    let in_parts = header(headers, "etag").is_some_and(|etag| etag.contains('-'));
    let whole =
        header(headers, "x-amz-checksum-type").map_or(!in_parts, |kind| kind == "FULL_OBJECT");
    let of = |name: &str, read: fn(&str) -> Option<Integrity>| {
        header(headers, name).filter(|_| whole).and_then(read)
    };
    let encrypted = header(headers, "x-amz-server-side-encryption")
        .is_some_and(|how| how.starts_with("aws:kms"))
        || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    let etag = header(headers, "etag").filter(|_| !encrypted);
    of("x-amz-checksum-sha256", Integrity::sha256_base64)
        .or_else(|| etag.and_then(|etag| Integrity::md5(etag.trim_matches('"'))))
        .or_else(|| of("x-amz-checksum-crc64nvme", Integrity::crc64_base64))
        .or_else(|| of("x-amz-checksum-crc32", Integrity::crc32_base64))
        .unwrap_or(Integrity::Length)
}

#[async_trait]
impl Source for Bucket {
    async fn list(&self) -> Result<Listing> {
        let files = self.files().await?;
        if files.is_empty() {
            return Err(SourceError::NotFound {
                address: self.address(),
                advice: "no object's key begins with that; check bucket and prefix".into(),
            });
        }
        let (license, license_link) = self.license(&files).await?;
        let mut hasher = Hasher::default();
        for file in &files {
            let version = file.version.as_deref().unwrap_or_default();
            hasher.update(format!("{}\n{}\n{version}\n", file.path, file.size).as_bytes());
        }
        let mut endpoint = self.bucket.base_url().clone();
        endpoint.set_path("");
        let origin = Origin {
            kind: "s3",
            address: self.address(),
            endpoint: Some(endpoint.as_str().trim_end_matches('/').to_owned()),
            revision: None,
            commit: Some(hasher.finish().hex()),
        };
        Listing { origin, license, license_link, notes: Vec::new(), files }.sorted(&self.web.host())
    }

    async fn integrity(&self, file: &RemoteFile) -> Result<Integrity> {
        let mut action = self.bucket.head_object(self.credentials.as_ref(), &file.location);
        action.headers_mut().insert(WITH_CHECKSUM.0, WITH_CHECKSUM.1);
        let url = action.sign(SIGNED_FOR);
        let headers = Self::unchanged(file);
        let asked = Asked { method: Method::HEAD, url, from: 0, headers: &headers };
        let answer = self.web.send(asked).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer, Some(&file.path)).await);
        }
        Ok(strongest(answer.headers()))
    }

    async fn open(&self, file: &RemoteFile, from: u64) -> Result<Opened> {
        let mut action = self.bucket.get_object(self.credentials.as_ref(), &file.location);
        action.headers_mut().insert(WITH_CHECKSUM.0, WITH_CHECKSUM.1);
        let url = action.sign(SIGNED_FOR);
        let headers = Self::unchanged(file);
        let asked = Asked { method: Method::GET, url, from, headers: &headers };
        let answer = self.web.send(asked).await?;
        if !matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Err(self.refusal(answer, Some(&file.path)).await);
        }
        let from = first_byte(&self.web.host(), &answer, from, file.size)?;
        Ok(Opened { from, content: content(answer) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn the_strongest_checksum_of_the_whole_is_taken() {
        let md5 = ("etag", "\"ed076287532e86365e841e92bfc50d8c\"");
        let crc = ("x-amz-checksum-crc32", "y/Q5Jg==");
        let sha = ("x-amz-checksum-sha256", "f4OxZX/x/FO5LcGBSKHWXfwtSx+j1ncoSt3SABJtkGk=");
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            strongest(&headers.collect()).name()
        };
        assert_eq!(check(&[md5, crc, sha]), "SHA-256");
        assert_eq!(check(&[md5, crc]), "MD5");
        let parts = ("etag", "\"ed076287532e86365e841e92bfc50d8c-3\"");
        assert_eq!(check(&[parts, crc, ("x-amz-checksum-type", "FULL_OBJECT")]), "CRC-32");
        assert_eq!(check(&[parts, crc]), "length");
        assert_eq!(check(&[md5, crc, ("x-amz-server-side-encryption", "aws:kms")]), "CRC-32");
        assert_eq!(check(&[md5, ("x-amz-server-side-encryption", "aws:kms:dsse")]), "length");
        assert_eq!(check(&[crc, ("x-amz-checksum-type", "COMPOSITE")]), "length");
        assert_eq!(check(&[("x-amz-checksum-crc64nvme", "rosUhgp5mIg=")]), "CRC-64");
    }

    #[test]
    fn errors_are_read_from_their_xml() {
        let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>";
        assert_eq!((element(body, "Code"), element(body, "Message")), ("NoSuchBucket", "gone"));
        assert_eq!(element("<Code>", "Code"), "");
    }
}
