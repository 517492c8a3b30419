//! Figures by group, wherever the rows lie.

use super::naive;
use super::traffic::{PLACES, START, Traffic, project, stored};
use pelton_trace_query::AggregateRow;
use pelton_trace_store::{Aggregate, AggregateQuery, Expr, Field, GroupKey, TimeUnit};

/// Everything that is computed exactly.
pub fn figures() -> Vec<Aggregate> {
    vec![
        Aggregate::Count,
        Aggregate::Errors,
        Aggregate::Sum(Field::PromptTokens),
        Aggregate::Sum(Field::CompletionTokens),
        Aggregate::Mean(Field::CostNanousd),
        Aggregate::Min(Field::TtftUs),
        Aggregate::Max(Field::LatencyUs),
        Aggregate::Mean(Field::Score),
        Aggregate::Sum(Field::FeedbackCount),
    ]
}

pub fn query(group_by: Vec<GroupKey>, filter: Option<Expr>) -> AggregateQuery {
    AggregateQuery {
        project: project(1),
        since: None,
        until: None,
        filter,
        group_by,
        aggregates: figures(),
        limit: 1_000,
    }
}

/// Equal but for the last digits of means, whose sums depend on the order.
pub fn assert_same(found: &[AggregateRow], expected: &[AggregateRow], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: {found:?}\n{expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.group, expected.group, "{what}");
        for (value, wanted) in found.values.iter().zip(&expected.values) {
            let near = match (value, wanted) {
                (Some(value), Some(wanted)) => {
                    (value - wanted).abs() <= 1e-9 * wanted.abs().max(1.0)
                }
                (value, wanted) => value == wanted,
            };
            assert!(near, "{what}: {found:?} is not {expected:?}");
        }
    }
}

#[tokio::test]
async fn groups_match_the_naive_evaluator_everywhere() {
    let field = GroupKey::Field;
    let queries = [
        query(vec![], None),
        query(vec![], Some(Expr::eq(Field::Model, "no such"))),
        query(vec![field(Field::Endpoint)], None),
        query(vec![field(Field::ReleaseName)], Some(Expr::eq(Field::Endpoint, "support"))),
        query(vec![field(Field::Status), field(Field::Streamed)], None),
        query(vec![field(Field::Tag("tier".into())), field(Field::Model)], None),
        query(vec![field(Field::HasCorrection)], Some(Expr::has_feedback(true))),
        query(vec![field(Field::FeedbackCount)], None),
        query(vec![field(Field::Score)], None),
        query(vec![GroupKey::Time(TimeUnit::Minute)], Some(Expr::text("bill"))),
        query(vec![GroupKey::Time(TimeUnit::Hour), field(Field::ReleaseId)], None),
        query(vec![GroupKey::Time(TimeUnit::Day)], None),
        AggregateQuery {
            since: Some(START.plus(7_200_000_000)),
            until: Some(START.plus(7_300_000_000)),
            limit: 3,
            ..query(vec![field(Field::Unit)], None)
        },
    ];
    let traffic = Traffic::generate(11, 500);
    for place in PLACES {
        let stored = stored(&traffic, place).await;
        for query in &queries {
            let found = stored.engine.aggregate(query).await.unwrap();
            let what = format!("{place:?} {:?}", query.group_by);
            assert_same(&found, &naive::aggregate(&traffic, query), &what);
        }
    }
}

#[tokio::test]
async fn quantiles_lie_near_their_rank() {
    let traffic = Traffic::generate(12, 2_000);
    let of_project = traffic.records.iter().filter(|record| record.summary.project == project(1));
    let sorted = naive::numbers(&traffic, &of_project.collect::<Vec<_>>(), &Field::LatencyUs);
    let quantiles = [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0];
    for place in PLACES {
        let stored = stored(&traffic, place).await;
        let query = AggregateQuery {
            aggregates: quantiles
                .map(|q| Aggregate::Quantile { field: Field::LatencyUs, q })
                .to_vec(),
            ..query(vec![], None)
        };
        let found = stored.engine.aggregate(&query).await.unwrap();
        for (q, value) in quantiles.iter().zip(&found[0].values) {
            let below = sorted.iter().filter(|number| **number < value.unwrap()).count();
            let rank = below as f64 / sorted.len() as f64;
            assert!((rank - q).abs() <= 0.012, "{place:?}: {q} came out at rank {rank}");
        }
    }
}

/// A few figures that a person can count: three calls, one failed, one judged twice.
#[tokio::test]
async fn a_small_case_by_hand() {
    let mut traffic = Traffic::generate(13, 3);
    traffic.feedback.clear();
    for (number, record) in traffic.records.iter_mut().enumerate() {
        let summary = &mut record.summary;
        summary.project = project(1);
        summary.endpoint = ["a", "b", "b"][number].into();
        summary.status = pelton_trace_store::Status::ALL[[0, 1, 2][number]];
        summary.prompt_tokens = [Some(10), None, Some(30)][number];
    }
    for (number, score) in [(1, 1.0), (2, 0.0)] {
        let on = &traffic.records[1].summary;
        traffic.feedback.push(pelton_trace_store::FeedbackRecord {
            id: pelton_ids::FeedbackId::from_u128(number),
            inference_id: on.id,
            project: on.project,
            at: on.started_at.plus(1),
            release_id: None,
            score: Some(score),
            label: None,
            correction: None,
            comment: None,
            source: "human".into(),
            by: "p".into(),
        });
    }
    {
        let place = super::traffic::Place::Hot;
        let stored = stored(&traffic, place).await;
        let query = AggregateQuery {
            aggregates: vec![
                Aggregate::Count,
                Aggregate::Errors,
                Aggregate::Sum(Field::PromptTokens),
                Aggregate::Mean(Field::Score),
            ],
            ..query(vec![GroupKey::Field(Field::Endpoint)], None)
        };
        let found = stored.engine.aggregate(&query).await.unwrap();
        let row = |key: &str, values: [Option<f64>; 4]| AggregateRow {
            group: vec![key.into()],
            values: values.to_vec(),
        };
        assert_eq!(
            found,
            [
                row("a", [Some(1.0), Some(0.0), Some(10.0), None]),
                row("b", [Some(2.0), Some(1.0), Some(30.0), Some(0.5)]),
            ]
        );
    }
}
