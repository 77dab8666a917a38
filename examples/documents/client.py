"""Sends a PDF to the agent `documents` with the official A2A SDK, and answers its question.

    pip install "a2a-sdk==1.3.0"
    python client.py report.pdf
    python client.py https://example.com/report.pdf --chunking "fixed 800 overlap 100" --url http://127.0.0.1:8080
"""

import argparse
import asyncio
import os
import uuid
from pathlib import Path

import httpx
from a2a.client import ClientConfig, create_client
from a2a.types import Message, Part, Role, SendMessageRequest, TaskState


def part_of(place):
    if place.startswith(("http://", "https://")):
        return Part(url=place, media_type="application/pdf")
    return Part(raw=Path(place).read_bytes(), filename=Path(place).name, media_type="application/pdf")


async def send(client, parts, task=None):
    """Sends a message, prints the events, and returns the task."""
    message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=parts)
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    async for event in client.send_message(SendMessageRequest(message=message)):
        if event.HasField("task"):
            task = event.task
        elif event.HasField("status_update"):
            task.status.CopyFrom(event.status_update.status)
            said = " ".join(part.text for part in task.status.message.parts if part.HasField("text"))
            print(f"{TaskState.Name(task.status.state).removeprefix('TASK_STATE_').lower()} {said}")
        elif event.HasField("artifact_update"):
            for part in event.artifact_update.artifact.parts:
                for chunk in part.data.struct_value["chunks"]:
                    print(f"  {chunk['id']:>8}  {chunk['text'][:60]!r}")
    return task


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pdf", help="a file, or the address of one")
    parser.add_argument("--chunking", help="such as \"by page\"; left out: the agent asks")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    arguments = parser.parse_args()

    key = os.environ.get("LONGHAUL_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # The SDK's default of 5 s between two events is short for a large document.
    async with httpx.AsyncClient(headers=headers, timeout=60) as connection:
        client = await create_client(arguments.url, ClientConfig(httpx_client=connection))
        parts = [part_of(arguments.pdf)]
        if arguments.chunking:
            parts.append(Part(text=arguments.chunking))
        task = await send(client, parts)
        while task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED:
            task = await send(client, [Part(text=input("> "))], task)


if __name__ == "__main__":
    asyncio.run(main())
