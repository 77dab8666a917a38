// Pages in a browser against a running server: access of its own pages, of an allowed origin and of a foreign origin.
//
//     node browser.mjs MODULES CHROMIUM URL [--key KEY] SCENARIO...
//
// MODULES is the folder whose node_modules has the driver. Host names of pages resolve to an empty page, or to the server
// itself, as in DNS rebinding. Each scenario checks one promise and prints a line of JSON.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const SCENARIO_TIMEOUT = 60_000; // milliseconds for one scenario
// The server's settings server.cors_origins and server.allowed_hosts name the first two.
const ALLOWED = "http://app.example";
const OWN = "http://agents.example";
const STRANGER = "http://evil.example";
const REBOUND = "http://rebound.example";
const CARD = "/.well-known/agent-card.json";
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

let calls = 0;

function sending(text, method = "SendMessage", more = {}) {
  calls += 1;
  const message = { messageId: `page-${calls}`, role: "ROLE_USER", parts: [{ text }], ...more.message };
  return { jsonrpc: "2.0", id: calls, method, params: { message, configuration: more.configuration } };
}

/** Code that runs in the page, without access to this file. */
const inPage = {
  /** Sends a request and returns what the page may see of the response. */
  async request([url, options]) {
    try {
      const response = await fetch(url, options);
      return { type: response.type, status: response.status, id: response.headers.get("x-request-id"), text: await response.text() };
    } catch (error) {
      return { refused: error.name };
    }
  },

  /** Reads events of a stream until its end, or until `limit` have arrived. */
  async stream([url, options, limit]) {
    const cut = new AbortController();
    const response = await fetch(url, { ...options, signal: cut.signal });
    const [reader, events] = [response.body.pipeThrough(new TextDecoderStream()).getReader(), []];
    for (let text = ""; events.length < limit; ) {
      const { done, value } = await reader.read();
      if (done) {
        break;
      }
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const line = (name) => block.split("\n").find((one) => one.startsWith(name))?.slice(name.length).trim();
        if (line("data:")) {
          events.push({ id: line("id:"), data: JSON.parse(line("data:")) });
        }
      }
    }
    cut.abort();
    return events;
  },

  /** Listens with EventSource until the browser gives up. After the first event it makes a call. */
  listen([url, call]) {
    return new Promise((resolve) => {
      const [source, events] = [new EventSource(url), []];
      source.onmessage = ({ data }) => {
        events.push(JSON.parse(data));
        if (events.length === 1 && call) {
          fetch(...call);
        }
      };
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) {
          resolve(events);
        }
      };
    });
  },

  submit([url, enctype, name, value]) {
    const form = document.createElement("form");
    Object.assign(form, { action: url, method: "post", enctype });
    const field = document.createElement("input");
    Object.assign(field, { name, value });
    form.append(field);
    document.body.append(form);
    form.submit();
  },

  /** Loads an address as an image, a script and a style sheet. */
  embed(url) {
    const loads = ["img", "script", "link"].map((name) => {
      const element = document.createElement(name);
      Object.assign(element, name === "link" ? { rel: "stylesheet", href: url } : { src: url });
      return new Promise((resolve) => {
        element.onload = () => resolve("loaded");
        element.onerror = () => resolve("refused");
        document.body.append(element);
      });
    });
    return Promise.all(loads);
  },
};

class Scenarios {
  constructor(context, url, key) {
    Object.assign(this, { context, url, key });
  }

  async page(address) {
    const page = await this.context.newPage();
    await page.goto(address);
    return page;
  }

  post(call, headers = {}) {
    const type = { "Content-Type": "application/json", "A2A-Version": "1.0" };
    const key = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    return { method: "POST", headers: { ...type, ...key, ...headers }, body: JSON.stringify(call) };
  }

  /** Number of tasks, asked by a client that is no page. */
  async tasks() {
    const response = await fetch(this.url, this.post({ jsonrpc: "2.0", id: 0, method: "ListTasks", params: {} }));
    return (await response.json()).result.totalSize;
  }

