"""The Python SDK a2a-sdk 0.3.x, over any of its bindings."""

import base64
import uuid

import grpc
import httpx
from a2a.client import A2ACardResolver, A2AClientHTTPError, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientJSONRPCError
from a2a.types import (
    DataPart, FilePart, FileWithBytes, FileWithUri, GetTaskPushNotificationConfigParams, Message, MessageSendConfiguration,
    Part, PushNotificationConfig, Role, TaskIdParams, TaskPushNotificationConfig, TaskQueryParams, TaskStatusUpdateEvent,
    TextPart,
)

import scenarios

# How it tells errors, by binding: by their code, by the HTTP status, or by the status of gRPC.
TOLD = {
    "TASK_NOT_FOUND": (-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (-32004, 400, "FAILED_PRECONDITION"),
    "INVALID_PARAMS": (-32602, 400, "INVALID_ARGUMENT"),
}
BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]


def part_to_sdk(part):
    kind, content, *rest = ("text", part) if isinstance(part, str) else part
    match kind:
        case "text":
            return Part(TextPart(text=content))
        case "data":
            return Part(DataPart(data=content))
        case "raw":
            name, media_type = rest
            return Part(FilePart(file=FileWithBytes(bytes=base64.b64encode(content).decode(), name=name, mime_type=media_type)))
        case "url":
            name, media_type = rest
            return Part(FilePart(file=FileWithUri(uri=content, name=name, mime_type=media_type)))


def part_from_sdk(part):
    match part.root:
        case TextPart() as text:
            return "text", text.text
        case DataPart() as data:
            return "data", data.data
        case FilePart(file=FileWithBytes() as file):
            return "raw", base64.b64decode(file.bytes, validate=True), file.name or "", file.mime_type or ""
        case FilePart(file=file):
            return "url", file.uri, file.name or "", file.mime_type or ""


def said(message):
    parts = message.parts if message else []
    return "".join(part.root.text for part in parts if isinstance(part.root, TextPart))


def state_from_sdk(status):
    return status.state.value.upper().replace("-", "_")


def artifact_from_sdk(artifact):
    return scenarios.Artifact(artifact.artifact_id, artifact.name or "", [part_from_sdk(part) for part in artifact.parts])


def task_from_sdk(task):
    return scenarios.Task(
        task.id, task.context_id, state_from_sdk(task.status), said(task.status.message),
        [artifact_from_sdk(artifact) for artifact in task.artifacts or []],
        [said(message) for message in task.history or [] if message.role == Role.user],
    )


def event_from_sdk(event):
    task, update = event
    match update:
        case None:
            return task_from_sdk(task)
        case TaskStatusUpdateEvent(status=status):
            return scenarios.Status(state_from_sdk(status), said(status.message))
        case _:
            return scenarios.Chunk(artifact_from_sdk(update.artifact), bool(update.append), bool(update.last_chunk))


class Sdk:
    impossible = []
    PROTOCOL = "0.3"

    def __init__(self, urls, binding, protocol, key):
        # Who subscribes to a task that has ended is refused, but in the protobuf dialect of 0.3, where that shows the task.
        self.of_ended = "COMPLETED" if protocol == "0.3" and binding != "JSONRPC" else "UNSUPPORTED_OPERATION"
        self.urls, self.binding = urls, binding
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def connect(self):
        self.url = next(self.urls)
        self.http = httpx.AsyncClient(headers=self.headers, timeout=scenarios.PATIENCE, trust_env=False)
        self.channels = []
        self.found = await A2ACardResolver(self.http, self.url).get_agent_card()
        self.streaming, self.waiting = self._client(True), self._client(False)

    def _client(self, streaming):
        config = ClientConfig(
            httpx_client=self.http, grpc_channel_factory=self._channel, supported_transports=[self.binding],
            streaming=streaming,
        )
        return ClientFactory(config).create(self.found)

    def _channel(self, url):
        # This SDK has no metadata for the calls, so the key is put in by the channel.
        channel = grpc.aio.insecure_channel(
            url.removeprefix("http://").rstrip("/"), interceptors=[Unary(self.headers), Streaming(self.headers)]
        )
        self.channels.append(channel)
        return channel

    async def close(self):
        await self.http.aclose()
        for channel in self.channels:
            await channel.close(None)

    async def cut(self):
        """Closes every connection; what comes after is on a new one."""
        await self.close()
        await self.connect()

    async def card(self):
        card = self.found
        others = [[other.transport, other.url] for other in card.additional_interfaces or []]
        return {
            "name": card.name, "skills": [skill.id for skill in card.skills], "streaming": card.capabilities.streaming,
            "protocol": card.protocol_version, "interfaces": [[card.preferred_transport, card.url], *others],
        }

    async def extended(self):
        scenarios.equal(self.found.supports_authenticated_extended_card, True, "what the public card says")
        card = await self.waiting.get_card()
        return card.name, [skill.id for skill in card.skills]

    def _send(self, client, parts, task, context=None, immediately=False):
        message = Message(
            message_id=str(uuid.uuid4()), role=Role.user, parts=[part_to_sdk(part) for part in parts],
            task_id=task.id if task else None, context_id=(task.context or None) if task else context,
        )
        return client.send_message(message, configuration=MessageSendConfiguration(blocking=not immediately))

    async def send(self, parts, task=None, context=None, immediately=False):
        answers = [answer async for answer in self._send(self.waiting, parts, task, context, immediately)]
        return task_from_sdk(answers[0][0])

    async def usual(self, parts):
        """What users hear who give the address and nothing else."""
        client = await ClientFactory.connect(self.url, ClientConfig(httpx_client=self.http))
        async for event in self._send(client, parts, None):
            yield event_from_sdk(event)

    async def stream(self, parts, task=None):
        async for event in self._send(self.streaming, parts, task):
            yield event_from_sdk(event)

    async def subscribe(self, task):
        async for event in self.streaming.resubscribe(TaskIdParams(id=task)):
            yield event_from_sdk(event)

    async def get(self, task, history=None):
        return task_from_sdk(await self.streaming.get_task(TaskQueryParams(id=task, history_length=history)))

    async def cancel(self, task):
        return task_from_sdk(await self.streaming.cancel_task(TaskIdParams(id=task)))

    def push(self, task):
        config = TaskPushNotificationConfig(
            task_id=task, push_notification_config=PushNotificationConfig(id="one", url=scenarios.WEBHOOK)
        )
        get = GetTaskPushNotificationConfigParams(id=task, push_notification_config_id="one")
        yield "set", lambda: self.streaming.set_task_callback(config)
        yield "get", lambda: self.streaming.get_task_callback(get)

    def failure(self, error):
        match error:
            case A2AClientJSONRPCError():
                return error.error.code
            case A2AClientHTTPError():
                return error.status_code
            case grpc.aio.AioRpcError():
                return error.code().name
            case _:
                return f"{type(error).__name__}: {error}"

    def told(self, error):
        return TOLD[error][BINDINGS.index(self.binding)] if error in TOLD else error



def with_headers(details, headers):
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *((name.lower(), value) for name, value in headers.items()))
    return details._replace(metadata=metadata)


class Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, headers):
        self.headers = headers

    async def intercept_unary_unary(self, call, details, request):
        return await call(with_headers(details, self.headers), request)


class Streaming(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, headers):
        self.headers = headers

    async def intercept_unary_stream(self, call, details, request):
        return await call(with_headers(details, self.headers), request)


if __name__ == "__main__":
    scenarios.main(Sdk)
