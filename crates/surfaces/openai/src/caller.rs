//! Who sends a request, and under which id.

use crate::OpenAi;
use crate::error::OpenAiError;
use http::header::AUTHORIZATION;
use http::request::Parts;
use pelton_context::OpContext;
use pelton_ids::RequestId;

/// The id that a layer in front gave the request, or a fresh one.
pub(crate) fn request_id(parts: &Parts) -> RequestId {
    parts.extensions.get().copied().unwrap_or_else(RequestId::generate)
}

pub(crate) async fn context(
    state: &OpenAi,
    parts: &Parts,
    request: RequestId,
) -> Result<OpContext, OpenAiError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    state.authenticator.authenticate(header.and_then(bearer), request).await.map_err(Into::into)
}

/// The token of an `Authorization: Bearer …` header; an empty one counts as none.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for (header, token) in [
            ("Bearer pk_a", Some("pk_a")),
            ("bearer   pk_a ", Some("pk_a")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic pk_a", None),
            ("", None),
        ] {
            assert_eq!(bearer(header), token, "{header}");
        }
    }
}
