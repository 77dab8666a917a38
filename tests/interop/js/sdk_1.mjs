// The JavaScript SDK @a2a-js/sdk 1.x, over any of its bindings, as 1.0 or through its compatibility layer for
// 0.3.

import { randomUUID } from "node:crypto";
import { main } from "./scenarios.mjs";

const PREFIX = "TASK_STATE_";

class Sdk {
  constructor(load, { binding, protocol = "1.0", key }) {
    Object.assign(this, { binding, protocol });
    this.hasNulls = true;
    // In the protobuf form of 0.3 it drops file names and the append flag of chunks. There, a subscription to
    // an ended task is not rejected but returns the task.
    this.forgets = protocol === "0.3" && binding !== "JSONRPC";
    this.ofEnded = this.forgets ? "COMPLETED" : "UNSUPPORTED_OPERATION";
    this.types = load("@a2a-js/sdk");
    this.clients = load("@a2a-js/sdk/client");
    this.grpc = load("@a2a-js/sdk/client/grpc");
    this.headers = key ? { Authorization: `Bearer ${key}` } : {};
  }

  async connect(url) {
    const legacyCompat = { enabled: this.protocol !== "1.0" };
    this.url = url;
    this.found = await new this.clients.DefaultAgentCardResolver().resolve(url);
    // The SDK has preferences of its own; here it must use this binding in this version.
    const supportedInterfaces = this.found.supportedInterfaces.filter(
      ({ protocolBinding, protocolVersion }) => protocolBinding === this.binding && protocolVersion === this.protocol,
    );
    const transports = [
      new this.clients.JsonRpcTransportFactory({ legacyCompat }),
      new this.clients.RestTransportFactory({ legacyCompat }),
      new this.grpc.GrpcTransportFactory({ legacyCompat }),
    ];
    this.client = await new this.clients.ClientFactory({ transports }).createFromAgentCard({
      ...this.found,
      supportedInterfaces,
      // Without this the SDK rejects push notification calls itself, and the server is not tested.
      capabilities: { ...this.found.capabilities, pushNotifications: true },
    });
  }

  /** Sends with default settings, given only the address. */
  async sendWithDefaults(parts) {
    const client = await new this.clients.ClientFactory().createFromUrl(this.url);
    return this.task(await client.sendMessage(this.request(parts), this.options));
  }

  get options() {
    return { serviceParameters: { ...this.headers } };
  }

  async card() {
    const { name, skills, capabilities, supportedInterfaces } = this.found;
    const interfaces = supportedInterfaces.map((one) => [one.protocolBinding, one.protocolVersion, one.url]);
    return { name, skills: skills.map(({ id }) => id), streaming: capabilities.streaming, interfaces };
  }

  async extended() {
    const { name, skills } = await this.client.transport.getExtendedAgentCard({ tenant: "" }, this.options);
    return { name, skills: skills.map(({ id }) => id) };
  }

  request(parts, { task, context, immediately = false } = {}) {
    return {
      tenant: "",
      message: {
        messageId: randomUUID(),
        role: this.types.Role.ROLE_USER,
        parts: parts.map(partToSdk),
        taskId: task?.id ?? "",
        contextId: task?.context ?? context ?? "",
        extensions: [],
        referenceTaskIds: [],
        metadata: undefined,
      },
      configuration: { returnImmediately: immediately, acceptedOutputModes: [] },
      metadata: undefined,
    };
  }

  async send(parts, options) {
    return this.task(await this.client.sendMessage(this.request(parts, options), this.options));
  }

  async *stream(parts, task, signal) {
    for await (const event of this.client.sendMessageStream(this.request(parts, { task }), { ...this.options, signal })) {
      yield this.event(event);
    }
  }

  async *subscribe(id) {
    for await (const event of this.client.resubscribeTask({ tenant: "", id }, this.options)) {
      yield this.event(event);
    }
  }

  async get(id, historyLength) {
    return this.task(await this.client.getTask({ tenant: "", id, historyLength }, this.options));
  }

  async list(contextId, { size, token = "", state }) {
    const status = state ? this.types.TaskState[PREFIX + state] : this.types.TaskState.TASK_STATE_UNSPECIFIED;
    const page = await this.client.listTasks({ tenant: "", contextId, pageSize: size, pageToken: token, status }, this.options);
    return { tasks: page.tasks.map((task) => this.task(task)), token: page.nextPageToken, total: page.totalSize };
  }

  async cancel(id) {
    return this.task(await this.client.cancelTask({ tenant: "", id, metadata: undefined }, this.options));
  }

  push(taskId, url) {
    const [client, named] = [this.client, { tenant: "", taskId, id: "one" }];
    const config = { ...named, url, token: "", authentication: undefined };
    const calls = {
      create: () => client.createTaskPushNotificationConfig(config, this.options),
      get: () => client.getTaskPushNotificationConfig(named, this.options),
      list: () => client.listTaskPushNotificationConfig({ tenant: "", taskId, pageSize: 0, pageToken: "" }, this.options),
      delete: () => client.deleteTaskPushNotificationConfig(named, this.options),
    };
    return calls;
  }

  event({ payload }) {
    switch (payload?.$case) {
      case "task":
        return { task: this.task(payload.value) };
      case "statusUpdate":
        return { status: this.status(payload.value.status) };
      case "artifactUpdate": {
        const { artifact, append, lastChunk } = payload.value;
        return { chunk: { artifact: artifactFromSdk(artifact), append, last: lastChunk } };
      }
      default:
        throw new Error(`an event of kind ${payload?.$case}`);
    }
  }

  status({ state, message }) {
    return { state: this.types.taskStateToJSON(state).slice(PREFIX.length), said: said(message) };
  }

  task({ id, contextId, status, artifacts, history }) {
    const asked = history.filter(({ role }) => role === this.types.Role.ROLE_USER).map(said);
    return { id, context: contextId, ...this.status(status), artifacts: artifacts.map(artifactFromSdk), asked };
  }

  failure(error) {
    // The cause of the thrown error may be the stream's error.
    return error.reason ?? error.cause?.reason ?? `${error.name}: ${error.message}`;
  }

  errorName(error) {
    return error;
  }
}

const said = (message) => (message?.parts ?? []).flatMap(({ content }) => (content.$case === "text" ? content.value : [])).join("");

const artifactFromSdk = ({ artifactId, name, parts }) => ({ id: artifactId, name, parts: parts.map(partFromSdk) });

function partToSdk([kind, content, filename = "", mediaType = ""]) {
  const value = kind === "raw" ? Buffer.from(content, "base64") : content;
  return { content: { $case: kind, value }, filename, mediaType, metadata: undefined };
}

function partFromSdk({ content: { $case: kind, value }, filename, mediaType }) {
  switch (kind) {
    case "raw":
      return [kind, Buffer.from(value).toString("base64"), filename, mediaType];
    case "url":
      return [kind, value, filename, mediaType];
    default:
      return [kind, value];
  }
}

await main(Sdk);
