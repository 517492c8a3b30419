//! A client of the native API, for the command line, the turn and job processes. Cannot reach a
//! store: whoever uses it sees what every client of the API sees.

mod error;
mod files;
mod watch;

pub use error::ClientError;
pub use files::Download;
pub use watch::{JobEnd, Watched};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use pelton_egress::{Egress, EgressError, EgressSettings, Inbound, Outbound, Reach};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// Bytes of an answer at most: a dataset download is the largest.
const LARGEST_ANSWER: usize = 4 << 30;

/// Speaks to one server. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    egress: Arc<Egress>,
    base: String,
    key: Option<String>,
}

/// The answer to a chat completion.
#[derive(Debug)]
pub struct ChatAnswer {
    /// The response's body.
    pub body: Value,
    /// `x-pelton-inference-id`: what feedback refers to.
    pub inference_id: Option<String>,
    /// `x-pelton-release`: the name of the release that answered.
    pub release: Option<String>,
}

impl ChatAnswer {
    /// The text of the first choice; empty when there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.body["choices"][0]["message"]["content"].as_str().unwrap_or_default()
    }
}

impl Client {
    /// A client of the server at `base`, `http://127.0.0.1:7077` for example.
    #[must_use]
    pub fn new(base: &str, key: Option<String>) -> Self {
        Self {
            egress: Arc::new(Egress::new(EgressSettings::default())),
            base: base.trim_end_matches('/').to_owned(),
            key,
        }
    }

    /// The server's address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    /// Creates something, or asks for work.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(Method::POST, path, encode(body)?).await
    }

    /// Sets something.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(Method::PUT, path, encode(body)?).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::DELETE, path, Bytes::new()).await
    }

    /// Uploads a blob and answers its digest.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn upload(&self, bytes: Bytes) -> Result<String, ClientError> {
        let answer: Value = self.json(Method::PUT, "/api/v1/blobs", bytes).await?;
        answer["digest"].as_str().map(str::to_owned).ok_or_else(|| ClientError::Unreadable {
            path: "/api/v1/blobs".into(),
            reason: "the answer holds no digest".into(),
        })
    }

    /// Reads a resource's bytes.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn download(&self, path: &str) -> Result<Bytes, ClientError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        answer.read(LARGEST_ANSWER).await.map_err(|error| ClientError::unreachable(self, &error))
    }

    /// Asks for a chat completion; `body` is OpenAI's request without `stream`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn chat(&self, body: &impl Serialize) -> Result<ChatAnswer, ClientError> {
        let path = "/v1/chat/completions";
        let answer = self.send(Method::POST, path, encode(body)?).await?;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (inference_id, release) = (header("x-pelton-inference-id"), header("x-pelton-release"));
        let body = self.read_json(path, answer).await?;
        Ok(ChatAnswer { body, inference_id, release })
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let answer = self.send(method, path, body).await?;
        self.read_json(path, answer).await
    }

    async fn read_json<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: Inbound,
    ) -> Result<T, ClientError> {
        let bytes = answer
            .read(LARGEST_ANSWER)
            .await
            .map_err(|error| ClientError::unreachable(self, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Unreadable {
            path: path.into(),
            reason: error.to_string(),
        })
    }

    /// Sends a request; an answer that is an error becomes one.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Inbound, ClientError> {
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = format!("{}{path}", self.base);
        let outbound = Outbound { method, url: &url, headers, body, reach: Reach::Private };
        self.accepted(self.egress.send(outbound).await).await
    }

    /// What every request carries: the key, where there is one.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {key}"))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// The answer, unless there is none or it is an error.
    async fn accepted(&self, answer: Result<Inbound, EgressError>) -> Result<Inbound, ClientError> {
        let answer = answer.map_err(|error| ClientError::unreachable(self, &error))?;
        if answer.status() < StatusCode::BAD_REQUEST {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let bytes = answer.read(1 << 20).await.unwrap_or_default();
        Err(ClientError::refused(status, &bytes))
    }
}

fn encode(body: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| ClientError::Unreadable {
        path: "the request".into(),
        reason: error.to_string(),
    })
}

/// A text as one part of a path: everything but letters, digits and `-._~` is escaped.
#[must_use]
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn references_become_one_part_of_a_path() {
        assert_eq!(super::escape("pelton/pelton-tiny@1"), "pelton%2Fpelton-tiny%401");
    }
}
