"""The Python SDK a2a-sdk 0.3.x, over any of its bindings."""

from importlib.metadata import version

import grpc
import httpx
from a2a.client import A2ACardResolver, A2AClientHTTPError, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientJSONRPCError
from a2a.types import (
    GetTaskPushNotificationConfigParams, PushNotificationConfig, TaskIdParams, TaskPushNotificationConfig, TaskQueryParams,
)

import scenarios
from types_0_3 import message_to_sdk, task_from_sdk, update_from_sdk

# Form of errors by binding: their code, the HTTP status, or the gRPC status.
TOLD = {
    "TASK_NOT_FOUND": (-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (-32004, 400, "FAILED_PRECONDITION"),
    "INVALID_PARAMS": (-32602, 400, "INVALID_ARGUMENT"),
}
BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]


class Sdk:
    impossible = []
    drops = ()
    PROTOCOL = "0.3"

    def __init__(self, urls, binding, protocol, key):
        # A subscription to an ended task is rejected, except in the protobuf form of 0.3, which returns the
        # task.
        self.of_ended = "COMPLETED" if protocol == "0.3" and binding != "JSONRPC" else "UNSUPPORTED_OPERATION"
        self.urls, self.binding = urls, binding
        if version("a2a-sdk") == "0.3.0":
            # Its protobuf has no file names yet; its JSON parser rejects unknown members.
            lost = {"JSONRPC": (), "HTTP+JSON": ("file labels", "named files"), "GRPC": ("file labels", "history length")}
            self.drops = lost[binding]
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def connect(self):
        self.url = next(self.urls)
        self.http = httpx.AsyncClient(headers=self.headers, timeout=scenarios.SCENARIO_TIMEOUT, trust_env=False)
        self.channels = []
        self.found = await A2ACardResolver(self.http, self.url).get_agent_card()
        self.streaming, self.waiting = self._client(streaming=True), self._client(streaming=False)
        self.sending = self._client(streaming=False, polling=True)

    def _client(self, **ways):
        config = ClientConfig(
            httpx_client=self.http, grpc_channel_factory=self._channel, supported_transports=[self.binding], **ways
        )
        return ClientFactory(config).create(self.found)

    def _channel(self, url):
        # This SDK sends no metadata with its calls, so the channel adds the key.
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
        """Closes every connection; later calls open a new one."""
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

    async def send(self, parts, task=None, context=None, immediately=False):
        client = self.sending if immediately else self.waiting
        answers = [answer async for answer in client.send_message(message_to_sdk(parts, task, context))]
        return task_from_sdk(answers[0][0])

    async def send_with_defaults(self, parts):
        """Sends with default settings, given only the address (or the card, before there was such a call)."""
        config = ClientConfig(httpx_client=self.http)
        if hasattr(ClientFactory, "connect"):
            client = await ClientFactory.connect(self.url, config)
        else:
            client = ClientFactory(config).create(self.found)
        async for task, update in client.send_message(message_to_sdk(parts, None, None)):
            yield update_from_sdk(update or task)

    async def stream(self, parts, task=None):
        async for task, update in self.streaming.send_message(message_to_sdk(parts, task, None)):
            yield update_from_sdk(update or task)

    async def subscribe(self, task):
        async for task, update in self.streaming.resubscribe(TaskIdParams(id=task)):
            yield update_from_sdk(update or task)

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

    def error_name(self, error):
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
