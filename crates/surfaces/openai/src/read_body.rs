//! Reads a body within its limit. A longer one is refused at once; what the client still sends is
//! thrown away for a moment, since a client that is cut off while it writes never reads why.

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt as _;
use pelton_gateway::BodyError;
use std::time::Duration;
use tokio::time::timeout;

/// Bounds of what is thrown away.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 256 << 20;

/// The whole body, if it is at most `limit` bytes.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<Bytes, BodyError> {
    if declared(headers, &body).is_some_and(|length| length > limit as u64) {
        // A client that waits for leave to send has sent nothing and need not.
        if !headers.contains_key(EXPECT) {
            discard(body);
        }
        return Err(BodyError::TooLong { limit });
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::BrokenOff(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + data.len() > limit {
            discard(body);
            return Err(BodyError::TooLong { limit });
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

fn declared(headers: &HeaderMap, body: &Body) -> Option<u64> {
    let header = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    header.or_else(|| body.size_hint().exact())
}

fn discard(mut body: Body) {
    tokio::spawn(async move {
        let reading = async {
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > DISCARD_BYTES {
                    break;
                }
            }
        };
        // Past the time the connection is closed as it is.
        let _: Result<(), _> = timeout(DISCARD_TIME, reading).await;
    });
}
