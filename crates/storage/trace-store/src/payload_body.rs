//! A payload as one compressed, checksummed value of the hot table.

use crate::record::Payload;

const ABSENT: u32 = u32::MAX;
/// Zstandard's fastest ordinary level: the value lives for minutes to hours, then is sealed anew.
const LEVEL: i32 = 1;

/// Compresses payloads, keeping its working memory.
pub(crate) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        Ok(Self(compressor))
    }

    /// The payload as one value.
    pub(crate) fn pack(&mut self, payload: &Payload) -> std::io::Result<Vec<u8>> {
        let Payload { request, response, route, input, output } = payload;
        let mut body = Vec::with_capacity(request.len() + output.len() + 256);
        put(&mut body, Some(request));
        put(&mut body, response.as_deref());
        put(&mut body, Some(route.as_bytes()));
        put(&mut body, input.as_deref().map(str::as_bytes));
        put(&mut body, Some(output.as_bytes()));
        self.0.compress(&body)
    }
}

fn put(body: &mut Vec<u8>, section: Option<&[u8]>) {
    let length = section.map_or(ABSENT, |bytes| u32::try_from(bytes.len()).unwrap_or(ABSENT));
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(section.unwrap_or_default());
}

/// The payload that [`Packer::pack`] was given.
pub(crate) fn unpack(packed: &[u8]) -> Result<Payload, String> {
    let body = zstd::stream::decode_all(packed).map_err(|error| format!("payload: {error}"))?;
    let mut rest = body.as_slice();
    let mut take = || -> Result<Option<Vec<u8>>, String> {
        let (length, after) = rest.split_first_chunk::<4>().ok_or("the payload ends too early")?;
        rest = after;
        let length = u32::from_le_bytes(*length);
        if length == ABSENT {
            return Ok(None);
        }
        let (section, after) = rest
            .split_at_checked(usize::try_from(length).unwrap_or(usize::MAX))
            .ok_or("the payload ends too early")?;
        rest = after;
        Ok(Some(section.to_vec()))
    };
    let (request, response, route, input, output) = (take()?, take()?, take()?, take()?, take()?);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|error| error.to_string());
    Ok(Payload {
        request: request.unwrap_or_default(),
        response,
        route: text(route.unwrap_or_default())?,
        input: input.map(text).transpose()?,
        output: text(output.unwrap_or_default())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_was_given_and_notices_damage() {
        let mut packer = Packer::new().unwrap();
        let payloads = [
            Payload::default(),
            Payload {
                request: b"{\"messages\":[]}".repeat(100),
                response: Some(Vec::new()),
                route: "{}".into(),
                input: Some("question".into()),
                output: "añswer".into(),
            },
        ];
        for payload in payloads {
            let mut packed = packer.pack(&payload).unwrap();
            assert_eq!(unpack(&packed), Ok(payload));
            if let Some(byte) = packed.last_mut() {
                *byte ^= 1;
            }
            assert!(unpack(&packed).is_err());
        }
    }
}
