//! Scans for datasets: every matching trace once, whole, with all its feedback.

use super::naive;
use super::traffic::{PLACES, Stored, Traffic, project, stored};
use futures_util::TryStreamExt as _;
use pelton_trace_store::{Expr, Order, TraceDetail, TraceQuery};

fn expected(traffic: &Traffic, query: &TraceQuery) -> Vec<TraceDetail> {
    let detail = |listed: pelton_trace_query::ListedTrace| {
        let id = listed.summary.id;
        let record = traffic.records.iter().find(|record| record.summary.id == id).unwrap();
        let mut feedback: Vec<_> =
            traffic.feedback.iter().filter(|one| one.inference_id == id).cloned().collect();
        feedback.sort_by_key(|one| (one.at, one.id));
        TraceDetail { summary: listed.summary, payload: Some(record.payload.clone()), feedback }
    };
    naive::list(traffic, query).into_iter().map(detail).collect()
}

async fn scanned(stored: &Stored, query: &TraceQuery) -> Vec<TraceDetail> {
    stored.engine.scan(query.clone()).try_collect().await.unwrap()
}

#[tokio::test]
async fn scans_match_the_naive_evaluator_everywhere() {
    let traffic = Traffic::generate(14, 900);
    for place in PLACES {
        let stored = stored(&traffic, place).await;
        for filter in [Expr::All(vec![]), Expr::has_correction(true)] {
            let mut query = TraceQuery::newest(project(1), 100_000).filtered(filter);
            query.order = Order::Oldest;
            let wanted = expected(&traffic, &query);
            assert!(wanted.len() > 100);
            assert_eq!(scanned(&stored, &query).await, wanted, "{place:?}");
            query.limit = 70;
            assert_eq!(scanned(&stored, &query).await, wanted[..70], "{place:?}");
        }
    }
}

#[tokio::test]
async fn sealing_during_a_scan_neither_loses_nor_doubles() {
    let traffic = Traffic::generate(15, 800);
    let stored = stored(&traffic, super::traffic::Place::Mixed).await;
    let query = TraceQuery { order: Order::Oldest, ..TraceQuery::newest(project(1), 100_000) };
    let mut stream = Box::pin(stored.engine.scan(query.clone()));
    let mut found = Vec::new();
    while let Some(row) = stream.try_next().await.unwrap() {
        found.push(row);
        if found.len() == 300 {
            assert_eq!(stored.store.rotate_and_seal().await.unwrap().sealed, 1);
        }
    }
    assert_eq!(found, expected(&traffic, &query));
}

#[tokio::test]
async fn one_trace_is_found_wherever_it_lies_but_only_by_its_project() {
    let traffic = Traffic::generate(16, 120);
    for place in PLACES {
        let stored = stored(&traffic, place).await;
        let query = TraceQuery::newest(project(2), 1_000);
        for wanted in expected(&traffic, &query) {
            let id = wanted.summary.id;
            assert_eq!(stored.engine.get(project(2), id).await.unwrap(), Some(wanted));
            assert_eq!(stored.engine.get(project(1), id).await.unwrap(), None);
        }
    }
}