  /** A page of a foreign origin creates no task and reads nothing, however it calls; the card is public. */
  async stranger() {
    const page = await this.page(STRANGER);
    const before = await this.tasks();
    const statuses = [];
    page.on("response", (response) => response.url().startsWith(this.url) && statuses.push(response.status()));
    const call = JSON.stringify(sending("from a stranger"));
    const simple = { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body: call };
    for (const path of ["/", "/message:send", "/message:stream", "/operator/v1/agents/script/pause"]) {
      const seen = await page.evaluate(inPage.request, [this.url + path, simple]);
      assert.deepEqual([seen.type, seen.text], ["opaque", ""], `a simple call of ${path}`);
    }
    for (const options of [this.post(sending("preflighted")), { method: "GET" }]) {
      const seen = await page.evaluate(inPage.request, [`${this.url}/tasks`, options]);
      assert.deepEqual(seen, { refused: "TypeError" }, `${options.method} with an answer that can be read`);
    }
    assert.deepEqual(await page.evaluate(inPage.listen, [`${this.url}/tasks`]), [], "events");
    assert.deepEqual(await page.evaluate(inPage.embed, `${this.url}/tasks`), Array(3).fill("refused"), "what is embedded");
    assert.deepEqual(new Set(statuses), new Set([403]), "statuses of the server");
    const card = await page.evaluate(inPage.request, [this.url + CARD, {}]);
    assert.equal(JSON.parse(card.text).name, "script", "the card");
    await this.forms(page, call);
    assert.equal(await this.tasks(), before, "tasks");
  }

  /** A form needs no preflight; with this content type its one field can be a whole request. */
  async forms(page, call) {
    for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      await page.goto(STRANGER);
      const answer = page.waitForNavigation();
      await page.evaluate(inPage.submit, [this.url, enctype, `${call.slice(0, -1)},"x":"`, '"}']);
      const response = await answer;
      assert.equal(response.status(), 403, enctype);
      assert.match(await response.text(), /server\.cors_origins/, "the sentence for who runs the server");
    }
  }

  /** A foreign page whose name resolves to the server has the same origin, and is rejected by its host name. */
  async rebinding() {
    const before = await this.tasks();
    const page = await this.page(REBOUND + CARD);
    for (const [path, options] of [["/", this.post(sending("rebound"))], ["/tasks", {}], ["/operator/v1/queues", {}]]) {
      const seen = await page.evaluate(inPage.request, [path, options]);
      assert.deepEqual([seen.type, seen.status], ["basic", 403], path);
      assert.match(seen.text, /server\.allowed_hosts/, "the sentence for who runs the server");
    }
    assert.deepEqual(await page.evaluate(inPage.listen, ["/tasks/x:subscribe"]), [], "events");
    assert.equal(await this.tasks(), before, "tasks");
  }

  /** With keys, a page without one is rejected like any client, whatever its host name, and can read nothing. */
  async keyless() {
    const before = await this.tasks();
    const call = { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body: JSON.stringify(sending("x")) };
    const page = await this.page(STRANGER);
    const seen = await page.evaluate(inPage.request, [this.url, call]);
    assert.equal(seen.text, "", "what the stranger reads");
    const read = await page.evaluate(inPage.request, [this.url, this.post(sending("with a key from elsewhere"))]);
    assert.deepEqual(read, { refused: "TypeError" }, "no leave for headers of its own");
    const rebound = await this.page(REBOUND + CARD);
    const refused = await rebound.evaluate(inPage.request, ["/", { ...call, mode: "same-origin" }]);
    assert.equal(refused.status, 401, "under a name of its own");
    assert.equal(await this.tasks(), before, "tasks");
  }

  /** A page of an allowed origin can use the whole API: it sends, streams, resumes, listens. */
  async allowed() {
    const page = await this.page(ALLOWED);
    const seen = await page.evaluate(inPage.request, [this.url, this.post(sending("hello"))]);
    assert.deepEqual([seen.type, seen.status], ["cors", 200], "the answer");
    assert.ok(seen.id, "headers that pages may read");
    assert.equal(JSON.parse(seen.text).result.task.status.state, "TASK_STATE_COMPLETED");
    const rest = this.post(sending("hello").params, { "Content-Type": "application/a2a+json" });
    assert.equal((await page.evaluate(inPage.request, [`${this.url}/message:send`, rest])).status, 200, "HTTP+JSON");
    await this.resumed(page);
    const other = await this.page(STRANGER);
    const refused = await other.evaluate(inPage.request, [this.url, this.post(sending("hello"))]);
    assert.deepEqual(refused, { refused: "TypeError" }, "another origin is still a stranger");
  }

  /** A broken stream is resumed after its last event, and ends. */
  async resumed(page) {
    const streaming = sending("!chunks 6 16 50; complete done", "SendStreamingMessage");
    const first = await page.evaluate(inPage.stream, [this.url, this.post(streaming), 3]);
    const { id } = first[0].data.result.task;
    const subscribing = { jsonrpc: "2.0", id: 1, method: "SubscribeToTask", params: { id } };
    const resuming = this.post(subscribing, { "Last-Event-ID": first.at(-1).id });
    const rest = await page.evaluate(inPage.stream, [this.url, resuming, Infinity]);
    const chunks = [...first.slice(0, 3), ...rest].flatMap(({ data }) => data.result.artifactUpdate?.artifact.parts ?? []);
    assert.deepEqual(chunks.map(({ text }) => Number(text.slice(0, 7))), [1, 2, 3, 4, 5, 6], "chunks");
    assert.equal(rest.at(-1).data.result.statusUpdate.status.state, "TASK_STATE_COMPLETED", "the end");
  }

  /** The browser's EventSource listens to the end, and does not reconnect. */
  async eventSource() {
    const page = await this.page(ALLOWED);
    const asking = sending("!listen 1", "SendMessage", { configuration: { returnImmediately: true } });
    const { text } = await page.evaluate(inPage.request, [this.url, this.post(asking)]);
    const { id, contextId } = JSON.parse(text).result.task;
    const requests = [];
    const address = `${this.url}/tasks/${id}:subscribe`;
    page.on("request", (request) => request.url().startsWith(address) && requests.push(request));
    const answer = this.post(sending("go", "SendMessage", { message: { taskId: id, contextId } }));
    const events = await page.evaluate(inPage.listen, [`${address}?A2A-Version=1.0`, [this.url, answer]]);
    assert.ok(events[0].task, "the first event is the task");
    assert.equal(events.at(-1).statusUpdate.status.state, "TASK_STATE_COMPLETED", "the end");
    assert.equal(events.filter(({ task }) => task).length, 1, "nothing comes twice");
    const answers = await Promise.all(requests.map(async (request) => (await request.response()).status()));
    assert.deepEqual(answers, [200, 204], "the browser comes again once, and hears that nothing will come");
  }

  /** A page that the server itself serves under its own host name can call it. */
  async own() {
    const page = await this.page(OWN + CARD);
    const seen = await page.evaluate(inPage.request, ["/", this.post(sending("hello"))]);
    assert.deepEqual([seen.type, seen.status], ["basic", 200]);
  }
}

