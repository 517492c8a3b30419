//! The answer to an outbound request, read piece by piece or whole.

use crate::client::{EgressError, explain};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// An answer whose body is still on its way. Dropping it cancels the request.
#[derive(Debug)]
pub struct Inbound {
    host: String,
    response: reqwest::Response,
}

impl Inbound {
    pub(crate) const fn new(host: String, response: reqwest::Response) -> Self {
        Self { host, response }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next bytes of the body; none at its end.
    ///
    /// # Errors
    /// [`EgressError::Broken`] when the connection breaks before the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, EgressError> {
        self.response.chunk().await.map_err(|error| explain(self.host.clone(), &error))
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`EgressError::TooLong`] past `limit` bytes, [`EgressError::Broken`] when the connection
    /// breaks before the end.
    pub async fn read(mut self, limit: usize) -> Result<Bytes, EgressError> {
        let too_long = |host| EgressError::TooLong { host, limit };
        if self.response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_long(self.host));
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let mut all = BytesMut::from(first);
        while all.len() <= limit {
            match self.next().await? {
                Some(more) => all.extend_from_slice(&more),
                None => return Ok(all.freeze()),
            }
        }
        Err(too_long(self.host))
    }
}
