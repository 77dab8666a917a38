// Scenarios for every JavaScript SDK, in any version and binding. Each checks one promise and prints a line of JSON.
//
//     node sdk_1.mjs MODULES URL[,URL] BINDING [--protocol VERSION] [--key KEY] SCENARIO...
//
// MODULES is the folder whose node_modules has the SDK. With two addresses, a client that loses its connection to the first
// reconnects to the second. An SDK is a class as in sdk_1.mjs. It takes and returns plain values, so that checks do not depend on
// the SDK: a task is { id, context, state, said, artifacts, asked } with the states of 1.0 without their prefix; an
// artifact { id, name, parts }; a part ["text", text], ["raw", base64, name, type], ["url", address, name, type] or ["data", value].
// Events are { task }, { status: { state, said } } and { chunk: { artifact, append, last } }.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

const SCENARIO_TIMEOUT = 60_000; // milliseconds for one scenario
const SILENCE = 1200; // milliseconds; the server of the test sends a keep-alive every 300
const CHUNK_COUNT = 40;
const UNKNOWN_TASK_ID = "018f2f6e-7b7a-7000-8000-000000000001";
const BYTES = Buffer.from(Array.from({ length: 1280 }, (_, at) => at % 256)).toString("base64");
const WEBHOOK = "https://example.com/webhook";
const ADDRESS = "https://example.com/files/a%20report.pdf";
const DATA = {
  answer: 42,
  share: 0.25,
  yes: true,
  nothing: null,
  list: [1, "x", [], [null, { deep: { deeper: [{}] } }]],
  text: "zwölf Boxkämpfer \u{1F600}",
};