async function main() {
  const { values, positionals } = parseArgs({ options: { key: { type: "string" } }, allowPositionals: true });
  const [modules, executablePath, url, ...names] = positionals;
  const { chromium } = createRequire(join(modules, "package.json"))("playwright-core");
  const pages = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<title>a page</title><body>"));
  await new Promise((ready) => pages.listen(0, "127.0.0.1", ready));
  const lead = (origin, port) => `MAP ${new URL(origin).hostname} 127.0.0.1:${port}`;
  const { port: mine } = pages.address();
  const { port: server } = new URL(url);
  const rules = [lead(ALLOWED, mine), lead(STRANGER, mine), lead(OWN, server), lead(REBOUND, server), "MAP *.example ~NOTFOUND"];
  const profile = await mkdtemp(join(tmpdir(), "longhaul-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: [...FLAGS, `--host-resolver-rules=${rules.join(",")}`],
  });
  let failed = 0;
  for (const name of names) {
    const scenarios = new Scenarios(context, url, values.key);
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`nothing more after ${SCENARIO_TIMEOUT / 1000} s`)), SCENARIO_TIMEOUT).unref());
    try {
      await Promise.race([scenarios[name](), late]);
      console.log(JSON.stringify({ scenario: name }));
    } catch (problem) {
      console.error(`${name}: ${problem.stack}`);
      failed = 1;
    }
  }
  await context.close();
  await rm(profile, { recursive: true, force: true });
  process.exit(failed);
}

await main();
