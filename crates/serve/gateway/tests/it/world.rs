//! A gateway in front of mock upstreams, and the records that come out.

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use pelton_context::{OpContext, Principal, SystemClock};
use pelton_egress::{Egress, EgressSettings, Reach};
use pelton_gateway::{
    AnswerStream, Call, CallRecord, Endpoint, Gateway, Limits, Price, Refusal, Release, Served,
    ServedBody, Share, Snapshot, Target, channel,
};
use pelton_ids::{Micros, ProjectId, ReleaseId};
use pelton_llm_types::{RequestKind, Sampling};
use pelton_secrets::Redacted;
use pelton_telemetry::Metrics;
use pelton_testkit::mock_upstream::MockUpstream;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub struct World {
    pub gateway: Arc<Gateway>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub records: mpsc::Receiver<CallRecord>,
    pub metrics: Metrics,
}

pub fn limits() -> Limits {
    Limits { first_token: Duration::from_secs(20), ..Limits::default() }
}

pub fn target(name: &str, upstream: &MockUpstream) -> Target {
    Target {
        name: name.into(),
        base_url: Some(upstream.base_url()),
        model: format!("{name}-model"),
        api_key: Some(Redacted::new(format!("key-of-{name}"))),
        reach: Reach::Private,
        price: Some(Price {
            prompt_nanousd_per_million: 1_000_000_000,
            completion_nanousd_per_million: 2_000_000_000,
        }),
    }
}

pub fn release(id: u128, targets: Vec<Target>) -> Arc<Release> {
    Arc::new(Release {
        id: ReleaseId::from_u128(id),
        name: format!("release-{id}"),
        targets,
        sampling: Sampling::default(),
        system_prompt: None,
    })
}

/// Endpoint `telco` with these releases and weights.
pub fn serving(releases: Vec<(Arc<Release>, u32)>) -> Snapshot {
    let traffic =
        releases.iter().map(|(release, weight)| Share { release: release.id, weight: *weight });
    let endpoint =
        Endpoint { name: "telco".into(), created: Micros(0), traffic: traffic.collect() };
    Snapshot {
        endpoints: [("telco".to_owned(), endpoint)].into(),
        releases: releases.into_iter().map(|(release, _)| (release.id, release)).collect(),
        models: Default::default(),
        config_hash: "hash-1".into(),
        generation: 1,
    }
}

pub fn world(snapshot: Snapshot, limits: Limits) -> World {
    let (recorder, records) = channel(64);
    let metrics = Metrics::new();
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let gateway = Arc::new(Gateway::new(
        Arc::clone(&snapshot),
        Arc::new(recorder),
        Arc::new(Egress::new(EgressSettings::default())),
        limits,
        Arc::new(SystemClock),
        &metrics,
    ));
    World { gateway, snapshot, records, metrics }
}

/// One release with these targets in turn.
pub fn one_release(targets: Vec<Target>, limits: Limits) -> World {
    world(serving(vec![(release(1, targets), 100)]), limits)
}

pub fn call(body: &Value) -> Call {
    let mut context = OpContext::system(ProjectId::from_u128(1));
    context.principal = Principal::loopback();
    Call {
        kind: RequestKind::Chat,
        context,
        body: Ok(Bytes::from(body.to_string())),
        session: None,
        trace: None,
    }
}

pub fn ask(stream: bool) -> Call {
    call(&json!({"model": "telco", "stream": stream,
                 "messages": [{"role": "user", "content": "Which bill?"}]}))
}

impl World {
    pub async fn whole(&self, call: Call) -> Result<Value, Refusal> {
        match self.gateway.serve(call).await?.body {
            ServedBody::Whole(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            ServedBody::Stream(_) => panic!("a stream was not asked for"),
        }
    }

    pub async fn stream(&self, call: Call) -> Result<AnswerStream, Refusal> {
        let Served { body, .. } = self.gateway.serve(call).await?;
        match body {
            ServedBody::Stream(stream) => Ok(stream),
            ServedBody::Whole(_) => panic!("a stream was asked for"),
        }
    }

    /// The stream's text in full.
    pub async fn streamed(&self, call: Call) -> Result<String, Refusal> {
        let pieces: Vec<Bytes> = self.stream(call).await?.collect().await;
        Ok(String::from_utf8(pieces.concat()).unwrap())
    }

    /// The next record, once it is there.
    pub async fn record(&mut self) -> CallRecord {
        self.records.recv().await.unwrap()
    }

    /// Fails if there is another record after all streams have ended.
    pub async fn no_more_records(&mut self) {
        self.gateway.drain().await;
        assert!(self.records.try_recv().is_err(), "a call left more than one record");
    }
}
