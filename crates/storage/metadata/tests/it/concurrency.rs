//! Writers at the same time.

use crate::bench::{Bench, all_to, base_model};
use pelton_metadata::{Backoff, Claims, EndpointChange, NewJob, StoreError};
use serde_json::json;
use std::collections::BTreeSet;

pub async fn versions_are_numbered_without_gaps(bench: Bench) {
    let (store, other_store) = (bench.store.clone(), bench.reopened().await.unwrap());
    let writers: Vec<_> = (0..12)
        .map(|writer| {
            let store = if writer % 2 == 0 { store.clone() } else { other_store.clone() };
            let ctx = bench.ctx.clone();
            tokio::spawn(async move {
                let mut versions = vec![];
                for _ in 0..3 {
                    versions.push(store.model_create(&ctx, base_model("m")).await.unwrap().version);
                }
                versions
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for writer in writers {
        versions.extend(writer.await.unwrap());
    }
    assert_eq!(versions, (1..=36).collect());
    let checked = bench.store.audit_verify(&bench.ctx).await.unwrap();
    assert_eq!((checked.entries, checked.broken), (37, None));
    other_store.close().await;
}

pub async fn one_writer_wins_a_generation(bench: Bench) {
    let release = bench.release("r").await;
    for expected in 0..3 {
        let writers: Vec<_> = (0..6)
            .map(|_| {
                let (store, ctx) = (bench.store.clone(), bench.ctx.clone());
                let (traffic, reason) = (all_to(&release), "race".into());
                let change = EndpointChange { traffic, expected: Some(expected), reason };
                tokio::spawn(async move { store.endpoint_put(&ctx, "desk", change).await })
            })
            .collect();
        let mut won = 0;
        for writer in writers {
            match writer.await.unwrap() {
                Ok(endpoint) => {
                    won += 1;
                    assert_eq!(endpoint.generation, expected + 1);
                }
                Err(StoreError::Stale { expected: seen, found, .. }) => {
                    assert_eq!((seen, found), (expected, expected + 1));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

pub async fn a_job_is_claimed_once(bench: Bench) {
    let mut queued = BTreeSet::new();
    for _ in 0..20 {
        let new = NewJob::of("work", "w", json!({}));
        queued.insert(bench.store.job_create(&bench.ctx, new).await.unwrap().id);
    }
    let workers: Vec<_> = (0..5)
        .map(|worker| {
            let (store, system) = (bench.store.clone(), bench.system.clone());
            let (owner, kinds) = (format!("worker {worker}"), vec![]);
            let claims = Claims { owner, kinds, limit: 1, ttl: 60_000_000 };
            tokio::spawn(async move {
                let mut mine = vec![];
                loop {
                    let claimed =
                        store.job_claim(&system, &claims, Backoff::default()).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|claimed| claimed.job.id));
                }
            })
        })
        .collect();
    let mut claimed = vec![];
    for worker in workers {
        claimed.extend(worker.await.unwrap());
    }
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), queued);
}
