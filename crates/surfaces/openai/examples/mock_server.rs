//! The dialect in front of a mock upstream, to try clients against:
//! `cargo run --release -p pelton-openai --example mock_server -- 127.0.0.1:7118`
//!
//! The endpoint is `telco`, the key `pk_app`; every answer is the same short text.

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pelton_context::{OpContext, Principal, Scope, SystemClock};
use pelton_egress::{Egress, EgressSettings, Reach};
use pelton_gateway::{
    AuthError, Authenticator, Endpoint, Gateway, Limits, Release, Share, Snapshot, Target, channel,
};
use pelton_ids::{Micros, ProjectId, ReleaseId, RequestId};
use pelton_openai::{OpenAi, router};
use pelton_telemetry::Metrics;
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply, Seen};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;

struct OneKey;

#[async_trait]
impl Authenticator for OneKey {
    async fn authenticate(
        &self,
        bearer: Option<&str>,
        request: RequestId,
    ) -> Result<OpContext, AuthError> {
        match bearer {
            Some("pk_app") => {
                let principal =
                    Principal { name: "key:app".into(), scopes: vec![Scope::Inference] };
                let project = ProjectId::from_u128(1);
                Ok(OpContext { principal, project, request, deadline: None })
            }
            Some(_) => Err(AuthError::Invalid),
            None => Err(AuthError::Missing),
        }
    }
}

/// Three words, fewer if asked for fewer; log probabilities where asked for.
fn answer(seen: &Seen) -> Reply {
    let words = ["The ", "first ", "bill"];
    let most = seen.body["max_tokens"].as_u64().map_or(3, |most| most.min(3));
    let said: Vec<&str> = words.into_iter().take(usize::try_from(most).unwrap_or(3)).collect();
    let reason = if most < 3 { "length" } else { "stop" };
    let usage = json!({"prompt_tokens": 7, "completion_tokens": most, "total_tokens": 7 + most});
    let logprob = |word: &&str| {
        json!({"token": word, "logprob": -0.5, "bytes": null, "top_logprobs": [
            {"token": word, "logprob": -0.5, "bytes": null},
            {"token": "x", "logprob": -2.0, "bytes": null}]})
    };
    let logprobs = match seen.body["logprobs"].as_bool() {
        Some(true) => json!({"content": said.iter().map(logprob).collect::<Vec<Value>>()}),
        _ => Value::Null,
    };
    if seen.body["stream"].as_bool() != Some(true) {
        return Reply::json(
            200,
            &json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "mock",
                "choices": [{"index": 0, "finish_reason": reason, "logprobs": logprobs,
                    "message": {"role": "assistant", "content": said.concat()}}],
                "usage": usage}),
        );
    }
    let mut pieces = vec![Piece::role()];
    pieces.extend(said.iter().map(|word| Piece::text(word)));
    pieces.push(Piece::chunk(&json!({"index": 0, "delta": {}, "finish_reason": reason})));
    pieces.push(Piece::data(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
        "created": 1, "model": "mock", "choices": [], "usage": usage})));
    pieces.push(Piece::done());
    Reply::stream(pieces)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let upstream = MockUpstream::start(|_, seen| answer(seen)).await?;
    let release = Release {
        id: ReleaseId::from_u128(1),
        name: "mock".into(),
        targets: vec![Target {
            name: "mock".into(),
            base_url: Some(upstream.base_url()),
            model: "mock".into(),
            api_key: None,
            reach: Reach::Private,
            price: None,
        }],
        sampling: Default::default(),
        system_prompt: None,
    };
    let traffic = vec![Share { release: release.id, weight: 1 }];
    let mut snapshot = Snapshot::default();
    let endpoint = Endpoint { name: "telco".into(), created: Micros(0), traffic };
    snapshot.endpoints.insert("telco".into(), endpoint);
    snapshot.releases.insert(release.id, Arc::new(release));
    let (recorder, mut records) = channel(1_024);
    tokio::spawn(async move { while records.recv().await.is_some() {} });
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
        authenticator: Arc::new(OneKey),
        max_body_bytes: 32 << 20,
    };
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7118".into());
    axum::serve(TcpListener::bind(address).await?, router(state)).await?;
    Ok(())
}
