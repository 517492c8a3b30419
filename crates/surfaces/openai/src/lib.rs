//! OpenAI's dialect in front of the gateway.
