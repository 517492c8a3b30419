//! The dialect over real HTTP, in front of a mock upstream.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use pelton_context::{OpContext, Principal, Scope, SystemClock};
use pelton_egress::{Egress, EgressSettings, Inbound, Outbound, Reach};
use pelton_gateway::{
    AuthError, Authenticator, CallRecord, Endpoint, Gateway, Limits, Release, Share, Snapshot,
    Status, Target, channel,
};
use pelton_ids::{Micros, ProjectId, ReleaseId, RequestId};
use pelton_openai::{OpenAi, router};
use pelton_telemetry::Metrics;
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const MAX_BODY: usize = 1 << 20;

/// Knows `pk_app`, which may infer, and `pk_read`, which may read.
struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(
        &self,
        bearer: Option<&str>,
        request: RequestId,
    ) -> Result<OpContext, AuthError> {
        let scope = match bearer {
            Some("pk_app") => Scope::Inference,
            Some("pk_read") => Scope::Read,
            Some(_) => return Err(AuthError::Invalid),
            None => return Err(AuthError::Missing),
        };
        let principal = Principal { name: format!("key:{scope}"), scopes: vec![scope] };
        let project = ProjectId::from_u128(1);
        Ok(OpContext { principal, project, request, deadline: None })
    }
}

struct Server {
    base: String,
    egress: Egress,
    records: mpsc::Receiver<CallRecord>,
}

async fn server(upstream: &MockUpstream) -> anyhow::Result<Server> {
    let release = Release {
        id: ReleaseId::from_u128(1),
        name: "telco-desk 1".into(),
        targets: vec![Target {
            name: "engine".into(),
            base_url: Some(upstream.base_url()),
            model: "telco-desk@1".into(),
            api_key: None,
            reach: Reach::Private,
            price: None,
        }],
        sampling: Default::default(),
        system_prompt: None,
    };
    let endpoint = Endpoint {
        name: "telco".into(),
        created: Micros(1_700_000_000_000_000),
        traffic: vec![Share { release: release.id, weight: 100 }],
    };
    let mut snapshot = Snapshot::default();
    snapshot.models.insert("pelton/pelton-tiny@1".into(), release.targets[0].clone());
    snapshot.releases.insert(release.id, Arc::new(release));
    snapshot.endpoints.insert("telco".into(), endpoint);
    let (recorder, records) = channel(16);
    let gateway = Gateway::new(
        Arc::new(ArcSwap::from_pointee(snapshot)),
        Arc::new(recorder),
        Arc::new(Egress::new(EgressSettings::default())),
        Limits::default(),
        Arc::new(SystemClock),
        &Metrics::new(),
    );
    let state = OpenAi {
        gateway: Arc::new(gateway),
        authenticator: Arc::new(Keys),
        max_body_bytes: MAX_BODY,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router(state)).await });
    Ok(Server { base, egress: Egress::new(EgressSettings::default()), records })
}

impl Server {
    async fn send(&self, method: Method, path: &str, key: &str, body: Bytes) -> Inbound {
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            let value = HeaderValue::from_str(&format!("Bearer {key}")).unwrap();
            headers.insert("authorization", value);
        }
        let url = format!("{}{path}", self.base);
        let request = Outbound { method, url: &url, headers, body, reach: Reach::Private };
        self.egress.send(request).await.unwrap()
    }

    async fn chat(&self, key: &str, body: impl Into<Bytes>) -> Inbound {
        self.send(Method::POST, "/v1/chat/completions", key, body.into()).await
    }

    fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }
}

