//! From the wire's flat filter to the trace store's typed query tree.

use crate::error::{ApiError, Code};
use crate::extract::parse;
use crate::wire::trace::TraceFilter;
use pelton_ids::{Micros, ReleaseId};
use pelton_trace_store::{Expr, Field, Status};

/// The time range of a filter.
///
/// # Errors
/// When an instant cannot be read.
pub fn bounds(filter: &TraceFilter) -> Result<(Option<Micros>, Option<Micros>), ApiError> {
    let read = |text: &Option<String>| text.as_deref().map(parse).transpose();
    Ok((read(&filter.since)?, read(&filter.until)?))
}

/// Everything else that a filter asks for; nothing when it asks for nothing.
///
/// # Errors
/// When the status is not one.
pub fn expression(filter: &TraceFilter) -> Result<Option<Expr>, ApiError> {
    let TraceFilter {
        endpoint,
        release,
        model,
        status,
        has_feedback,
        has_correction,
        text,
        since: _,
        until: _,
    } = filter;
    let mut all = Vec::new();
    if let Some(name) = endpoint {
        all.push(Expr::eq(Field::Endpoint, name.as_str()));
    }
    if let Some(release) = release {
        let field = match release.parse::<ReleaseId>() {
            Ok(_) => Field::ReleaseId,
            Err(_) => Field::ReleaseName,
        };
        all.push(Expr::eq(field, release.as_str()));
    }
    if let Some(name) = model {
        all.push(Expr::eq(Field::Model, name.as_str()));
    }
    if let Some(status) = status {
        if status.parse::<Status>().is_err() {
            return Err(ApiError::new(
                Code::InvalidRequest,
                format!("`{status}` is no status: there are ok, error, cancelled and partial"),
            ));
        }
        all.push(Expr::eq(Field::Status, status.as_str()));
    }
    all.extend(has_feedback.map(Expr::has_feedback));
    all.extend(has_correction.map(Expr::has_correction));
    all.extend(text.as_deref().map(Expr::text));
    Ok((!all.is_empty()).then_some(Expr::All(all)))
}
