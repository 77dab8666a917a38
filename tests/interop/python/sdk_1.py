"""The Python SDK a2a-sdk 1.x, over any of its bindings, as 1.0 or through its compatibility layer for 0.3."""

import uuid

import grpc
import httpx
from a2a.client import ClientCallContext, ClientConfig, ClientFactory, create_client
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import (
    CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest,
    ListTaskPushNotificationConfigsRequest, ListTasksRequest, Message, Part, Role, SendMessageConfiguration, SendMessageRequest,
    SubscribeToTaskRequest, TaskPushNotificationConfig, TaskState,
)
from a2a.utils.errors import A2A_ERROR_REASONS
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value

import scenarios

PREFIX = "TASK_STATE_"


def part_to_sdk(part):
    kind, content, *rest = ("text", part) if isinstance(part, str) else part
    match kind:
        case "text":
            return Part(text=content)
        case "data":
            return Part(data=ParseDict(content, Value()))
        case _:
            name, media_type = rest
            return Part(**{kind: content}, filename=name, media_type=media_type)


def part_from_sdk(part):
    kind = part.WhichOneof("content")
    match kind:
        case "text":
            return kind, part.text
        case "data":
            return kind, MessageToDict(part.data)
        case _:
            return kind, getattr(part, kind), part.filename, part.media_type


def said(message):
    return "".join(part.text for part in message.parts)


def state_from_sdk(status):
    return TaskState.Name(status.state).removeprefix(PREFIX)


def artifact_from_sdk(artifact):
    return scenarios.Artifact(artifact.artifact_id, artifact.name, [part_from_sdk(part) for part in artifact.parts])


def task_from_sdk(task):
    return scenarios.Task(
        task.id, task.context_id, state_from_sdk(task.status), said(task.status.message),
        [artifact_from_sdk(artifact) for artifact in task.artifacts],
        [said(message) for message in task.history if message.role == Role.ROLE_USER],
    )


def event_from_sdk(event):
    match event.WhichOneof("payload"):
        case "task":
            return task_from_sdk(event.task)
        case "status_update":
            status = event.status_update.status
            return scenarios.Status(state_from_sdk(status), said(status.message))
        case "artifact_update":
            update = event.artifact_update
            return scenarios.Chunk(artifact_from_sdk(update.artifact), update.append, update.last_chunk)
        case kind:
            raise AssertionError(f"an event of kind {kind}")


