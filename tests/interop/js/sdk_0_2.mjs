// The JavaScript SDK @a2a-js/sdk 0.2.x, whose client speaks JSON-RPC and returns whole responses.

import { main } from "./scenarios.mjs";
import { eventFromSdk, messageToSdk, taskFromSdk } from "./types_0_3.mjs";

const CODES = {
  TASK_NOT_FOUND: -32001,
  TASK_NOT_CANCELABLE: -32002,
  PUSH_NOTIFICATION_NOT_SUPPORTED: -32003,
  UNSUPPORTED_OPERATION: -32004,
  INVALID_PARAMS: -32602,
};

class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

class Sdk {
  ofEnded = "UNSUPPORTED_OPERATION";
  forgets = false;
  hasNulls = true;

  constructor(load, { key }) {
    this.clients = load("@a2a-js/sdk/client");
    // This SDK takes neither headers nor signals; its users pass them through their own `fetch`.
    const original = globalThis.fetch;
    globalThis.fetch = (url, init) => {
      const headers = { ...init.headers, ...(key && { Authorization: `Bearer ${key}` }) };
      return original(url, { ...init, headers, signal: this.signal });
    };
  }

  async connect(url) {
    this.url = url;
    this.client = new this.clients.A2AClient(url);
    this.found = await this.client.getAgentCard();
    // Without this the SDK rejects push notification calls itself, and the server is not tested. Its card is
    // this object.
    this.found.capabilities.pushNotifications = true;
  }

  /** Sends with default settings, given only the address. */
  async sendWithDefaults(parts) {
    return taskFromSdk(result(await new this.clients.A2AClient(this.url).sendMessage(this.request(parts))));
  }

  async card() {
    const { name, skills, capabilities, protocolVersion, preferredTransport, url } = this.found;
    const interfaces = [[preferredTransport, url]];
    return { name, skills: skills.map(({ id }) => id), streaming: capabilities.streaming, protocol: protocolVersion, interfaces };
  }

  request(parts, options) {
    const configuration = { acceptedOutputModes: [], blocking: !options?.immediately };
    return { message: messageToSdk(parts, options), configuration };
  }

  async send(parts, options) {
    return taskFromSdk(result(await this.client.sendMessage(this.request(parts, options))));
  }

  async *stream(parts, task, signal) {
    this.signal = signal;
    for await (const event of this.client.sendMessageStream(this.request(parts, { task }))) {
      // The response has begun, so later requests are separate calls.
      this.signal = undefined;
      yield eventFromSdk(event);
    }
  }

  async *subscribe(id) {
    for await (const event of this.client.resubscribeTask({ id })) {
      yield eventFromSdk(event);
    }
  }

  async get(id, historyLength) {
    return taskFromSdk(result(await this.client.getTask({ id, historyLength })));
  }

  async cancel(id) {
    return taskFromSdk(result(await this.client.cancelTask({ id })));
  }

  push(taskId, url) {
    const config = { taskId, pushNotificationConfig: { id: "one", url } };
    return {
      set: async () => result(await this.client.setTaskPushNotificationConfig(config)),
      get: async () => result(await this.client.getTaskPushNotificationConfig({ id: taskId, pushNotificationConfigId: "one" })),
    };
  }

  failure(error) {
    // Stream errors can be recognised only by the text of the thrown error.
    return error.code ?? (Number(error.message.match(/\(Code: (-\d+)\)/)?.[1]) || String(error));
  }

  errorName(error) {
    return CODES[error];
  }
}

function result(response) {
  if (response.error) {
    throw new Refused(response.error);
  }
  return response.result;
}

await main(Sdk);
