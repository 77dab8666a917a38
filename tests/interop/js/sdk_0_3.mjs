// The JavaScript SDK @a2a-js/sdk 0.3.x, over any of its bindings.

import { main } from "./scenarios.mjs";
import { eventFromSdk, messageToSdk, taskFromSdk } from "./types_0_3.mjs";

// Form of errors: a class whose name ends in "JSONRPCError" or "Error" if there is one, else a code in the
// text.
const CLASSES = {
  TASK_NOT_FOUND: "TaskNotFound",
  TASK_NOT_CANCELABLE: "TaskNotCancelable",
  PUSH_NOTIFICATION_NOT_SUPPORTED: "PushNotificationNotSupported",
  UNSUPPORTED_OPERATION: "UnsupportedOperation",
};
const CODES = { INVALID_PARAMS: "-32602" };
const GRPC = { PUSH_NOTIFICATION_NOT_SUPPORTED: "9", UNSUPPORTED_OPERATION: "9", INVALID_PARAMS: "3" };

class Sdk {
  constructor(load, { binding, key }) {
    this.binding = binding;
    // A subscription to an ended task is rejected, except in the protobuf form of 0.3, which returns the
    // task.
    this.ofEnded = binding === "JSONRPC" ? "UNSUPPORTED_OPERATION" : "COMPLETED";
    // In the protobuf form this SDK drops file names and the append flag of chunks.
    this.forgets = binding !== "JSONRPC";
    // Over gRPC it cannot write null, and reads 0 instead.
    this.hasNulls = binding !== "GRPC";
    this.clients = load("@a2a-js/sdk/client");
    this.grpc = load("@a2a-js/sdk/client/grpc");
    this.headers = key ? { Authorization: `Bearer ${key}` } : {};
  }

  async connect(url) {
    this.url = url;
    this.found = await new this.clients.DefaultAgentCardResolver().resolve(url);
    const every = [
      new this.clients.JsonRpcTransportFactory(),
      new this.clients.RestTransportFactory(),
      new this.grpc.GrpcTransportFactory(),
    ];
    const transports = every.filter(({ protocolName }) => protocolName === this.binding);
    this.client = await new this.clients.ClientFactory({ transports }).createFromAgentCard({
      ...this.found,
      // Without this the SDK rejects push notification calls itself, and the server is not tested.
      capabilities: { ...this.found.capabilities, pushNotifications: true },
    });
  }

  /** Sends with default settings, given only the address. */
  async sendWithDefaults(parts) {
    const client = await new this.clients.ClientFactory().createFromUrl(this.url);
    return taskFromSdk(await client.sendMessage(this.request(parts), this.options));
  }

  get options() {
    return { serviceParameters: { ...this.headers } };
  }

  async card() {
    const { name, skills, capabilities, protocolVersion, preferredTransport, url, additionalInterfaces = [] } = this.found;
    const interfaces = [[preferredTransport, url], ...additionalInterfaces.map((one) => [one.transport, one.url])];
    return { name, skills: skills.map(({ id }) => id), streaming: capabilities.streaming, protocol: protocolVersion, interfaces };
  }

  async extended() {
    const { name, skills } = await this.client.transport.getExtendedAgentCard(this.options);
    return { name, skills: skills.map(({ id }) => id) };
  }

  request(parts, options) {
    return { message: messageToSdk(parts, options), configuration: { blocking: !options?.immediately } };
  }

  async send(parts, options) {
    return taskFromSdk(await this.client.sendMessage(this.request(parts, options), this.options));
  }

  async *stream(parts, task, signal) {
    for await (const event of this.client.sendMessageStream(this.request(parts, { task }), { ...this.options, signal })) {
      yield eventFromSdk(event);
    }
  }

  async *subscribe(id) {
    for await (const event of this.client.resubscribeTask({ id }, this.options)) {
      yield eventFromSdk(event);
    }
  }

  async get(id, historyLength) {
    return taskFromSdk(await this.client.getTask({ id, historyLength }, this.options));
  }

  async cancel(id) {
    return taskFromSdk(await this.client.cancelTask({ id }, this.options));
  }

  push(taskId, url) {
    const [client, named] = [this.client, { id: taskId, pushNotificationConfigId: "one" }];
    const calls = {
      set: () => client.setTaskPushNotificationConfig({ taskId, pushNotificationConfig: { id: "one", url } }, this.options),
      get: () => client.getTaskPushNotificationConfig(named, this.options),
      list: () => client.listTaskPushNotificationConfig({ id: taskId }, this.options),
      delete: () => client.deleteTaskPushNotificationConfig(named, this.options),
    };
    return calls;
  }

  failure(error) {
    const known = Object.values(CLASSES).find((name) => error.constructor.name.startsWith(name));
    const code = error.errorResponse?.error.code ?? error.message.match(/Code: (-\d+)|^GRPC error for \w+! (\d+)/)?.slice(1).find(Boolean);
    // The cause of the thrown error is the stream's error.
    return known ?? (error.cause?.errorResponse ? this.failure(error.cause) : String(code ?? error));
  }

  errorName(error) {
    return (this.binding === "GRPC" && GRPC[error]) || CLASSES[error] || CODES[error] || error;
  }
}

await main(Sdk);