class Sdk:
    impossible = []
    drops = ()
    PROTOCOL = "1.0"

    def __init__(self, urls, binding, protocol, key):
        # A subscription to an ended task is rejected, except in the protobuf form of 0.3, which returns the
        # task.
        self.of_ended = "COMPLETED" if protocol == "0.3" and binding != "JSONRPC" else "UNSUPPORTED_OPERATION"
        self.urls, self.binding, self.protocol = urls, binding, protocol
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # HTTP clients set headers; gRPC takes metadata with each call.
        self.headers, self.context = headers, ClientCallContext(service_parameters=headers)

    async def connect(self):
        self.url = next(self.urls)
        self.http = httpx.AsyncClient(headers=self.headers, timeout=scenarios.SCENARIO_TIMEOUT, trust_env=False)
        self.channels = []
        found = await A2ACardResolver(self.http, self.url).get_agent_card()
        self.found, self.used = found, type(found)()
        self.used.CopyFrom(found)
        # The SDK has preferences of its own; here it must use this binding in this version.
        del self.used.supported_interfaces[:]
        self.used.supported_interfaces.extend(
            interface for interface in found.supported_interfaces
            if (interface.protocol_binding, interface.protocol_version) == (self.binding, self.protocol)
        )
        self.streaming, self.waiting = self._client(True), self._client(False)

    def _client(self, streaming):
        config = ClientConfig(
            httpx_client=self.http, grpc_channel_factory=self._channel, supported_protocol_bindings=[self.binding],
            streaming=streaming,
        )
        return ClientFactory(config).create(self.used)

    def _channel(self, url):
        channel = grpc.aio.insecure_channel(url.removeprefix("http://").rstrip("/"))
        self.channels.append(channel)
        return channel

    async def close(self):
        await self.http.aclose()
        for channel in self.channels:
            await channel.close(None)

    async def cut(self):
        """Closes every connection; later calls open a new one."""
        await self.close()
        await self.connect()

    async def card(self):
        interfaces = [[interface.protocol_binding, interface.protocol_version, interface.url]
                      for interface in self.found.supported_interfaces]
        return {
            "name": self.found.name, "skills": [skill.id for skill in self.found.skills],
            "streaming": self.found.capabilities.streaming, "interfaces": interfaces,
        }

    async def extended(self):
        scenarios.equal(self.found.capabilities.extended_agent_card, True, "what the public card says")
        # Without the capability, the SDK returns the public card without a request.
        card = await self.waiting.get_extended_agent_card(GetExtendedAgentCardRequest(), context=self.context)
        return card.name, [skill.id for skill in card.skills]

    def _request(self, parts, task, context, immediately=False):
        message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=[part_to_sdk(part) for part in parts])
        if task:
            message.task_id, message.context_id = task.id, task.context
        if context:
            message.context_id = context
        configuration = SendMessageConfiguration(return_immediately=immediately)
        return SendMessageRequest(message=message, configuration=configuration)

    async def send(self, parts, task=None, context=None, immediately=False):
        request = self._request(parts, task, context, immediately)
        answers = [event async for event in self.waiting.send_message(request, context=self.context)]
        return task_from_sdk(answers[0].task)

    async def send_with_defaults(self, parts):
        """Sends with default settings, given only the address."""
        client = await create_client(self.url, ClientConfig(httpx_client=self.http))
        async for event in client.send_message(self._request(parts, None, None), context=self.context):
            yield event_from_sdk(event)

    async def stream(self, parts, task=None):
        request = self._request(parts, task, None)
        async for event in self.streaming.send_message(request, context=self.context):
            yield event_from_sdk(event)

    async def subscribe(self, task):
        async for event in self.streaming.subscribe(SubscribeToTaskRequest(id=task), context=self.context):
            yield event_from_sdk(event)

    async def get(self, task, history=None):
        request = GetTaskRequest(id=task, history_length=history)
        return task_from_sdk(await self.streaming.get_task(request, context=self.context))

    async def list(self, context, size=None, token="", state=None):
        request = ListTasksRequest(context_id=context, page_size=size, page_token=token, status=state and PREFIX + state)
        page = await self.streaming.list_tasks(request, context=self.context)
        return [task_from_sdk(task) for task in page.tasks], page.next_page_token, page.total_size

    async def cancel(self, task):
        return task_from_sdk(await self.streaming.cancel_task(CancelTaskRequest(id=task), context=self.context))

    def push(self, task):
        client, named = self.streaming, {"task_id": task, "id": "one"}
        config = TaskPushNotificationConfig(**named, url=scenarios.WEBHOOK)
        get, delete = GetTaskPushNotificationConfigRequest(**named), DeleteTaskPushNotificationConfigRequest(**named)
        several = ListTaskPushNotificationConfigsRequest(task_id=task)
        yield "create", lambda: client.create_task_push_notification_config(config, context=self.context)
        yield "get", lambda: client.get_task_push_notification_config(get, context=self.context)
        if self.protocol == "1.0":
            yield "list", lambda: client.list_task_push_notification_configs(several, context=self.context)
            yield "delete", lambda: client.delete_task_push_notification_config(delete, context=self.context)

    def failure(self, error):
        return A2A_ERROR_REASONS.get(type(error)) or f"{type(error).__name__}: {error}"

    def error_name(self, error):
        return error



if __name__ == "__main__":
    scenarios.main(Sdk)
