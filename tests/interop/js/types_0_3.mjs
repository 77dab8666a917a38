// Conversion between the scenarios' values and those of the JavaScript SDK before 1.0, which are the same in
// 0.2 and 0.3.

import { randomUUID } from "node:crypto";

export function messageToSdk(parts, { task, context } = {}) {
  return {
    kind: "message",
    messageId: randomUUID(),
    role: "user",
    parts: parts.map(partToSdk),
    taskId: task?.id,
    contextId: task?.context ?? context,
  };
}

export function eventFromSdk(event) {
  switch (event.kind) {
    case "task":
      return { task: taskFromSdk(event) };
    case "status-update":
      return { status: status(event.status) };
    case "artifact-update":
      return { chunk: { artifact: artifactFromSdk(event.artifact), append: !!event.append, last: !!event.lastChunk } };
    default:
      throw new Error(`an event of kind ${event.kind}`);
  }
}

export function taskFromSdk({ id, contextId, status: current, artifacts = [], history = [] }) {
  const asked = history.filter(({ role }) => role === "user").map(said);
  return { id, context: contextId, ...status(current), artifacts: artifacts.map(artifactFromSdk), asked };
}

const status = ({ state, message }) => ({ state: state.toUpperCase().replaceAll("-", "_"), said: said(message) });

const said = (message) => (message?.parts ?? []).flatMap((part) => (part.kind === "text" ? part.text : [])).join("");

const artifactFromSdk = ({ artifactId, name, parts }) => ({ id: artifactId, name: name ?? "", parts: parts.map(partFromSdk) });

function partToSdk([kind, content, name, mimeType]) {
  switch (kind) {
    case "raw":
      return { kind: "file", file: { bytes: content, name, mimeType } };
    case "url":
      return { kind: "file", file: { uri: content, name, mimeType } };
    default:
      return { kind, [kind]: content };
  }
}

function partFromSdk(part) {
  if (part.kind !== "file") {
    return [part.kind, part[part.kind]];
  }
  const { bytes, uri, name = "", mimeType = "" } = part.file;
  return bytes === undefined ? ["url", uri, name, mimeType] : ["raw", bytes, name, mimeType];
}
