"""Finds code that only tests call: ``python -m tests.unused_code``, a part of ``make lint``.

Everything that the program defines has to be reached from what runs by itself: the statements of its modules, what
libraries call, and what :data:`ALLOWED` names with a reason. Names of modules are followed through imports. Members of
classes are known by their names alone: one counts as used where code that is itself reached, or a template, reads an
attribute of that name.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parent.parent
PACKAGES = ("core", "muster", "recordsync", "benchmarks")
SCRIPTS = ("manage.py", "gunicorn.conf.py")
"""They use what the packages define, and what they define themselves is for others."""

ALLOWED: Mapping[str, str] = {
    "core.attendance.exceptions._*.as_postgresql": "Django calls it for the engine that it names",
    "core.backups.targets._Movable.temporary_file_path": "a storage of Django's moves the file instead of copying it",
    "core.management.commands.*.Command": "Django runs it by the module's name",
    "core.models.constraints.AsWritten.as_*": "Django calls it for the engine that it names",
    "core.register.declared.LEFT_OUT": "a declaration, to which a test holds every model that is added",
    "core.web.*Middleware.process_*": "Django calls it for each request",
    "core.web.converters.*.regex": "Django reads it of each part of an address",
    "core.web.forms.*.clean_*": "Django calls it for the field that it names",
    "muster.formats.en.formats.*": "Django reads it by FORMAT_MODULE_PATH",
    "muster.settings.AXES_*": "django-axes reads it",
    "muster.settings.CONTENT_SECURITY_POLICY": "django-csp reads it",
    "muster.settings.ROOT_URLCONF": "Django reads it",
    "muster.settings.TASKS": "django-tasks reads it",
    "muster.urls.handler*": "Django calls it for this status",
    "*.urls.urlpatterns": "Django finds the pages by it",
    "muster.settings.HISTORY_SHARE_DATABASE": "recordsync.routers reads it by its name",
    "muster.settings.RECORDSYNC_HISTORY": "recordsync.history.databases reads it by its name",
    "recordsync.models.Dirty.generation": "a column, which triggers write",
    "recordsync.routers.*": "Django asks it where a query goes",
}
"""Patterns of what nothing in the program names, each with who uses it."""

_SETTINGS = "django.conf.settings"
_REGISTERS = re.compile(r"(^|\.)(receiver|task|register|filter|simple_tag|inclusion_tag)\b")
"""A decorator that hands a function or a class to a library."""
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_TAG = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)


class Name(NamedTuple):
    """A definition: its module and its name there, ``Class.name`` for a member. A blank name stands for the module's
    own statements."""

    module: str
    name: str

    @classmethod
    def of(cls, path: str) -> Name:
        """The last part of a dotted path in the module before it."""
        module, _, name = path.rpartition(".")
        return cls(module, name)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Code:
    """What modules define, and what the code of each definition uses."""

    lines: dict[Name, int] = field(default_factory=dict)
    """Every definition, with the line where it begins."""
    names: dict[Name, set[Name]] = field(default_factory=lambda: defaultdict(set))
    attributes: dict[Name, set[str]] = field(default_factory=lambda: defaultdict(set))

    def unused(self, words: Iterable[str] = (), allowed: Iterable[str] = ()) -> list[Name]:
        """The definitions that nothing reaches.

        ``words``: attributes that templates name. ``allowed``: patterns of definitions that count as used.
        """
        members: dict[str, set[Name]] = defaultdict(set)
        for name in self.lines:
            holder, _, member = name.name.rpartition(".")
            if holder:
                members[member].add(name)
        reached: set[Name] = set()
        ahead = {name for name in [*self.names, *self.attributes] if not name.name}
        ahead |= {name for name in self.lines if any(fnmatchcase(str(name), pattern) for pattern in allowed)}
        ahead |= {member for word in words for member in members[word]}
        while ahead:
            name = ahead.pop()
            reached.add(name)
            used = self.names[name].union(*(members[word] for word in self.attributes[name]))
            ahead |= used - reached
        return sorted(self.lines.keys() - reached)


class _Reader(ast.NodeVisitor):
    """Adds what one module defines and uses to the code."""

    def __init__(self, code: Code, module: str, tree: ast.Module) -> None:
        self._code = code
        self._owner = Name(module, "")
        self._class = ""
        self._imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self._imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                self._imported |= {alias.asname: alias.name for alias in node.names if alias.asname}
        for name, path in self._imported.items():
            code.names[Name(module, name)].add(Name.of(path))
        self.visit(tree)

    def _define(self, name: str, line: int) -> Name:
        defined = self._owner._replace(name=f"{self._class}.{name}" if self._class else name)
        if name != "__all__":
            self._code.lines.setdefault(defined, line)
        if self._class and name.startswith("__"):
            self._code.names[self._owner].add(defined)
        return defined

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        if self._owner.name and not self._class:  # in a function
            self.generic_visit(node)
            return
        defined = self._define(node.name, node.lineno)
        if any(_REGISTERS.search(ast.unparse(decorator)) for decorator in node.decorator_list):
            self._code.names[self._owner].add(defined)
        around = self._owner, self._class
        self._owner, self._class = defined, defined.name if isinstance(node, ast.ClassDef) else ""
        self.generic_visit(node)
        self._owner, self._class = around

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition

    def _assignment(self, node: ast.Assign | ast.AnnAssign) -> None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in ast.walk(target):
                if isinstance(part, ast.Name) and (self._class or not self._owner.name):
                    self._define(part.id, part.lineno)
                elif isinstance(part, ast.Attribute) and ast.unparse(part.value) == "self":
                    holder = self._owner.name.rpartition(".")[0]
                    self._code.lines.setdefault(self._owner._replace(name=f"{holder}.{part.attr}"), part.lineno)
        self.generic_visit(node)

    visit_Assign = visit_AnnAssign = _assignment

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._code.names[self._owner].add(self._owner._replace(name=node.id))
            if self._class:  # another name of the class's body
                self._code.names[self._owner].add(self._owner._replace(name=f"{self._class}.{node.id}"))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self._code.attributes[self._owner].add(node.attr)
            path = ast.unparse(node)
            if _PATH.fullmatch(path):
                first, _, rest = path.partition(".")
                path = f"{self._imported.get(first, first)}.{rest}"
                self._code.names[self._owner].add(Name.of(path.replace(_SETTINGS, "muster.settings")))
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and _PATH.fullmatch(node.value):
            self._code.attributes[self._owner].update(re.split(r"\.|__", node.value))
            self._code.names[self._owner].add(Name.of(node.value))


def read(folder: Path, paths: Iterable[Path]) -> Code:
    """The code of modules below ``folder``."""
    code = Code()
    for path in paths:
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        _Reader(code, module, ast.parse(path.read_text(encoding="utf-8")))
    return code


def _is_used_by_a_library(name: Name) -> bool:
    """Whether it is a setting of Django's or a member that a base of another's has, or is known by its value: one of a
    model's choices, a field of what is stored as JSON. Imports its module."""
    import msgspec
    from django.conf import global_settings
    from django.db import models

    *classes, member = name.name.split(".")
    if not classes:
        return name.module == "muster.settings" and hasattr(global_settings, member)
    if classes[-1] == "Meta":
        return True
    holder: Any = importlib.import_module(name.module)
    for part in classes:
        holder = getattr(holder, part)
    if not isinstance(holder, type):
        return False
    others = [base for base in holder.__mro__ if base.__module__.split(".")[0] not in PACKAGES]
    return any(hasattr(base, member) for base in others) or issubclass(holder, (models.Choices, msgspec.Struct))


def main() -> int:
    """0, or 1 where it finds something, which it prints."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    django.setup()
    paths = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
    code = read(PROJECT, [*paths, *(PROJECT / script for script in SCRIPTS)])
    for name in list(code.lines):
        if name.module.split(".")[0] not in PACKAGES or ".migrations." in name.module:
            del code.lines[name]
        elif _is_used_by_a_library(name):
            code.names[Name(name.module, name.name.rpartition(".")[0])].add(name)
    templates = [path.read_text(encoding="utf-8") for path in (PROJECT / "core/templates").rglob("*.html")]
    words = {word for text in templates for tag in _TAG.findall(text) for word in re.findall(r"\w+", tag)}
    unused = code.unused(words, ALLOWED)
    for name in unused:
        print(f"{name}, line {code.lines[name]}: at most tests use it. Remove it, or name in ALLOWED who does.")
    bare = code.unused(words)
    needless = [pattern for pattern in ALLOWED if not any(fnmatchcase(str(name), pattern) for name in bare)]
    for pattern in needless:
        print(f"ALLOWED in {Path(__file__).name} names {pattern}, which is used or not there: take it out.")
    return int(bool(unused or needless))


if __name__ == "__main__":
    sys.exit(main())
