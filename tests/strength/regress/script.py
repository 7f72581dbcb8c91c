"""Reads psql scripts as psql does: statements, COPY data, variables, and the few commands that matter to a session."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

_WORD = re.compile(r"[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*")
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$")
_VARIABLE = re.compile(r":(\{\?\w+\}|'\w+'|\"\w+\"|\w+)")
_COPY_IN = re.compile(r"(?is)\s*copy\b.*\bfrom\s+stdin\b")
_SENDING = ("g", "gx", "gset", "gexec", "gdesc", "crosstabview", "watch")


@dataclass(frozen=True)
class Step:
    """What psql would do next: `send` a text (with the lines of a COPY), or `connect` anew.

    `then`: gset (with its prefix in `argument`) and gexec, which use the answer.
    """

    kind: str
    text: str = ""
    line: int = 0
    copy: tuple[bytes, ...] | None = None
    then: str = ""
    argument: str = ""


class Script:
    """The steps of one file. `variables` may change while the steps are taken (by gset)."""

    def __init__(self, text: str, variables: MutableMapping[str, str], environment: MutableMapping[str, str]) -> None:
        self._text = text
        self._at = 0
        self._variables = variables
        self._environment = environment
        self._skipping: list[bool] = []  # one a \if that is open
        self._buffer = ""
        self._begun = 0
        self._clear()

    def _clear(self) -> None:
        self._buffer = ""
        self._depth = 0
        self._words: list[str] = []
        self._atomic = 0

    def steps(self) -> Iterator[Step]:
        while self._at < len(self._text):
            step = self._next()
            if step is not None:
                if step.kind == "quit":
                    return
                yield step
        if self._buffer.strip():
            yield self._send()

    def _next(self) -> Step | None:
        """Takes the next piece of the text; a step where it ends one."""
        text, at = self._text, self._at
        char = text[at]
        if not self._buffer.strip():
            self._begun = at
        if char in "'\"":
            escapes = char == "'" and text[at - 1 : at] in ("e", "E") and not text[at - 2 : at - 1].isalnum()
            self._take(_quoted(text, at, char, escapes))
        elif text.startswith("--", at):
            end = text.find("\n", at)
            self._take(len(text) if end < 0 else end)
        elif text.startswith("/*", at):
            self._take(_commented(text, at))
        elif char == "$" and (tag := _DOLLAR.match(text, at)) and not text[at - 1 : at].isalnum():
            end = text.find(tag[0], tag.end())
            self._take(len(text) if end < 0 else end + len(tag[0]))
        elif char == "\\":
            return self._command()
        elif char == ":" and text[at + 1 : at + 2] != ":" and text[at - 1 : at] != ":":
            self._variable()
        elif char == ";" and self._depth == 0 and self._atomic == 0:
            self._at += 1
            return self._send(";") if not any(self._skipping) else self._clear()
        elif word := _WORD.match(text, at):
            self._word(word[0].lower())
            self._take(word.end())
        else:
            self._depth = max(0, self._depth + (char in "([") - (char in ")]"))
            self._take(at + 1)
        return None

    def _take(self, end: int) -> None:
        self._buffer += self._text[self._at : end]
        self._at = end

    def _word(self, word: str) -> None:
        """Notes the bodies of SQL functions, in which a semicolon ends nothing."""
        self._words.append(word)
        words = [w for w in self._words[:4] if w not in ("or", "replace")]
        if words[:1] == ["create"] and words[1:2] in (["function"], ["procedure"]):
            if word == "begin" or (word == "case" and self._atomic):
                self._atomic += 1
            elif word == "end" and self._atomic:
                self._atomic -= 1

    def _variable(self) -> None:
        found = _VARIABLE.match(self._text, self._at)
        value = None if found is None else self._value(found[1])
        if found is None or value is None:
            self._take(self._at + 1)
            return
        self._buffer += value
        self._at = found.end()

    def _value(self, name: str) -> str | None:
        if name.startswith("{?"):
            return "true" if name[2:-1] in self._variables else "false"
        if name[0] in "'\"":
            value = self._variables.get(name[1:-1])
            return None if value is None else name[0] + value.replace(name[0], name[0] * 2) + name[0]
        return self._variables.get(name)

    def _send(self, end: str = "", then: str = "", argument: str = "") -> Step | None:
        text = self._buffer.strip() + end
        line = self._text.count("\n", 0, self._begun) + 1
        self._clear()
        if text == ";" or not text:
            return None
        copy = None
        if _COPY_IN.match(re.sub(r"--[^\n]*", "", text)):
            copy = self._copy_lines()
        return Step("send", text, line, copy, then, argument)

    def _copy_lines(self) -> tuple[bytes, ...]:
        """The rows that follow, from the next line on."""
        start = self._text.find("\n", self._at) + 1
        lines = []
        while start and start < len(self._text):
            end = self._text.find("\n", start) + 1 or len(self._text)
            line = self._text[start:end]
            start = end
            if line.rstrip("\n") == "\\.":
                break
            lines.append(line.encode())
        self._at = start or len(self._text)
        return tuple(lines)

    def _command(self) -> Step | None:
        if self._text.startswith("\\;", self._at):
            self._buffer += ";"
            self._at += 2
            return None
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        whole = self._text[self._at + 1 : end]
        name, _, rest = whole.partition(" ")
        if "\\\\" in rest:  # the rest of the line is SQL again
            rest, _, _ = rest.partition("\\\\")
            end = self._text.find("\\\\", self._at) + 2
        self._at = end
        name = name.strip()
        if name in ("if", "elif", "else", "endif"):
            return self._condition(name, rest)
        if any(self._skipping):
            return None
        arguments = self._arguments(rest)
        if name in _SENDING or name.startswith("g "):
            return self._send("", name, arguments[0] if arguments else "")
        if name in ("set", "getenv"):
            if name == "set" and arguments:
                self._variables[arguments[0]] = "".join(arguments[1:])
            elif len(arguments) == 2 and arguments[1] in self._environment:
                self._variables[arguments[0]] = self._environment[arguments[1]]
        elif name == "unset":
            self._variables.pop(arguments[0], None)
        elif name in ("c", "connect"):
            return Step("connect", line=self._text.count("\n", 0, end))
        elif name in ("q", "quit"):
            return Step("quit")
        elif name == "r":
            self._clear()
        elif name == "copy" and re.search(r"(?i)\b(from stdin|to stdout)\b", rest):
            self._buffer = "COPY " + rest
            return self._send(";")
        return None

    def _condition(self, name: str, rest: str) -> None:
        if name == "if":
            words = self._arguments(rest)
            self._skipping.append((words[0].lower() if words else "false") not in ("true", "on", "1", "yes", "t"))
        elif name == "else":
            self._skipping[-1] = not self._skipping[-1]
        elif name == "endif":
            self._skipping.pop()

    def _arguments(self, text: str) -> list[str]:
        """The words of a command; pieces without a blank between them are one."""
        words: list[str] = []
        at = 0
        joined = False
        while at < len(text):
            if text[at].isspace():
                at += 1
                joined = False
                continue
            if text[at] == "'":
                end = _quoted(text, at, "'", True)
                while text[end : end + 1] == "'":
                    end = _quoted(text, end, "'", True)
                piece = text[at + 1 : end - 1].replace("''", "'").replace("\\n", "\n")
            elif found := _VARIABLE.match(text, at):
                end = found.end()
                value = self._value(found[1])
                piece = found[0] if value is None else value
            else:
                end = at + 1
                while end < len(text) and not text[end].isspace() and text[end] not in "':":
                    end += 1
                piece = text[at:end]
            if joined:
                words[-1] += piece
            else:
                words.append(piece)
            joined = True
            at = end
        return words


def _quoted(text: str, at: int, quote: str, escapes: bool) -> int:
    """Behind the end of what is quoted from `at` on."""
    at += 1
    while at < len(text):
        if escapes and text[at] == "\\":
            at += 1
        elif text[at] == quote:
            return at + 1
        at += 1
    return len(text)


def _commented(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            depth += 1
            at += 2
        elif text.startswith("*/", at):
            depth -= 1
            at += 2
            if not depth:
                return at
        else:
            at += 1
    return len(text)
