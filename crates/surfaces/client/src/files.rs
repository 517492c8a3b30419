//! Blobs of any size, from a file and back, without holding them in memory.

use crate::{Client, ClientError, escape};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue, RANGE};
use http::{Method, StatusCode};
use pelton_egress::{EgressError, Inbound, Outbound, Reach};
use serde_json::Value;
use std::io;
use std::path::Path;
use tokio::io::AsyncReadExt as _;

/// Bytes read from a file at once.
const PIECE: u64 = 1 << 20;

/// A blob on its way.
pub struct Download {
    client: Client,
    answer: Inbound,
    from: u64,
}

impl Download {
    /// How many bytes of the blob come before the first that is given: 0 where the server gives
    /// the whole.
    #[must_use]
    pub const fn from(&self) -> u64 {
        self.from
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let client = &self.client;
        self.answer.next().await.map_err(|error| ClientError::unreachable(client, &error))
    }
}

impl Client {
    /// Uploads a file as a blob and answers its digest; `sent` is told of every piece.
    ///
    /// # Errors
    /// When the file cannot be read, or the server cannot be reached or refuses.
    pub async fn upload_file(
        &self,
        path: &Path,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<String, ClientError> {
        let unreadable = |error: io::Error| ClientError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        let pieces = stream::try_unfold((file, sent), |(mut file, sent)| async move {
            let mut piece = Vec::new();
            (&mut file).take(PIECE).read_to_end(&mut piece).await?;
            if piece.is_empty() {
                return Ok(None);
            }
            sent(piece.len() as u64);
            Ok(Some((Bytes::from(piece), (file, sent))))
        });
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let route = "/api/v1/blobs";
        let url = format!("{}{route}", self.base);
        let (method, body) = (Method::PUT, Bytes::new());
        let outbound = Outbound { method, url: &url, headers, body, reach: Reach::Private };
        let answer = self.egress.send_stream(outbound, pieces, length).await;
        let answer: Value = self.read_json(route, self.accepted(answer).await?).await?;
        answer["digest"].as_str().map(str::to_owned).ok_or_else(|| ClientError::Unreadable {
            path: route.into(),
            reason: "the answer holds no digest".into(),
        })
    }

    /// Begins to read a blob, from its byte `from` on where the server can.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open_blob(&self, digest: &str, from: u64) -> Result<Download, ClientError> {
        let mut headers = self.headers();
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        let url = format!("{}/api/v1/blobs/{}", self.base, escape(digest));
        let (method, body) = (Method::GET, Bytes::new());
        let outbound = Outbound { method, url: &url, headers, body, reach: Reach::Private };
        let answer: Result<Inbound, EgressError> = self.egress.send(outbound).await;
        let answer = self.accepted(answer).await?;
        let from = if answer.status() == StatusCode::PARTIAL_CONTENT { from } else { 0 };
        Ok(Download { client: self.clone(), answer, from })
    }
}
