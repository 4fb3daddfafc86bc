"""The virus scanner: clamd's stream protocol (see clamd(8), INSTREAM and PING)."""

import asyncio
import struct

from pazpaz.settings import Settings

CHUNK_BYTES = 64 * 1024
TIMEOUT_S = 20


class ScannerFailed(Exception):
    """clamd could not be asked or did not give a verdict."""


class Scanner:
    """One clamd."""

    def __init__(self, settings: Settings) -> None:
        """Remember where clamd listens."""
        self.address = (settings.clamav_host, settings.clamav_port)

    async def _ask(self, *messages: bytes) -> str:
        async def talk() -> bytes:
            reader, writer = await asyncio.open_connection(*self.address)
            try:
                for message in messages:
                    writer.write(message)
                    await writer.drain()
                return await reader.read(4096)
            finally:
                writer.close()

        try:
            answer = await asyncio.wait_for(talk(), TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            raise ScannerFailed(f"clamd at {self.address[0]}: {type(error).__name__}") from error
        return answer.decode(errors="replace").strip("\0\n ")

    async def answers(self) -> None:
        """Return when clamd has answered a ping. Raise ScannerFailed."""
        if (answer := await self._ask(b"zPING\0")) != "PONG":
            raise ScannerFailed(f"unexpected answer {answer!r}")

    async def scan(self, content: bytes) -> str | None:
        """Return None for a clean content or clamd's `... FOUND` line. Raise ScannerFailed."""
        pieces = [content[i : i + CHUNK_BYTES] for i in range(0, len(content), CHUNK_BYTES)]
        framed = [struct.pack("!I", len(piece)) + piece for piece in pieces]
        answer = await self._ask(b"zINSTREAM\0", *framed, struct.pack("!I", 0))
        if answer.endswith("OK"):
            return None
        if answer.endswith("FOUND"):
            return answer
        raise ScannerFailed(f"no verdict: {answer!r}")
