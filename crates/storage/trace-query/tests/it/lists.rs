//! Pages: every condition, both orders, any page size, wherever the rows lie.

use super::naive;
use super::traffic::{PLACES, START, Traffic, project, stored};
use pelton_trace_query::{ListedTrace, TraceEngine, TraceQueryError};
use pelton_trace_store::{Expr, Field, Op, Order, TraceQuery};

/// Every row of the list, page by page.
pub async fn all_pages(engine: &TraceEngine, query: &TraceQuery) -> Vec<ListedTrace> {
    let mut query = query.clone();
    let mut rows = Vec::new();
    loop {
        let page = engine.list(&query).await.unwrap();
        assert!(page.items.len() <= query.limit);
        assert!(page.next.is_none() || page.items.len() == query.limit);
        rows.extend(page.items);
        let Some(next) = page.next else { return rows };
        // A cursor survives its way through a URL.
        query.cursor = Some(next.to_string().parse().unwrap());
    }
}

fn conditions() -> Vec<Expr> {
    let latency = |op, value: i64| Expr::compare(Field::LatencyUs, op, value);
    let tag = |value: &str| Expr::eq(Field::Tag("tier".into()), value);
    vec![
        Expr::eq(Field::Endpoint, "support"),
        Expr::compare(Field::ReleaseName, Op::Ne, "support@1"),
        Expr::compare(Field::ReleaseName, Op::Ne, "support@1").negated(),
        Expr::In { field: Field::Status, values: vec!["error".into(), "partial".into()] },
        Expr::In { field: Field::TtftUs, values: vec![7.5.into(), 8.into()] }.negated(),
        Expr::In { field: Field::Model, values: vec![] },
        latency(Op::Ge, 1_000_000).and(latency(Op::Lt, 1_500_000)),
        Expr::compare(Field::CostNanousd, Op::Gt, 4_000.5),
        Expr::Present(Field::CostNanousd).negated(),
        Expr::Present(Field::Tag("odd, key".into())),
        Expr::eq(Field::Tag("odd, key".into()), "ñ\n"),
        tag("gold"),
        tag("silver \"S\"").negated(),
        Expr::eq(Field::Streamed, true),
        Expr::text("facture É"),
        Expr::text("REÇU"),
        Expr::text("50%_off"),
        Expr::text("bill").negated().and(Expr::eq(Field::Unit, "user-3")),
        Expr::has_feedback(true),
        Expr::has_feedback(false),
        Expr::has_correction(true),
        Expr::has_correction(true).negated(),
        Expr::compare(Field::Score, Op::Ge, 0.5),
        Expr::compare(Field::Score, Op::Ge, 0.5).negated(),
        Expr::compare(Field::FeedbackCount, Op::Gt, 1),
        Expr::Any(vec![tag("gold"), Expr::has_correction(true), latency(Op::Lt, 1_000)]),
        Expr::Any(vec![]),
        Expr::All(vec![]),
    ]
}

#[tokio::test]
async fn lists_match_the_naive_evaluator_everywhere() {
    let traffic = Traffic::generate(7, 400);
    for place in PLACES {
        let stored = stored(&traffic, place).await;
        for filter in conditions() {
            for (order, limit) in [(Order::Newest, 37), (Order::Oldest, 1_000)] {
                let mut query = TraceQuery::newest(project(1), limit).filtered(filter.clone());
                query.order = order;
                let expected = naive::list(&traffic, &query);
                let found = all_pages(&stored.engine, &query).await;
                assert_eq!(found, expected, "{place:?} {order:?} {filter:?}");
            }
        }
    }
}

#[tokio::test]
async fn time_and_project_bound_every_list() {
    let traffic = Traffic::generate(8, 300);
    for place in PLACES {
        let stored = stored(&traffic, place).await;
        for number in 1..=3 {
            let mut query = TraceQuery::newest(project(number), 11);
            query.since = Some(START.plus(3_600_000_000));
            query.until = Some(START.plus(3 * 3_600_000_000));
            let expected = naive::list(&traffic, &query);
            assert_eq!(expected.is_empty(), number == 3);
            assert_eq!(all_pages(&stored.engine, &query).await, expected, "{place:?}");
        }
    }
}

#[tokio::test]
async fn pages_hold_while_rows_are_sealed_between_them() {
    let traffic = Traffic::generate(9, 200);
    let stored = stored(&traffic, super::traffic::Place::Mixed).await;
    let query = TraceQuery::newest(project(1), 50);
    let first = stored.engine.list(&query).await.unwrap();
    stored.store.rotate_and_seal().await.unwrap();
    let rest = TraceQuery { cursor: first.next, ..query.clone() };
    let rest = all_pages(&stored.engine, &rest).await;
    assert_eq!([first.items, rest].concat(), naive::list(&traffic, &query));
}

#[tokio::test]
async fn senseless_and_damaged_are_told_apart() {
    let traffic = Traffic::generate(10, 50);
    let stored = stored(&traffic, super::traffic::Place::Sealed).await;
    let senseless = TraceQuery::newest(project(1), 10).filtered(Expr::eq(Field::Model, 3));
    let refused = stored.engine.list(&senseless).await;
    assert!(matches!(refused, Err(TraceQueryError::Query(_))), "{refused:?}");

    let part = stored.store.view().parts[0].narrow();
    std::fs::write(&part, b"PAR1 not really PAR1").unwrap();
    let refused = stored.engine.list(&TraceQuery::newest(project(1), 100)).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains(&part.display().to_string()), "{message}");
}
