"""One log line a request: method, path, status, duration; ERROR from 500 up."""

import logging
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("pazpaz.access")
LEVELS = {4: logging.WARNING, 5: logging.ERROR}


class AccessLog:
    """ASGI middleware; also gives each answer an X-Request-Id that the line repeats."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = uuid.uuid4().hex[:12]
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            duration_ms = round((time.perf_counter() - started) * 1000, 1)
            level = LEVELS.get(status // 100, logging.INFO)
            message = f"{scope['method']} {scope['path']} {status} {duration_ms} ms"
            extra = {"method": scope["method"], "path": scope["path"], "status": status}
            log.log(level, message, extra={**extra, "duration_ms": duration_ms, "request_id": request_id})
