"""The three bindings of A2A 1.0: an operation by its abstract name goes out, and comes back as an `Answer` without its envelope."""

import json
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote

import grpc
import httpx
from a2a.types import a2a_pb2, a2a_pb2_grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2, status_pb2

TIMEOUT = 30  # seconds for one operation, a stream included
# The reason of an error is the same in all bindings; what has none is known by its code.
REASONS = {
    "TASK_NOT_FOUND": "TaskNotFoundError", "TASK_NOT_CANCELABLE": "TaskNotCancelableError",
    "PUSH_NOTIFICATION_NOT_SUPPORTED": "PushNotificationNotSupportedError", "UNSUPPORTED_OPERATION": "UnsupportedOperationError",
    "CONTENT_TYPE_NOT_SUPPORTED": "ContentTypeNotSupportedError", "INVALID_AGENT_RESPONSE": "InvalidAgentResponseError",
    "EXTENDED_AGENT_CARD_NOT_CONFIGURED": "ExtendedCardNotSupportedError",
    "EXTENSION_SUPPORT_REQUIRED": "ExtensionSupportRequiredError", "VERSION_NOT_SUPPORTED": "VersionNotSupportedError",
}
CODES = {
    -32700: "JSONParseError", -32600: "InvalidRequestError", -32601: "MethodNotFoundError", -32602: "InvalidParamsError",
    -32603: "InternalError",
    400: "InvalidParamsError", 404: "MethodNotFoundError", 500: "InternalError",
    "INVALID_ARGUMENT": "InvalidParamsError", "UNIMPLEMENTED": "MethodNotFoundError", "INTERNAL": "InternalError",
}
# Abstract name: (method, request of protobuf, HTTP method, path). The corpus has two names for operations on push configs.
OPERATIONS = {
    "send_message": ("SendMessage", "SendMessageRequest", "POST", "/message:send"),
    "send_streaming_message": ("SendStreamingMessage", "SendMessageRequest", "POST", "/message:stream"),
    "get_task": ("GetTask", "GetTaskRequest", "GET", "/tasks/{id}"),
    "list_tasks": ("ListTasks", "ListTasksRequest", "GET", "/tasks"),
    "cancel_task": ("CancelTask", "CancelTaskRequest", "POST", "/tasks/{id}:cancel"),
    "subscribe_to_task": ("SubscribeToTask", "SubscribeToTaskRequest", "GET", "/tasks/{id}:subscribe"),
    "get_extended_agent_card": ("GetExtendedAgentCard", "GetExtendedAgentCardRequest", "GET", "/extendedAgentCard"),
    "create_push_config": (
        "CreateTaskPushNotificationConfig", "TaskPushNotificationConfig", "POST", "/tasks/{taskId}/pushNotificationConfigs"),
    "get_push_config": (
        "GetTaskPushNotificationConfig", "GetTaskPushNotificationConfigRequest", "GET", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "list_push_configs": (
        "ListTaskPushNotificationConfigs", "ListTaskPushNotificationConfigsRequest", "GET", "/tasks/{taskId}/pushNotificationConfigs"),
    "delete_push_config": (
        "DeleteTaskPushNotificationConfig", "DeleteTaskPushNotificationConfigRequest", "DELETE",
        "/tasks/{taskId}/pushNotificationConfigs/{id}"),
}
for name in ("create", "get", "list", "delete"):
    plural = "s" if name == "list" else ""
    OPERATIONS[f"{name}_push_notification_config{plural}"] = OPERATIONS[f"{name}_push_config{plural}"]
OPERATIONS["set_push_notification_config"] = OPERATIONS["create_push_config"]
STREAMING = {"send_streaming_message", "subscribe_to_task"}


@dataclass
class Answer:
    """A response: its body without envelope, or its error as `{"type", "message", "data"}`, or the events of a stream."""

    status: int = 200
    body: object = None
    error: dict | None = None
    events: list = field(default_factory=list)
    headers: dict = field(default_factory=dict)


def to_wire(operation, params):
    """Parameters as A2A has them: the corpus describes files, media types and places of messages in words of its own."""
    params = json.loads(json.dumps(params or {}))
    if "message" in params:
        fill_message(params["message"], params)
    if "cursor" in params:
        params["pageToken"] = params.pop("cursor")
    if "pushNotificationConfig" in params:
        params |= params.pop("pushNotificationConfig")
    if "push" in operation and "configId" in params:
        params["id"] = params.pop("configId")
    return params


def fill_message(message, params):
    message.setdefault("messageId", str(uuid.uuid4()))
    for name in ("taskId", "contextId"):
        if name in params:
            message[name] = params.pop(name)
    for part in message.get("parts", []):
        file = part.pop("file", None) if isinstance(part.get("file"), dict) else None
        if file:
            part |= {"filename" if key == "name" else key: value for key, value in file.items()}
        media_type = (part.get("metadata") or {}).get("contentType")
        if media_type:
            part["mediaType"] = media_type


def from_wire(value):
    """A response with the files in it as the corpus speaks of them too, beside what they are."""
    if isinstance(value, list):
        return [from_wire(one) for one in value]
    if not isinstance(value, dict):
        return value
    shown = {name: from_wire(one) for name, one in value.items()}
    if "filename" in value and ("raw" in value or "url" in value):
        file = {"name": value["filename"], "mediaType": value.get("mediaType", "")}
        shown |= {"file": file | {"raw": value["raw"]}} if "raw" in value else {"fileUrl": file | {"url": value["url"]}}
    return shown


def error_from(code, message, details):
    info = next((one for one in details or [] if str(one.get("@type", "")).endswith("ErrorInfo")), {})
    kind = REASONS.get(info.get("reason")) or CODES.get(code, str(code))
    return {"type": kind, "message": message, "data": info or None}


def events_of(text):
    """The data of every event of a stream of Server-Sent Events."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        data = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if data:
            found.append(json.loads("\n".join(data)))
    return found


class Http:
    """What both bindings of JSON share."""

    def __init__(self, base, interface, version):
        self.base, self.interface = base, interface.rstrip("/")
        self.client = httpx.Client(timeout=TIMEOUT, trust_env=False, headers={"A2A-Version": version})

    def raw(self, raw):
        headers = {"A2A-Version": None, **raw.get("headers", {})}
        body = raw.get("body_raw")
        if body is None and "body" in raw:
            content = json.loads(json.dumps(raw["body"]))
            message = (content.get("params") or content).get("message") if isinstance(content, dict) else None
            if isinstance(message, dict):
                fill_message(message, content.get("params") or {})
            body = json.dumps(content)
        # Without the header of the client where the step has none of its own.
        with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
            sent = {name: value for name, value in headers.items() if value is not None}
            response = client.request(raw["method"], self.base + raw["path"], headers=sent, content=body)
        answer = Answer(response.status_code, headers=dict(response.headers))
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            answer.events = events_of(response.text)
        else:
            answer.body = response.json() if response.content else {}
        return answer

    def get_card(self):
        response = self.client.get(self.base + "/.well-known/agent-card.json")
        return Answer(response.status_code, response.json(), headers=dict(response.headers))


class JsonRpc(Http):
    NAME, BINDING = "jsonrpc", "JSONRPC"

    def call(self, operation, params):
        method, *_ = OPERATIONS[operation]
        request = {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": method, "params": to_wire(operation, params)}
        response = self.client.post(self.interface, json=request)
        stream = response.headers.get("content-type", "").startswith("text/event-stream")
        envelopes = events_of(response.text) if stream else [response.json()]
        answer = Answer(response.status_code, headers=dict(response.headers))
        for envelope in envelopes:
            if "error" in envelope:
                error = envelope["error"]
                answer.error = error_from(error["code"], error["message"], error.get("data"))
                return answer
        results = [envelope["result"] for envelope in envelopes]
        answer.body, answer.events = results[-1], results if stream else []
        return answer


class Rest(Http):
    NAME, BINDING = "rest", "HTTP+JSON"

    def call(self, operation, params):
        _, _, method, path = OPERATIONS[operation]
        params = to_wire(operation, params)
        for name in ("id", "taskId"):
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", quote(str(params.pop(name, "")), safe=""))
        if method == "GET":
            shown = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in params.items()}
            response = self.client.get(self.interface + path, params=shown)
        else:
            response = self.client.request(method, self.interface + path, json=params)
        answer = Answer(response.status_code, headers=dict(response.headers))
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            answer.events = events_of(response.text)
            answer.body = answer.events[-1] if answer.events else None
        elif response.is_success:
            answer.body = response.json() if response.content else {}
        else:
            error = response.json().get("error", {})
            answer.error = error_from(response.status_code, error.get("message"), error.get("details"))
        return answer


class Grpc(Http):
    NAME, BINDING = "grpc", "GRPC"

    def __init__(self, base, interface, version):
        super().__init__(base, base, version)
        self.metadata = (("a2a-version", version),)
        self.stub = a2a_pb2_grpc.A2AServiceStub(grpc.insecure_channel(interface.removeprefix("http://").rstrip("/")))

    def call(self, operation, params):
        method, request, *_ = OPERATIONS[operation]
        message = ParseDict(to_wire(operation, params), getattr(a2a_pb2, request)(), ignore_unknown_fields=True)
        try:
            answered = getattr(self.stub, method)(message, metadata=self.metadata, timeout=TIMEOUT)
            if operation not in STREAMING:
                body = MessageToDict(answered)
                # An empty string that is always there is one that protobuf does not write.
                return Answer(body={"nextPageToken": "", **body} if operation == "list_tasks" else body)
            events = [MessageToDict(event) for event in answered]
            return Answer(body=events[-1] if events else None, events=events)
        except grpc.RpcError as error:
            return Answer(status=0, error=error_from(error.code().name, error.details(), details_of(error)))


def details_of(error):
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    yield {"@type": detail.type_url, "reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)}


BINDINGS = {binding.NAME: binding for binding in (JsonRpc, Rest, Grpc)}
