//! GET requests to a hub and to wherever it redirects: each hop passes the egress policy anew, and
//! the token goes to the hub's own origin only.

use crate::error::{Result, SourceError, shown};
use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pelton_egress::{Egress, EgressError, Inbound, Outbound, Reach};
use pelton_secrets::Redacted;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// Redirects followed one after the other.
const MOST_REDIRECTS: usize = 5;
/// Time until the head of an answer is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends requests to one origin, and to others where that one sends us.
pub(crate) struct Web {
    egress: Arc<Egress>,
    home: Url,
    token: Option<Redacted<String>>,
    /// Whether the operator named the origin, which then may lie in a private network.
    configured: bool,
    /// Whether it does: only then redirects may lead there too.
    private: AtomicBool,
}

/// A request without a body.
pub(crate) struct Asked<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Where the first byte lies.
    pub(crate) from: u64,
    /// More headers.
    pub(crate) headers: &'a [(&'static str, &'a str)],
}

impl<'a> Asked<'a> {
    pub(crate) const fn get(url: Url) -> Self {
        Self { method: Method::GET, url, from: 0, headers: &[] }
    }
}

impl Web {
    pub(crate) fn new(
        egress: Arc<Egress>,
        home: Url,
        token: Option<Redacted<String>>,
        configured: bool,
    ) -> Self {
        Self { egress, home, token, configured, private: AtomicBool::new(false) }
    }

    pub(crate) const fn home(&self) -> &Url {
        &self.home
    }

    /// The origin's host and port, for messages.
    pub(crate) fn host(&self) -> String {
        host_of(&self.home)
    }

    pub(crate) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request and follows redirects.
    pub(crate) async fn send(&self, asked: Asked<'_>) -> Result<Inbound> {
        let Asked { method, mut url, from, headers } = asked;
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.hop(&method, &url, from, headers).await?;
            if !is_redirect(answer.status()) || !answer.headers().contains_key(LOCATION) {
                return busy(&url, answer);
            }
            url = self.next(&url, answer.headers())?;
        }
        Err(SourceError::unreadable(
            &self.host(),
            format!("it redirects more than {MOST_REDIRECTS} times"),
        ))
    }

    fn next(&self, url: &Url, headers: &HeaderMap) -> Result<Url> {
        let unusable = |reason: &str| SourceError::unreadable(&host_of(url), reason);
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| url.join(location).ok());
        let next = next.ok_or_else(|| unusable("it redirects to what is no address"))?;
        if url.scheme() == "https" && next.scheme() != "https" {
            return Err(unusable("it redirects from https to another scheme"));
        }
        Ok(next)
    }

    async fn hop(
        &self,
        method: &Method,
        url: &Url,
        from: u64,
        more: &[(&'static str, &str)],
    ) -> Result<Inbound> {
        let at_home = url.origin() == self.home.origin();
        let mut headers = HeaderMap::new();
        if from > 0 {
            headers.insert(RANGE, value(&format!("bytes={from}-"))?);
        }
        for (name, text) in more {
            headers.insert(HeaderName::from_static(name), value(text)?);
        }
        if at_home && let Some(token) = &self.token {
            let mut bearer = value(&format!("Bearer {}", token.expose()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let private = self.private.load(Ordering::Relaxed);
        let reach = if private { Reach::Private } else { Reach::Public };
        match self.send_once(method, url, headers.clone(), reach).await {
            Err(SourceError::Network(EgressError::OutOfReach { .. }))
                if at_home && self.configured && !private =>
            {
                self.private.store(true, Ordering::Relaxed);
                self.send_once(method, url, headers, Reach::Private).await
            }
            answer => answer,
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        reach: Reach,
    ) -> Result<Inbound> {
        let outbound = Outbound {
            method: method.clone(),
            url: url.as_str(),
            headers,
            body: Bytes::new(),
            reach,
        };
        let answer = tokio::time::timeout(PATIENCE, self.egress.send(outbound)).await;
        Ok(answer.map_err(|_| timed_out(&host_of(url)))??)
    }
}

/// Nothing came for too long.
pub(crate) fn timed_out(host: &str) -> SourceError {
    EgressError::Broken { host: host.into(), cause: "it was silent for too long".into() }.into()
}

/// The host, with the port where it is not the usual one.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        SourceError::Files(
            "a token or key holds characters that no HTTP header can have: set it anew".into(),
        )
    })
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Turns "too many requests", and "unavailable" with a time, into an error that can be waited for.
fn busy(url: &Url, answer: Inbound) -> Result<Inbound> {
    let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
    let wait = wait.and_then(|wait| wait.trim().parse().ok()).map(Duration::from_secs);
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => Err(SourceError::Busy { host: host_of(url), wait }),
        StatusCode::SERVICE_UNAVAILABLE if wait.is_some() => {
            Err(SourceError::Busy { host: host_of(url), wait })
        }
        _ => Ok(answer),
    }
}

/// An error for a status that nobody expected, with the sender's own words.
pub(crate) fn unexpected(host: &str, status: StatusCode, words: &str) -> SourceError {
    let words = shown(words.trim(), 200);
    let detail = if words.is_empty() { words } else { format!(": {words}") };
    SourceError::Answer { host: host.into(), status: status.as_u16(), detail }
}

/// The first byte that an answer gives: `from` when it says so, 0 when it is the whole.
pub(crate) fn first_byte(host: &str, answer: &Inbound, from: u64, size: u64) -> Result<u64> {
    if answer.status() == StatusCode::OK {
        return Ok(0);
    }
    let range = answer.headers().get("content-range").and_then(|range| range.to_str().ok());
    let expected = format!("bytes {from}-{}/", size.saturating_sub(1));
    match range {
        Some(range) if range.starts_with(&expected) => Ok(from),
        _ => Err(SourceError::unreadable(host, "it gives another range than was asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_egress::EgressSettings;
    use pelton_testkit::mock_upstream::{MockUpstream, Reply};

    fn web(home: &str, configured: bool) -> Web {
        let egress = Arc::new(Egress::new(EgressSettings::default()));
        Web::new(egress, Url::parse(home).unwrap(), None, configured)
    }

    #[tokio::test]
    async fn only_what_the_operator_named_may_be_private() {
        let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await.unwrap();
        let url = Url::parse(&upstream.base_url()).unwrap();
        let refused = web(url.as_str(), false).send(Asked::get(url.clone())).await;
        assert!(
            matches!(refused, Err(SourceError::Network(EgressError::OutOfReach { .. }))),
            "{refused:?}"
        );
        // A public origin's redirect into this machine.
        let elsewhere = web("https://hub.example", true).send(Asked::get(url.clone())).await;
        assert!(elsewhere.is_err(), "{elsewhere:?}");
        assert_eq!(upstream.seen().len(), 0);
        assert!(web(url.as_str(), true).send(Asked::get(url)).await.is_ok());
    }

    #[test]
    fn redirects_are_read_and_never_lead_to_plain_http() {
        let web = web("https://hub.example/x", true);
        let next = |location: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            web.next(&Url::parse("https://hub.example/a/b?c").unwrap(), &headers)
        };
        assert_eq!(next("/d").unwrap().as_str(), "https://hub.example/d");
        assert_eq!(next("https://cdn.example/e").unwrap().as_str(), "https://cdn.example/e");
        assert!(next("http://hub.example/d").is_err());
        assert!(next("https://").is_err());
    }
}
