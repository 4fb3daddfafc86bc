"""A plan as plain shell text, for a terminal without Python: pasted, it does what `apply` does.

The text is for bash, on the server, as the login user. It stops at the first step that fails.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runbook.changes import lock
from runbook.commands import Command, quote
from runbook.facts import STATE_FOLDER

if TYPE_CHECKING:
    from runbook.changes.plan import Plan, Step

HERE_DOCUMENT = "RUNBOOK_SCRIPT"
HOLDER = f'{{"operator": "%s", "machine": "%s", "notebook": "{lock.BY_HAND}", "run": "%s", "since": "%s"}}'
NO_INPUT = " </dev/null"  # as a step has it: a program that reads its input must not swallow what was pasted


def shell_text(plan: Plan) -> str:
    """Given a plan, return it as shell text, each step with its reason above and its undo, as comments."""
    lines = [
        f"# {plan.sentence}",
        f"# Plan {plan.digest[:12]} for {plan.target}. Log in to the server, then paste all of it into bash.",
        *(f"# Would be lost or freed: {line}" for line in plan.losses),
        *(f"# Note: {line}" for line in plan.notes),
    ]
    if not plan.steps:
        return "\n".join([*lines, ""])
    undo = [line for step in reversed(plan.steps) for taken in step.undo for line in _undo(taken)]
    if undo:
        framed = _framed(plan, undo, "it is taken back")
        lines += [
            "# To take it back, paste the lines below without their leading '#| '.",
            *(f"#| {line}" for line in "\n".join(framed).splitlines()),
        ]
    body = [line for number, step in enumerate(plan.steps, start=1) for line in ("", *_step(number, step))]
    return "\n".join([*lines, *_framed(plan, [*body, ""], f"all {len(plan.steps)} steps are done")])


def _framed(plan: Plan, body: list[str], said: str) -> list[str]:
    """Put a subshell around lines, which holds the lock where they change something.

    It is read whole before it runs: a step that fails ends the text and not the login, and a password that sudo asks for is
    not read from what was pasted. Hence nothing stands behind it.
    """
    return ["(", "set -eu", *(_locked(plan) if plan.changes else ()), *body, f"echo {quote([said])}", ")"]


def _locked(plan: Plan) -> list[str]:
    """Return the lines that take the lock as a run does, or say who holds it, and give it back however the subshell ends."""
    take = Command(("bash", "-c", lock.TAKE, "take-lock", STATE_FOLDER, lock.PLACE), sudo=True)
    release = Command(("bash", "-c", lock.RELEASE, "release-lock", lock.PLACE), sudo=True)
    taking, giving = _with(take, '"$run" "$holder"'), _with(release, '"$run"')
    held = f"{plan.target} is being changed by another, so nothing was done; if that has died, look at the server, then: sudo rm {lock.PLACE}"
    return [
        "",
        "# One at a time: take the lock as ./runbook does; it is given back at the end.",
        f"run={quote([plan.stamp])}--by-hand-$$",
        f'holder=$(printf \'{HOLDER}\' "$(id -un)" "$(uname -n)" "$run" "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)")',
        f"said=$({taking}) || {{ printf '%s\\n' \"$said\" {quote([held])} >&2; exit 1; }}",
        "give_back() {",
        f"{giving} >/dev/null || echo {quote([f'the lock stays: {lock.PLACE}'])} >&2",
        "}",
        "trap give_back EXIT",
    ]


def _with(command: Command, words: str) -> str:
    """Return a command's text with words behind it that the shell fills in."""
    return f"{text_of(command).removesuffix(NO_INPUT)} {words}{NO_INPUT}"


def _step(number: int, step: Step) -> list[str]:
    head = f"# {number}. {step.command.why or step.name} [{step.kind}]"
    about = [text for text in (step.affects and f"affects {step.affects}", step.undo_text and f"undo: {step.undo_text}") if text]  # fmt: skip
    lines = [head, *(f"#    {text}" for text in about), f"echo {quote([f'{number}. {step.name}'])}"]
    if step.local is not None:
        return [*lines, f"echo {quote([f'   now on your own machine: {text_of(step.command)}'])}"]
    body = _body(step)
    if step.done is not None:
        return [*lines, f"if {text_of(step.done)} >/dev/null 2>&1; then echo '   done already'; else", body, "fi"]
    return [*lines, body]


def _undo(step: Step) -> list[str]:
    return [f"# {step.command.why or step.name}", _body(step)]


def _body(step: Step) -> str:
    text = text_of(step.command)
    if step.stdin_secret:
        text = text.removesuffix(NO_INPUT)
        text = f"printf 'secret of {step.stdin_secret}, then Enter: ' >&2; IFS= read -rs secret </dev/tty; echo >&2; printf '%s' \"$secret\" | {text}; unset secret"
    if step.within_seconds is not None:
        times = max(1, math.ceil(step.within_seconds))
        return (
            f"for attempt in $(seq {times}); do if {text} >/dev/null 2>&1; then break; fi; "
            f"if [ $attempt = {times} ]; then echo {quote([f'{step.name}: not true after {times} s'])} >&2; exit 1; fi; sleep 1; done"
        )
    accepted = [code for code in step.command.expect if code != 0]
    if accepted:
        return f"{text} || case $? in {'|'.join(map(str, accepted))}) ;; *) exit 1;; esac"
    return text


def text_of(command: Command) -> str:
    """Given a command, return shell text that runs it; a script's text stays readable in a here-document."""
    prefix = "sudo " if command.sudo else ""
    argv = command.argv
    if len(argv) > 2 and argv[0] in {"bash", "sh"} and argv[1] == "-c" and "\n" in argv[2].strip():  # noqa: PLR2004 (shell, -c, script)
        script = argv[2].strip("\n")
        rest = f" {quote(argv[3:])}" if len(argv) > 3 else ""  # noqa: PLR2004 (as above)
        text = f"{prefix}{argv[0]} -c \"$(cat <<'{HERE_DOCUMENT}'\n{script}\n{HERE_DOCUMENT}\n)\"{rest}"
    else:
        text = prefix + quote(argv)
    if command.stdin:
        return f"{text} <<'{HERE_DOCUMENT}_IN'\n{command.stdin.rstrip()}\n{HERE_DOCUMENT}_IN"
    return text + NO_INPUT
