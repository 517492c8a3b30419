// The `openai` package from npm, unchanged, against a running server.
//
// PELTON_URL, PELTON_API_KEY (anything if none is asked for) and PELTON_ENDPOINT say where to.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { BadRequestError, NotFoundError } from "openai";

const { PELTON_URL, PELTON_API_KEY = "not-needed", PELTON_ENDPOINT: model } = process.env;
const client = new OpenAI({ baseURL: `${PELTON_URL}/v1`, apiKey: PELTON_API_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "Which bill is due first? Say its id." }];
const ask = (options = {}) =>
  client.chat.completions.create({ model, messages, max_tokens: 16, temperature: 0, ...options });

test("a whole answer", async () => {
  const answer = await ask();
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.choices[0].message.role, "assistant");
  assert.equal(typeof answer.choices[0].message.content, "string");
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test("a stream gives the same text, and usage where it is asked for", async () => {
  const whole = await ask();
  const stream = await ask({ stream: true, stream_options: { include_usage: true } });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.total_tokens, whole.usage.total_tokens);
});

test("the stream helper puts an answer together", async () => {
  const runner = client.chat.completions.stream({ model, messages, max_tokens: 16, temperature: 0 });
  const answer = await runner.finalChatCompletion();
  assert.equal(answer.choices[0].message.content, (await ask()).choices[0].message.content);
});

test("a stream may be left", async () => {
  const stream = await ask({ stream: true, max_tokens: 200 });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  assert.equal((await ask()).choices.length, 1);
});

test("a tool is called where that is asked for", async () => {
  const parameters = {
    type: "object",
    properties: { id: { type: "string", maxLength: 8 } },
    required: ["id"],
    additionalProperties: false,
  };
  const tools = [{ type: "function", function: { name: "find_bill", parameters } }];
  const answer = await ask({ tools, tool_choice: "required", max_tokens: 120 });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "find_bill");
  assert.equal(typeof JSON.parse(call.function.arguments).id, "string");
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

test("an answer follows a schema", async () => {
  const schema = {
    type: "object",
    properties: { paid: { type: "boolean" } },
    required: ["paid"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "state", schema, strict: true } };
  const answer = await ask({ response_format, max_tokens: 60 });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content).paid, "boolean");
});

test("headers name the call and what answered", async () => {
  const { response } = await client.chat.completions
    .create({ model, messages, max_tokens: 4 })
    .withResponse();
  assert.match(response.headers.get("x-pelton-inference-id"), /^inf_/);
  assert.match(response.headers.get("x-pelton-release-id"), /^rel_/);
});

test("models are listed", async () => {
  const ids = [];
  for await (const found of client.models.list()) ids.push(found.id);
  assert.ok(ids.includes(model));
});

test("errors are the client's own", async () => {
  await assert.rejects(ask({ model: "no-such-model" }), NotFoundError);
  await assert.rejects(ask({ temperature: "warm" }), BadRequestError);
});
