"""The agent: runs on the server, fed over the SSH channel's standard input, and leaves nothing behind.

It is given commands as JSON, hands each argv list to execve (no shell, so no quoting), runs them side by side, and
answers each as soon as it ends. Nothing but Python 3.6 and its standard library is used, since this runs on servers
that may be old. It is never imported there: `channel.py` sends this file's text. Hence annotations in quotes only.

Frames, in both directions: one line of JSON in ASCII. The first line out is the greeting with the nonce that came in,
so that whatever a login shell printed before (a banner of .bashrc) is told apart.

    in   {"id": 1, "argv": [...], "stdin": base64, "timeout": 30, "sudo": false, "changes": false, "limit": 1000, "stream": false}
         {"cancel": 1}      {"ping": 7}
    out  {"hello": nonce, "python": "3.13.0"}      {"pong": 7}      {"id": 1, "chunk": base64}
         {"id": 1, "code": 0, "out": base64, "err": base64, "seconds": 0.01, "timed_out": false, "truncated": false, "sudo_refused": false}

Longer than 300 lines: it is sent to the server as one file.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    Message = dict[str, Any]

AT_ONCE = 8
GRACE_SECONDS = 2
# sudo remembers a password by session and parent, so what it runs stays in our session and only has a group of its own
OWN_GROUP: "Any" = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
SUDO_SHELL = 'while IFS= read -r line; do [ "$line" = "$0" ] && break; done; printf "%s\\n" "$0" >&2; exec "$@"'


class Agent:
    """One connection's agent."""

    def __init__(self, nonce: str, password: "bytes | None", source: "IO[bytes]", sink: "IO[bytes]") -> None:
        self.nonce = nonce
        self.password = password
        self.source = source
        self.sink = sink
        self.writing = threading.Lock()
        self.slots = threading.Semaphore(AT_ONCE)
        self.sudo_first = threading.Lock()
        self.sudo_state = "untried"
        self.running = {}  # type: dict[int, subprocess.Popen[bytes]]
        self.cancelled = set()  # type: set[int]
        self.environment = dict(
            os.environ,
            LC_ALL="C.UTF-8",
            LANG="C.UTF-8",
            LANGUAGE="",
            TERM="dumb",
            NO_COLOR="1",
            PAGER="cat",
            SYSTEMD_PAGER="",
            DEBIAN_FRONTEND="noninteractive",
        )
        self.environment["PATH"] = (
            os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin"
        )

    def send(self, message: "Message") -> None:
        """Write one frame."""
        line = json.dumps(message).encode("ascii") + b"\n"
        with self.writing:
            self.sink.write(line)
            self.sink.flush()

    def serve(self) -> None:
        """Answer frames until the operator's side closes."""
        self.sink.write(b"\n")  # a login shell may have printed the beginning of a line
        self.send({"hello": self.nonce, "python": sys.version.split()[0]})
        workers = []  # type: list[tuple[threading.Thread, Message]]
        for line in self.source:
            message = json.loads(line.decode("ascii"))
            if "ping" in message:
                self.send({"pong": message["ping"]})
            elif "cancel" in message:
                self.cancel(message["cancel"])
            else:
                worker = threading.Thread(target=self.work, args=(message,))
                worker.daemon = True
                worker.start()
                workers = [item for item in workers if item[0].is_alive()] + [(worker, message)]
        # the operator's side is gone: what only reads is stopped, what changes is left to end
        for _worker, message in workers:
            if not message.get("changes"):
                self.cancel(message["id"])
        for worker, message in workers:
            if message.get("changes"):
                worker.join()

    def work(self, message: "Message") -> None:
        """Run one command and answer it."""
        try:
            with self.slots:
                answer = (
                    self.run_as_root(message)
                    if message.get("sudo")
                    else self.run(message, message["argv"], base64.b64decode(message.get("stdin", "")))
                )
            answer["id"] = message["id"]
            self.send(answer)
        except (OSError, ValueError):
            pass  # nobody is listening any more

    def run_as_root(self, message: "Message") -> "Message":
        """Run one command through sudo; the password goes over standard input only."""
        payload = base64.b64decode(message.get("stdin", ""))
        timeout = message.get("timeout", 30)
        # root's processes cannot be signalled by us, so timeout(1) runs beside them as root
        inner = ["/bin/sh", "-c", SUDO_SHELL, self.nonce, "timeout", "-k", str(GRACE_SECONDS), str(timeout)] + message[
            "argv"
        ]
        mark = (self.nonce + "\n").encode("ascii")
        if self.password is None:
            argv, stdin = ["sudo", "-n", "--", *inner], mark + payload
        else:
            # the shell swallows the password's line where sudo did not ask for it (NOPASSWD), so no command can read it
            # (or kept in mind that it had been given: without -k, since every check of a password costs 0.2 s of processor)
            argv, stdin = ["sudo", "-S", "-p", "", "--", *inner], self.password + b"\n" + mark + payload
        with self.sudo_first:
            if self.sudo_state == "refused":  # asking again could lock the account
                return self.answer(
                    1, b"", b"sudo has refused before in this connection; not asked again\n", 0.0, sudo_refused=True
                )
            if self.sudo_state == "untried":
                return self.sudo(message, argv, stdin, timeout, mark)
        return self.sudo(message, argv, stdin, timeout, mark)

    def sudo(self, message: "Message", argv: "list[str]", stdin: bytes, timeout: float, mark: bytes) -> "Message":
        """Run sudo and tell whether it let the command begin (its mark on stderr)."""
        answer = self.run(dict(message, timeout=timeout + 2 * GRACE_SECONDS), argv, stdin, mark)
        if answer.pop("begun"):
            self.sudo_state = "granted"
            answer["timed_out"] = answer["timed_out"] or (answer["code"] in (124, 137) and answer["seconds"] >= timeout)
        elif not answer["timed_out"]:
            answer["sudo_refused"] = True
            told = base64.b64decode(answer["err"])
            if b"not allowed" not in told and b"not in the sudoers" not in told:
                self.sudo_state = "refused"
        return answer

    def run(self, message: "Message", argv: "list[str]", stdin: bytes, mark: "bytes | None" = None) -> "Message":
        """Give an argv list to execve and wait for its end, at most its timeout."""
        started = time.time()
        group: Any = OWN_GROUP if mark else {"start_new_session": True}
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment,
                cwd="/",
                **group,
            )
        except OSError as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            answer = self.answer(
                code, b"", f"{argv[0]}: {error.strerror}\n".encode("utf-8", "replace"), time.time() - started
            )
            return dict(answer, begun=False) if mark else answer
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 (all three are pipes: this tells the type checker)
        self.running[message["id"]] = process
        if message["id"] in self.cancelled:  # the cancel came before the start
            self.kill(process)
        limit = message.get("limit", 8 << 20)
        out, err = Stream(process.stdout, limit, self.chunks(message)), Stream(process.stderr, limit, None)
        threading.Thread(target=feed, args=(process.stdin, stdin), daemon=True).start()
        timed_out = False
        deadline = started + message.get("timeout", 30)
        try:
            process.wait(timeout=max(0, deadline - time.time()))
        except subprocess.TimeoutExpired:
            timed_out = True
            self.kill(process)
        # a background child may hold the pipes open for ever: what came until shortly after the end counts
        patience = time.time() + max(0.5, min(GRACE_SECONDS, deadline - time.time()))
        for stream in (out, err):
            stream.join(max(0.0, patience - time.time()))
        self.running.pop(message["id"], None)
        errors, begun = err.taken(), False
        if mark and mark in errors:
            begun, errors = True, errors.split(mark, 1)[1]
        answer = self.answer(
            process.returncode,
            out.taken(),
            errors,
            time.time() - started,
            timed_out=timed_out,
            truncated=out.cut or err.cut,
        )
        return dict(answer, begun=begun) if mark else answer

    def chunks(self, message: "Message") -> "Callable[[bytes], None] | None":
        """Return what passes output on as it comes, where that was asked for."""
        if not message.get("stream"):
            return None
        return lambda data: self.send({"id": message["id"], "chunk": base64.b64encode(data).decode("ascii")})

    @staticmethod
    def answer(
        code: int,
        out: bytes,
        err: bytes,
        seconds: float,
        *,
        timed_out: bool = False,
        truncated: bool = False,
        sudo_refused: bool = False,
    ) -> "Message":
        """Return the answer's frame, without its id."""
        return {
            "code": code,
            "out": base64.b64encode(out).decode("ascii"),
            "err": base64.b64encode(err).decode("ascii"),
            "seconds": round(seconds, 4),
            "timed_out": timed_out,
            "truncated": truncated,
            "sudo_refused": sudo_refused,
        }

    def cancel(self, number: int) -> None:
        """Stop a command, now or as soon as it starts."""
        self.cancelled.add(number)
        process = self.running.get(number)
        if process is not None:
            threading.Thread(target=self.kill, args=(process,), daemon=True).start()

    @staticmethod
    def kill(process: "subprocess.Popen[bytes]") -> None:
        """End a whole process group: TERM, then KILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except OSError:
                process.terminate()
            try:
                process.wait(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return


class Stream(threading.Thread):
    """Reads one output to its end, keeps `limit` bytes, passes chunks on."""

    def __init__(self, pipe: "IO[bytes]", limit: int, passed: "Callable[[bytes], None] | None") -> None:
        threading.Thread.__init__(self, daemon=True)
        self.pipe = pipe
        self.limit = limit
        self.passed = passed
        self.kept = []  # type: list[bytes]
        self.size = 0
        self.cut = False
        self.start()

    def run(self) -> None:
        while True:
            try:
                data = os.read(self.pipe.fileno(), 65536)
            except (OSError, ValueError):
                return
            if not data:
                return
            if self.passed is not None:
                self.passed(data)
            if self.size < self.limit:
                self.kept.append(data[: self.limit - self.size])
            self.size += len(data)
            self.cut = self.cut or self.size > self.limit

    def taken(self) -> bytes:
        """Return what was kept."""
        return b"".join(self.kept)


def feed(pipe: "IO[bytes]", data: bytes) -> None:
    """Write `data` to a program's standard input and close it; a program that does not read it is no error."""
    try:
        if data:
            pipe.write(data)
        pipe.close()
    except OSError:
        pass


def main() -> None:
    """Read the greeting line (nonce and sudo password) and serve."""
    greeting = json.loads(sys.stdin.buffer.readline().decode("ascii"))
    password = greeting.get("password")
    Agent(
        greeting["nonce"], None if password is None else base64.b64decode(password), sys.stdin.buffer, sys.stdout.buffer
    ).serve()