const range = (from, to) => Array.from({ length: to - from }, (_, at) => String.fromCharCode(from + at));
// Every character that some line splitter takes for a line end, other controls, direction marks, and
// characters outside of the basic plane. A letter stands between any two of them, so that none is lost at the
// edge of a text or merged with its neighbour.
const LINE_ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"];
const CONTROLS = [...range(1, 0x20), ...range(0x7f, 0xa0)];
const MARKS = [..."\u00ad\u200b\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"];
const ASTRAL = ["\u{1F600}", "\u{10000}", "\u{10FFFF}", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627"];
const SEPARATED = `a${[...LINE_ENDS, ...CONTROLS, ...MARKS, ...ASTRAL].join("b")}c`;

/** Events of a stream, folded into a task as a client would, and in their order. */
class Record {
  task;
  events = [];

  /** Some clients drop the append flag; then a chunk is appended if its artifact is known. */
  constructor({ forgets }) {
    this.forgets = forgets;
  }

  apply(event) {
    this.events.push(event);
    if (event.task) {
      assert.equal(this.events.length, 1, "place of the task in its stream");
      this.task = event.task;
    } else if (event.status) {
      Object.assign(this.task, event.status);
    } else {
      this.fold(event.chunk);
    }
    return this;
  }

  fold({ artifact, append }) {
    const known = this.task.artifacts.find(({ id }) => id === artifact.id);
    if (append || (known && this.forgets)) {
      known.parts.push(...artifact.parts);
    } else if (known) {
      known.parts = [...artifact.parts];
    } else {
      this.task.artifacts.push({ ...artifact, parts: [...artifact.parts] });
    }
  }

  get chunks() {
    return this.events.flatMap(({ chunk }) => chunk ?? []);
  }

  get statuses() {
    return this.events.flatMap(({ status }) => status ?? []);
  }

  /** The numbers at the beginning of the script's chunks, in the order of the task. */
  get numbers() {
    return texts(this.task).map((text) => Number(text.slice(0, 7)));
  }
}

const texts = (task) => task.artifacts.flatMap(({ parts }) => parts.map(([, content]) => content));
const text = (content) => ["text", content];

class Scenarios {
  constructor(sdk, connect) {
    Object.assign(this, { sdk, connect });
  }

  streamed(content, task) {
    return this.streamedParts([text(content)], task);
  }

  async streamedParts(parts, task) {
    const record = new Record(this.sdk);
    for await (const event of this.sdk.stream(parts, task)) {
      record.apply(event);
    }
    return record;
  }

  send(content, options) {
    return this.sdk.send([text(content)], options);
  }

  /** A task read back equals the task from its stream. */
  async same(task) {
    const { asked: _now, ...found } = await this.sdk.get(task.id);
    const { asked: _then, ...heard } = task;
    assert.deepEqual(found, heard, "the task read back");
  }

  /** The card is accepted, and a client with default settings reaches an agent that answers. */
  async card() {
    const card = await this.sdk.card();
    assert.ok(card.name && card.skills.length, "name and skills");
    assert.equal(card.streaming, true, "streaming");
    const task = await this.sdk.sendWithDefaults([text("hello")]);
    assert.deepEqual([task.state, texts(task)], ["COMPLETED", ["hello"]], "what the usual client is answered");
    return card;
  }

  /** The extended card is available where the public one announces it. */
  async extended() {
    const { name, skills } = await this.sdk.card();
    assert.deepEqual(await this.sdk.extended(), { name, skills });
  }

  /** A send returns the completed task. */
  async sending() {
    const task = await this.send("hello, agent");
    assert.deepEqual([task.state, texts(task)], ["COMPLETED", ["hello, agent"]]);
    assert.deepEqual(task.asked, ["hello, agent"], "messages of the client");
    await this.same(task);
  }

  /** A stream begins with the task, reports progress and chunks in order, and ends with the final state. */
  async stream() {
    const record = await this.streamed("!progress 3; chunks 4 16; complete that is all");
    assert.ok(record.events[0].task, "the first event is the task");
    const said = record.statuses.map((status) => status.said).filter(Boolean);
    assert.deepEqual(said, ["step 1 of 3", "step 2 of 3", "step 3 of 3", "that is all"]);
    const flags = record.chunks.map(({ append, last }) => [append, last]);
    const appended = !this.sdk.forgets;
    assert.deepEqual(flags, [[false, false], [appended, false], [appended, false], [appended, true]], "chunks");
    assert.deepEqual(record.numbers, [1, 2, 3, 4], "content");
    assert.deepEqual(record.events.at(-1).status, { state: "COMPLETED", said: "that is all" }, "last event");
    await this.same(record.task);
    return { events: record.events.length };
  }

  /** A question ends the stream; the reply completes the same task. Then the same without streams. */
  async turns() {
    const { task: asking } = await this.streamed("!ask which one?");
    assert.deepEqual([asking.state, asking.said], ["INPUT_REQUIRED", "which one?"]);
    const { task: answered } = await this.streamed("the red one", asking);
    assert.deepEqual([answered.id, answered.context], [asking.id, asking.context], "the task");
    assert.deepEqual([answered.state, texts(answered)], ["COMPLETED", ["the red one"]], "outcome");
    await this.same(answered);
    let task = await this.send("!ask-until yes");
    for (const [answer, state] of [["no", "INPUT_REQUIRED"], ["yes", "COMPLETED"]]) {
      task = await this.send(answer, { task });
      assert.equal(task.state, state, `state after ${answer}`);
    }
    assert.deepEqual(task.asked, ["!ask-until yes", "no", "yes"], "messages of the client");
  }

  /** A task is returned with the requested length of history. */
  async get() {
    let task = await this.send("!ask");
    task = await this.send("fine", { task });
    assert.deepEqual((await this.sdk.get(task.id)).asked, ["!ask", "fine"], "whole history");
    assert.deepEqual((await this.sdk.get(task.id, 1)).asked, ["fine"], "the newest message");
  }

  /** The tasks of a context are listed in pages, newest first, and by state. */
  async list() {
    const context = randomUUID();
    const sent = [];
    for (const content of ["one", "two", "!ask three?"]) {
      sent.unshift(await this.send(content, { context }));
    }
    const newest = sent.map(({ id }) => id);
    const ids = (page) => page.tasks.map(({ id }) => id);
    const first = await this.sdk.list(context, { size: 2 });
    assert.deepEqual([ids(first), first.total], [newest.slice(0, 2), 3], "first page");
    const second = await this.sdk.list(context, { size: 2, token: first.token });
    assert.deepEqual([ids(second), second.token], [newest.slice(2), ""], "second page");
    const asking = await this.sdk.list(context, { state: "INPUT_REQUIRED" });
    assert.deepEqual(ids(asking), newest.slice(0, 1), "those that ask");
  }

  /** A cancel ends the task for the caller and for subscribers. */
  async cancel() {
    const record = new Record(this.sdk);
    let answer;
    for await (const event of this.sdk.stream([text("!hang")])) {
      if (record.apply(event).task.state === "WORKING" && !answer) {
        answer = await this.sdk.cancel(record.task.id);
      }
    }
    assert.deepEqual([answer.id, answer.state], [record.task.id, "CANCELED"], "answer to the cancel");
    assert.equal(record.task.state, "CANCELED", "end of the stream");
    await this.same(record.task);
  }

  /** The connection is cut in the middle; a client that subscribes again misses nothing. */
  async resubscribe() {
    const record = new Record(this.sdk);
    const cut = new AbortController();
    const first = this.sdk.stream([text(`!chunks ${CHUNK_COUNT} 16 20; listen 1`)], undefined, cut.signal);
    await assert.rejects(async () => {
      for await (const event of first) {
        if (record.apply(event).chunks.length === 5) {
          cut.abort();
        }
      }
    }, "a stream that is cut does not end as if it were whole");
    await this.connect();
    const again = new Record(this.sdk);
    let replied = false;
    for await (const event of this.sdk.subscribe(record.task.id)) {
      again.apply(event);
      if (!replied && texts(again.task).length === CHUNK_COUNT) {
        replied = true;
        await this.send("go", { task: record.task, immediately: true });
      }
    }
    assert.ok(again.events[0].task, "the first event is the task as it is");
    const after = again.chunks.length;
    assert.ok(CHUNK_COUNT - after >= 5, `${after} chunks after the first event`);
    assert.deepEqual(again.numbers, Array.from({ length: CHUNK_COUNT }, (_, at) => at + 1), "chunks");
    assert.equal(again.task.state, "COMPLETED");
    assert.ok(again.statuses.some(({ said }) => said === "heard: go"), "the answer to the message");
    await this.same(again.task);
    return { before: CHUNK_COUNT - after, after };
  }

  /** A stream stays open while only keep-alives arrive, both after a send and after a subscription. */
  async silence() {
    const listening = [text("!listen 1")];
    await this.answeredLate(this.sdk.stream(listening));
    const record = new Record(this.sdk);
    for await (const event of this.sdk.stream(listening)) {
      record.apply(event);
      break;
    }
    await this.answeredLate(this.sdk.subscribe(record.task.id));
  }

  async answeredLate(events) {
    const record = new Record(this.sdk);
    let answer;
    for await (const event of events) {
      if (record.apply(event).task.state === "WORKING") {
        answer ??= delay(SILENCE).then(() => this.send("go", { task: record.task, immediately: true }));
      }
    }
    await answer;
    assert.equal(record.task.state, "COMPLETED", "state after the silence");
    assert.ok(record.statuses.some(({ said }) => said === "heard: go"), "the answer to the message");
  }

  /** Line separators survive in texts and data: in responses, events and snapshots. */
  async separators() {
    const sent = [text(SEPARATED), ["data", { [SEPARATED]: [SEPARATED] }]];
    const task = await this.sdk.send(sent);
    assert.deepEqual([task.state, task.artifacts[0].parts], ["COMPLETED", sent]);
    assert.deepEqual(task.asked, [SEPARATED], "messages of the client");
    await this.same(task);
    const { task: streamed } = await this.streamedParts(sent);
    assert.deepEqual([streamed.state, streamed.artifacts[0].parts], ["COMPLETED", sent], "what was streamed");
    // Script commands end at a line break.
    const question = SEPARATED.replaceAll("\n", " ");
    const { task: asking } = await this.streamed(`!ask ${question}`);
    assert.deepEqual([asking.state, asking.said], ["INPUT_REQUIRED", question], "the question in a stream");
    const { value: first } = await this.sdk.subscribe(asking.id).next();
    assert.equal(first.task.said, question, "the question to who subscribes");
  }

  /** Files by value and by reference are returned as sent, and as the agent creates them. */
  async files() {
    const sent = [
      text("two files"),
      ["raw", BYTES, "bytes.bin", "application/octet-stream"],
      ["url", ADDRESS, "a report.pdf", "application/pdf"],
    ];
    const task = await this.sdk.send(sent);
    const back = this.sdk.forgets ? sent.map(([kind, content, name, type]) => (type ? [kind, content, "", type] : [kind, content])) : sent;
    assert.deepEqual([task.state, task.artifacts[0].parts], ["COMPLETED", back]);
    await this.same(task);
    const { task: made } = await this.streamed("!artifact raw; artifact url");
    assert.deepEqual(made.artifacts.map(({ parts }) => parts), [
      [["raw", "AAEC/w==", this.sdk.forgets ? "" : "bytes.bin", "application/octet-stream"]],
      [["url", "https://example.com/file.txt", "", "text/plain"]],
    ], "what the agent made");
  }

  /** Nested data is returned as sent, and as the agent creates it. */
  async data() {
    const data = this.sdk.hasNulls ? DATA : withoutNulls(DATA);
    const sent = [["data", data], text("and a text")];
    const task = await this.sdk.send(sent);
    assert.deepEqual([task.state, task.artifacts[0].parts], ["COMPLETED", sent]);
    await this.same(task);
    const made = await this.send("!artifact data");
    assert.deepEqual(made.artifacts[0].parts, [["data", { answer: 42, list: [1, this.sdk.hasNulls ? null : 0, "x"] }]], "what the agent made");
  }

  /** Every rejection arrives as the SDK's error for it. */
  async errors() {
    const ended = await this.send("done");
    const asking = await this.send("!ask");
    const calls = [
      ["get of an unknown task", "TASK_NOT_FOUND", () => this.sdk.get(UNKNOWN_TASK_ID)],
      ["get of what is no id", "TASK_NOT_FOUND", () => this.sdk.get("nonsense")],
      ["cancel of an unknown task", "TASK_NOT_FOUND", () => this.sdk.cancel(UNKNOWN_TASK_ID)],
      ["cancel of an ended task", "TASK_NOT_CANCELABLE", () => this.sdk.cancel(ended.id)],
      ["message to an unknown task", "TASK_NOT_FOUND", () => this.send("x", { task: { id: UNKNOWN_TASK_ID } })],
      ["message to an ended task", "UNSUPPORTED_OPERATION", () => this.send("x", { task: ended })],
      ["stream to an ended task", "UNSUPPORTED_OPERATION", () => this.streamed("x", ended)],
      ["subscribing to an ended task", this.sdk.ofEnded, () => this.sdk.subscribe(ended.id).next().then(({ value }) => value.task.state)],
      ["message without parts", "INVALID_PARAMS", () => this.sdk.send([])],
      ["message in another context", "INVALID_PARAMS", () => this.send("x", { task: { ...asking, context: randomUUID() } })],
    ];
    return this.refusals(calls);
  }

  /** Push notifications are not supported; every operation on them reports it. */
  async push() {
    const { id } = await this.send("done");
    const calls = Object.entries(this.sdk.push(id, WEBHOOK));
    return this.refusals(calls.map(([what, call]) => [what, "PUSH_NOTIFICATION_NOT_SUPPORTED", call]));
  }

  async refusals(calls) {
    const seen = {};
    for (const [what, error, call] of calls) {
      const found = await call().then((answer) => answer, (thrown) => this.sdk.failure(thrown));
      assert.equal(found, this.sdk.errorName(error), what);
      seen[what] = found;
    }
    return { seen };
  }
}

function withoutNulls(value) {
  return JSON.parse(JSON.stringify(value, (_, inner) => (Array.isArray(inner) ? inner.filter((one) => one !== null) : inner ?? undefined)));
}

export async function main(make) {
  const options = { protocol: { type: "string" }, key: { type: "string" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [modules, urls, binding, ...names] = positionals;
  const load = createRequire(join(modules, "package.json"));
  const sdk = new make(load, { binding, ...values });
  let connections = 0;
  const connect = () => sdk.connect(urls.split(",").at(connections++ % urls.split(",").length));
  await connect();
  const scenarios = new Scenarios(sdk, connect);
  for (const name of names) {
    const late = setTimeout(() => fail(`${name}: nothing more after ${SCENARIO_TIMEOUT / 1000} s`), SCENARIO_TIMEOUT);
    try {
      // `send` is the method that the other scenarios use, hence the other name.
      const seen = await scenarios[name === "send" ? "sending" : name]();
      console.log(JSON.stringify({ scenario: name, ...seen }));
    } catch (problem) {
      fail(`${name}: ${problem.stack}`);
    }
    clearTimeout(late);
  }
  // Open keep-alive connections must not delay the exit.
  process.exit(0);
}

function fail(why) {
  console.error(why);
  process.exit(1);
}
