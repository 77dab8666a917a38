"""The Python SDK a2a-sdk 0.2.x, whose JSON-RPC client takes whole requests."""

import json
import uuid

import httpx
from a2a.client import A2ACardResolver, A2AClient
from a2a.types import (
    CancelTaskRequest, GetTaskPushNotificationConfigParams, GetTaskPushNotificationConfigRequest, GetTaskRequest, JSONRPCErrorResponse,
    MessageSendConfiguration, MessageSendParams, PushNotificationConfig, SendMessageRequest, SendStreamingMessageRequest,
    SendStreamingMessageResponse, SetTaskPushNotificationConfigRequest, TaskIdParams, TaskPushNotificationConfig, TaskQueryParams,
    TaskResubscriptionRequest,
)
from httpx_sse import aconnect_sse

import scenarios
from types_0_3 import message_to_sdk, task_from_sdk, update_from_sdk

CODES = {
    "TASK_NOT_FOUND": -32001, "TASK_NOT_CANCELABLE": -32002, "PUSH_NOTIFICATION_NOT_SUPPORTED": -32003,
    "UNSUPPORTED_OPERATION": -32004, "INVALID_PARAMS": -32602,
}


class Refused(Exception):
    pass


def result(response):
    if isinstance(response.root, JSONRPCErrorResponse):
        raise Refused(response.root.error.code)
    return response.root.result


def request(kind, params):
    return kind(id=str(uuid.uuid4()), params=params)


class Sdk:
    PROTOCOL = "0.3"
    impossible = []
    drops = ()
    of_ended = "UNSUPPORTED_OPERATION"

    def __init__(self, urls, _binding, _protocol, key):
        self.urls, self.headers = urls, {"Authorization": f"Bearer {key}"} if key else {}

    async def connect(self):
        self.http = httpx.AsyncClient(headers=self.headers, timeout=scenarios.SCENARIO_TIMEOUT, trust_env=False)
        self.found = await A2ACardResolver(self.http, next(self.urls)).get_agent_card()
        self.client = A2AClient(self.http, agent_card=self.found)

    async def close(self):
        await self.http.aclose()

    async def cut(self):
        """Closes every connection; later calls open a new one."""
        await self.close()
        await self.connect()

    async def card(self):
        card = self.found
        return {
            "name": card.name, "skills": [skill.id for skill in card.skills], "streaming": card.capabilities.streaming,
            "protocol": card.protocol_version, "interfaces": [[card.preferred_transport, card.url]],
        }

    def _params(self, parts, task, context=None, immediately=False):
        configuration = MessageSendConfiguration(accepted_output_modes=[], blocking=not immediately)
        return MessageSendParams(message=message_to_sdk(parts, task, context), configuration=configuration)

    async def send(self, parts, task=None, context=None, immediately=False):
        params = self._params(parts, task, context, immediately)
        return task_from_sdk(result(await self.client.send_message(request(SendMessageRequest, params))))

    async def stream(self, parts, task=None):
        sent = request(SendStreamingMessageRequest, self._params(parts, task))
        async for response in self.client.send_message_streaming(sent):
            yield update_from_sdk(result(response))

    send_with_defaults = stream

    async def subscribe(self, task):
        """Sends the request itself, like the client's streaming calls: the client has no method for it."""
        sent = request(TaskResubscriptionRequest, TaskIdParams(id=task)).model_dump(mode="json", exclude_none=True)
        async with aconnect_sse(self.http, "POST", self.client.url, json=sent, timeout=None) as source:
            async for event in source.aiter_sse():
                yield update_from_sdk(result(SendStreamingMessageResponse.model_validate(json.loads(event.data))))

    async def get(self, task, history=None):
        params = TaskQueryParams(id=task, history_length=history)
        return task_from_sdk(result(await self.client.get_task(request(GetTaskRequest, params))))

    async def cancel(self, task):
        return task_from_sdk(result(await self.client.cancel_task(request(CancelTaskRequest, TaskIdParams(id=task)))))

    def push(self, task):
        config = TaskPushNotificationConfig(
            task_id=task, push_notification_config=PushNotificationConfig(id="one", url=scenarios.WEBHOOK)
        )
        get = GetTaskPushNotificationConfigParams(id=task, push_notification_config_id="one")
        yield "set", lambda: self._ask(self.client.set_task_callback, SetTaskPushNotificationConfigRequest, config)
        yield "get", lambda: self._ask(self.client.get_task_callback, GetTaskPushNotificationConfigRequest, get)

    async def _ask(self, call, kind, params):
        return result(await call(request(kind, params)))

    def failure(self, error):
        return error.args[0] if isinstance(error, Refused) else f"{type(error).__name__}: {error}"

    def error_name(self, error):
        return CODES[error]


if __name__ == "__main__":
    scenarios.main(Sdk)
