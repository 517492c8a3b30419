//! Sends requests. Clients are built when first used, since TLS loads root certificates.

use crate::address_policy::{Reach, forbidden};
use crate::inbound::Inbound;
use crate::resolve::{OutOfReach, ReachableOnly};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::{Body, Client, Url, redirect};
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

/// How connections are made.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// Time to resolve a name and open a connection.
    pub connect: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// Unused connections kept for one host.
    pub idle_per_host: usize,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), idle: Duration::from_secs(60), idle_per_host: 64 }
    }
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Outbound<'a> {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: &'a str,
    /// Headers; `Host` and `Content-Length` are set by the client.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Where the target may lie.
    pub reach: Reach,
}

/// A request that could not be sent, or whose answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address cannot be read.
    #[error("`{url}` is not an http or https address")]
    Address {
        /// What was given.
        url: String,
    },
    /// The address may not be connected to.
    #[error("{host} is {why}: allow private addresses for this target if that is meant")]
    OutOfReach {
        /// The name or address.
        host: String,
        /// What kind of address it is.
        why: &'static str,
    },
    /// No connection.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// The target.
        host: String,
        /// The innermost cause.
        cause: String,
        /// Whether time ran out.
        timed_out: bool,
    },
    /// The exchange broke off.
    #[error("the exchange with {host} broke off: {cause}")]
    Broken {
        /// The target.
        host: String,
        /// The innermost cause.
        cause: String,
    },
    /// The answer is longer than was asked for.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLong {
        /// The target.
        host: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// TLS could not be set up.
    #[error("cannot set up TLS: {cause}")]
    Tls {
        /// What is missing.
        cause: String,
    },
}

/// The clients: by reach, with and without TLS.
#[derive(Debug)]
pub struct Egress {
    settings: EgressSettings,
    clients: [OnceLock<Client>; 4],
}

impl Egress {
    /// Nothing is opened or loaded yet.
    #[must_use]
    pub fn new(settings: EgressSettings) -> Self {
        Self { settings, clients: Default::default() }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`EgressError`] when the address is out of reach or no answer begins. Deadlines beyond the
    /// connection are the caller's: dropping the future cancels the request.
    pub async fn send(&self, request: Outbound<'_>) -> Result<Inbound, EgressError> {
        let Outbound { method, url, headers, body, reach } = request;
        self.send_body(method, url, headers, body.into(), reach).await
    }

    /// Sends a request whose body, of `length` bytes, is read while it is sent.
    ///
    /// # Errors
    /// As [`Egress::send`]; an error of `content` breaks the exchange off.
    pub async fn send_stream(
        &self,
        request: Outbound<'_>,
        content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: u64,
    ) -> Result<Inbound, EgressError> {
        let Outbound { method, url, mut headers, body: _, reach } = request;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        self.send_body(method, url, headers, Body::wrap_stream(content), reach).await
    }

    async fn send_body(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Body,
        reach: Reach,
    ) -> Result<Inbound, EgressError> {
        let address = || EgressError::Address { url: url.chars().take(200).collect() };
        let url = Url::parse(url).map_err(|_| address())?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(address()),
        };
        let host = url.host_str().ok_or_else(address)?.to_owned();
        // Literal addresses never meet the resolver.
        if let Ok(literal) = host.trim_matches(['[', ']']).parse::<IpAddr>()
            && let Some(why) = forbidden(literal, reach)
        {
            return Err(EgressError::OutOfReach { host, why });
        }
        let sent = self.client(reach, tls)?.request(method, url).headers(headers).body(body).send();
        match sent.await {
            Ok(response) => Ok(Inbound::new(host, response)),
            Err(error) => Err(explain(host, &error)),
        }
    }

    fn client(&self, reach: Reach, tls: bool) -> Result<&Client, EgressError> {
        let slot = match (reach, tls) {
            (Reach::Public, false) => &self.clients[0],
            (Reach::Public, true) => &self.clients[1],
            (Reach::Private, false) => &self.clients[2],
            (Reach::Private, true) => &self.clients[3],
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let built = self.build(reach, tls)?;
        Ok(slot.get_or_init(|| built))
    }

    fn build(&self, reach: Reach, tls: bool) -> Result<Client, EgressError> {
        // Fails only when a provider is installed already, which is as good.
        let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .dns_resolver(ReachableOnly(reach))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(self.settings.connect)
            .pool_idle_timeout(self.settings.idle)
            .pool_max_idle_per_host(self.settings.idle_per_host)
            .user_agent(concat!("pelton/", env!("CARGO_PKG_VERSION")));
        if !tls {
            // Plain HTTP needs no root certificates, and a machine without any can still use it.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|error| EgressError::Tls { cause: innermost(&error) })
    }
}

pub(crate) fn explain(host: String, error: &reqwest::Error) -> EgressError {
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(OutOfReach { host, why }) = inner.downcast_ref() {
            return EgressError::OutOfReach { host: host.clone(), why };
        }
        source = inner.source();
    }
    let cause = innermost(error);
    if error.is_connect() {
        return EgressError::Connect { host, cause, timed_out: error.is_timeout() };
    }
    EgressError::Broken { host, cause }
}

/// The last of the chain of causes: the others repeat it or name the address, which may hold
/// secrets.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