fn ask(stream: bool) -> String {
    json!({"model": "telco", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
        .to_string()
}

/// Status and body, as text.
async fn shown(answer: Inbound) -> String {
    let status = answer.status().as_u16();
    let body = answer.read(1 << 20).await.unwrap();
    format!("{status} {}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn answers_pass_through_and_say_what_answered() -> anyhow::Result<()> {
    let upstream =
        MockUpstream::replies(vec![Reply::answer("hello"), Reply::streamed(&["hel", "lo"])])
            .await?;
    let mut server = server(&upstream).await?;
    let answer = server.chat("pk_app", ask(false)).await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let inference = header("x-pelton-inference-id");
    assert_eq!(header("x-pelton-release"), "telco-desk 1");
    assert_eq!(header("x-pelton-release-id"), ReleaseId::from_u128(1).to_string());
    assert_eq!(header("content-type"), "application/json");
    let request: RequestId = header("x-request-id").parse()?;
    let body: Value = serde_json::from_slice(&answer.read(1 << 20).await?)?;
    assert_eq!(body["choices"][0]["message"]["content"], "hello");
    let record = server.records.recv().await.unwrap();
    assert_eq!((record.inference_id.to_string(), record.request_id), (inference, request));
    assert_eq!(record.caller, "key:inference");

    let answer = server.chat("pk_app", ask(true)).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert!(answer.headers().contains_key("x-pelton-inference-id"));
    let body = answer.read(1 << 20).await?;
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(server.records.recv().await.unwrap().output, "hello");
    Ok(())
}

#[tokio::test]
async fn every_kind_of_call_has_its_route() -> anyhow::Result<()> {
    let list = json!({"choices": [{"index": 0, "text": "x"}], "data": [], "results": []});
    let upstream = MockUpstream::replies(vec![Reply::json(200, &list)]).await?;
    let mut server = server(&upstream).await?;
    for (path, body) in [
        ("/v1/completions", json!({"model": "telco", "prompt": "x"})),
        ("/v1/embeddings", json!({"model": "telco", "input": ["x"]})),
        ("/v1/rerank", json!({"model": "telco", "query": "x", "documents": ["y"]})),
    ] {
        let answer = server.send(Method::POST, path, "pk_app", body.to_string().into()).await;
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        assert!(answer.headers().contains_key("x-pelton-inference-id"));
        assert_eq!(server.records.recv().await.unwrap().input_preview, "x", "{path}");
        let refused = server.send(Method::POST, path, "pk_app", ask(false).into()).await;
        assert_eq!(refused.status().as_u16(), 400, "{path}");
        assert_eq!(server.records.recv().await.unwrap().status, Status::Error, "{path}");
        let wrong = server.send(Method::GET, path, "pk_app", Bytes::new()).await;
        assert_eq!(wrong.status().as_u16(), 405, "{path}");
    }
    let paths: Vec<String> = upstream.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/v1/completions", "/v1/embeddings", "/v1/rerank"]);
    Ok(())
}

#[tokio::test]
async fn errors_have_openais_shape() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::error(422, "no such tool")]).await?;
    let server = server(&upstream).await?;
    for (key, body, expected) in [
        ("", ask(false), r#"401 {"error":{"message":"No API key was sent. "#),
        ("pk_wrong", ask(false), r#"401 {"error":{"message":"The API key is not known, "#),
        (
            "pk_read",
            ask(false),
            r#"403 {"error":{"message":"key:read may not do this: it needs the `inference` scope"#,
        ),
        (
            "pk_app",
            "{\"model\":\n 7,".into(),
            r#"400 {"error":{"message":"The body is not valid JSON: EOF while parsing a value at line 2 column 3.","type":"invalid_request_error","param":null,"code":"invalid_request"}}"#,
        ),
        (
            "pk_app",
            "{}".into(),
            r#"400 {"error":{"message":"`model` must be the name of an endpoint, as GET /v1/models lists them.","type":"invalid_request_error","param":"model""#,
        ),
        (
            "pk_app",
            ask(false).replace("telco", "gpt-5"),
            r#"404 {"error":{"message":"`gpt-5` does not exist. These do: `telco`, `pelton/pelton-tiny@1`.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
        ),
        (
            "pk_app",
            ask(false),
            r#"422 {"error":{"message":"no such tool","type":"mock","code":null}}"#,
        ),
    ] {
        let answer = server.chat(key, body).await;
        assert!(answer.headers().contains_key("x-request-id"));
        let shown = shown(answer).await;
        assert!(shown.starts_with(expected), "{shown}");
    }
    let unknown = server.send(Method::GET, "/v1/engines", "pk_app", Bytes::new()).await;
    assert!(
        shown(unknown)
            .await
            .starts_with(r#"404 {"error":{"message":"GET /v1/engines does not exist here."#)
    );
    let wrong = server.send(Method::GET, "/v1/chat/completions", "pk_app", Bytes::new()).await;
    assert!(
        shown(wrong)
            .await
            .starts_with(r#"405 {"error":{"message":"GET is not allowed on /v1/chat/completions."#)
    );
    Ok(())
}

#[tokio::test]
async fn clients_are_told_when_to_retry() -> anyhow::Result<()> {
    let busy = Reply::error(429, "slow down").with_header("retry-after", "30");
    let upstream = MockUpstream::replies(vec![busy, Reply::error(404, "no adapter")]).await?;
    let server = server(&upstream).await?;
    let limited = server.chat("pk_app", ask(false)).await;
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &HeaderValue::from(30))
    );
    let failed = server.chat("pk_app", ask(false)).await;
    assert_eq!(failed.status().as_u16(), 502);
    assert_eq!(failed.headers()["x-should-retry"], "false");
    assert!(shown(failed).await.contains("engine failed: no adapter"));
    Ok(())
}

#[tokio::test]
async fn endpoints_and_models_are_listed() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let server = server(&upstream).await?;
    for key in ["pk_app", "pk_read"] {
        let list = server.send(Method::GET, "/v1/models", key, Bytes::new()).await;
        assert_eq!(
            shown(list).await,
            r#"200 {"object":"list","data":[{"id":"telco","object":"model","created":1700000000,"owned_by":"pelton"},{"id":"pelton/pelton-tiny@1","object":"model","created":0,"owned_by":"pelton"}]}"#
        );
    }
    for path in ["/v1/models/pelton/pelton-tiny@1", "/v1/models/pelton%2Fpelton-tiny%401"] {
        let one = server.send(Method::GET, path, "pk_app", Bytes::new()).await;
        assert_eq!(
            shown(one).await,
            r#"200 {"id":"pelton/pelton-tiny@1","object":"model","created":0,"owned_by":"pelton"}"#
        );
    }
    let none = server.send(Method::GET, "/v1/models/gpt-5", "pk_app", Bytes::new()).await;
    assert!(shown(none).await.starts_with("404 {\"error\":{\"message\":\"`gpt-5` does not exist."));
    let stranger = server.send(Method::GET, "/v1/models", "", Bytes::new()).await;
    assert_eq!(stranger.status().as_u16(), 401);
    Ok(())
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_before_it_is_read() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let mut server = server(&upstream).await?;
    let head = |rest: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer pk_app\r\n{rest}\r\n\r\n"
        )
    };

    // Announced as 100 MB: the answer comes while not a byte of it was sent.
    let mut client = TcpStream::connect(server.address()).await?;
    client.write_all(head("content-length: 104857600").as_bytes()).await?;
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await?;
    assert_eq!(answer, b"HTTP/1.1 413");

    // A client that sends all of it before it reads gets the answer too.
    let whole = server.chat("pk_app", vec![b' '; 16 << 20]).await;
    let whole = shown(whole).await;
    assert!(
        whole.starts_with("413 {\"error\":{\"message\":\"The body is longer than 1048576 bytes."),
        "{whole}"
    );

    // Unannounced, in chunks: refused at the limit.
    let mut client = TcpStream::connect(server.address()).await?;
    client.write_all(head("transfer-encoding: chunked").as_bytes()).await?;
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..=MAX_BODY / 0x10000 {
        client.write_all(&chunk).await?;
    }
    client.read_exact(&mut answer).await?;
    assert_eq!(answer, b"HTTP/1.1 413");

    // A client that asks for leave first is told no, and not to go on.
    let mut client = TcpStream::connect(server.address()).await?;
    client.write_all(head("expect: 100-continue\r\ncontent-length: 104857600").as_bytes()).await?;
    client.read_exact(&mut answer).await?;
    assert_eq!(answer, b"HTTP/1.1 413");
    for _ in 0..4 {
        let record = server.records.recv().await.unwrap();
        assert_eq!((record.status, record.http_status), (Status::Error, 413));
        assert_eq!(record.error_code.as_deref(), Some("body_too_large"));
        assert!(record.request.is_empty());
    }
    assert!(server.records.try_recv().is_err());
    assert_eq!(upstream.seen().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_call() -> anyhow::Result<()> {
    let reply = Reply::stream(vec![Piece::role(), Piece::text("He"), Piece::Hang]);
    let mut upstream = MockUpstream::replies(vec![reply, Reply::silence()]).await?;
    let mut server = server(&upstream).await?;
    let mut answer = server.chat("pk_app", ask(true)).await;
    assert!(answer.next().await?.is_some());
    drop(answer);
    let record = server.records.recv().await.unwrap();
    assert_eq!((record.status, record.output.as_str()), (Status::Cancelled, "He"));
    assert_eq!(upstream.abandoned().await, Some(0));

    // Before any answer.
    let mut client = TcpStream::connect(server.address()).await?;
    let body = ask(false);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer pk_app\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    while upstream.seen().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(client);
    assert_eq!(server.records.recv().await.unwrap().status, Status::Cancelled);
    assert_eq!(upstream.abandoned().await, Some(1));
    Ok(())
}
