// The JavaScript SDK @a2a-js/sdk 0.3.x, over any of its bindings.

import { main } from "./scenarios.mjs";
import { eventFromSdk, messageToSdk, taskFromSdk } from "./types_0_3.mjs";

// How it tells errors: by a class, whose name goes on with "JSONRPCError" or "Error", where it has one, else with a code in the text.
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
    // Who subscribes to a task that has ended is refused, but in the protobuf dialect of 0.3, where that shows the task.
    this.ofEnded = binding === "JSONRPC" ? "UNSUPPORTED_OPERATION" : "COMPLETED";
    // In the protobuf dialect this SDK drops the names of files, and whether a chunk is to be appended.
    this.forgets = binding !== "JSONRPC";
    // On gRPC it cannot write a null, and reads 0 for one.
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
      // Else the SDK refuses by itself what is asked of push notifications, and the server is not seen to.
      capabilities: { ...this.found.capabilities, pushNotifications: true },
    });
  }

  /** What users hear who give the address and nothing else. */
  async usual(parts) {
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
    // An error of a stream is the cause of the one that is thrown.
    return known ?? (error.cause?.errorResponse ? this.failure(error.cause) : String(code ?? error));
  }

  told(error) {
    return (this.binding === "GRPC" && GRPC[error]) || CLASSES[error] || CODES[error] || error;
  }
}

await main(Sdk);
