"""The modules of a script that is served, as if each call were a process: its own folder first, its own copies.

Two rules: a module from the script's folder is made for each call, and seen by that call alone; every other module is
the process's, and never sees one of these.

What Python does for a script that it runs, this does for each call. A file ``queue.py`` beside the script wins over
the standard library for the script and its helpers; the standard library itself keeps its own. Names that Python has
inside (``sys``, ``os``, ``time``) cannot be taken by a file, as ever. Files are read and compiled once for all calls.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import FrozenImporter, ModuleSpec, PathFinder
from types import CodeType, ModuleType
from typing import Any

Views = Mapping[str, Callable[[ModuleType], ModuleType]]
"""Module -> how a script sees it, when it is not to see the process's own."""


@dataclass(frozen=True)
class Compiled:
    """Where a module is, and its code; without code it is loaded in the way of its spec."""

    spec: ModuleSpec
    code: CodeType | None


@dataclass
class Folder:
    """The files of a script's folder that its calls have imported so far.

    Parameters:
        path: of the folder.
        found: by the name of the module and where it was looked for; None when there is none.
        first: the same for a name without a dot and a whole ``sys.path``; None when it is not the script's own.
    """

    path: str
    found: dict[tuple[str, tuple[str, ...]], Compiled | None] = field(default_factory=dict)
    first: dict[tuple[str, tuple[str, ...]], Compiled | None] = field(default_factory=dict)

    def find(self, name: str, path: Sequence[str]) -> Compiled | None:
        """A module in these folders."""
        key = name, tuple(path)
        if key not in self.found:
            spec = PathFinder.find_spec(name, path) if path else None
            get_code = getattr(None if spec is None else spec.loader, "get_code", None)
            self.found[key] = None if spec is None else Compiled(spec, get_code(name) if get_code else None)
        return self.found[key]


class OwnModules:
    """What one call imports. ``builtins`` is for its code: their ``__import__`` is ``import_``.

    Parameters:
        folder: of the script.
        main: the script itself, as ``__main__``.
        views: modules that the call sees in its own way.
    """

    def __init__(self, folder: Folder, main: ModuleType, views: Views) -> None:
        self._folder = folder
        self._views = views
        self._lock = threading.RLock()
        self.modules: dict[str, ModuleType] = {"__main__": main}
        self.path = [folder.path, *sys.path]
        self.builtins: dict[str, Any] = {**vars(builtins), "__import__": self.import_}
        vars(main)["__builtins__"] = self.builtins

    def import_(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """``__import__`` of the script and its helpers."""
        absolute = importlib.util.resolve_name("." * level + name, _package(globals or {})) if level else name
        top, _, rest = absolute.partition(".")
        if top in self._views and not level:
            real = builtins.__import__(name, globals, locals, fromlist or (), 0)
            view = self._view(top)
            if rest:
                part = rest.partition(".")[0]
                vars(view)[part] = getattr(sys.modules[top], part)
            return real if rest and fromlist else view
        with self._lock:
            if not self._is_own(top):
                return builtins.__import__(name, globals, locals, fromlist or (), level)
            module = self._load(absolute)
            if not fromlist:
                return module if level else self.modules[top]
            self._load_parts(module, fromlist)
            return module

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """``importlib.import_module`` of the script and its helpers."""
        absolute = importlib.util.resolve_name(name, package)
        top = absolute.partition(".")[0]
        if top in self._views and top == absolute:
            return self._view(top)
        with self._lock:
            if not self._is_own(top):
                return importlib.import_module(absolute)
            return self._load(absolute)

    def _view(self, name: str) -> ModuleType:
        with self._lock:
            if name not in self.modules:
                self.modules[name] = self._views[name](importlib.import_module(name))
            return self.modules[name]

    def _is_own(self, top: str) -> bool:
        if top in self.modules:
            return True
        return self._found(top) is not None

    def _found(self, top: str) -> Compiled | None:
        """What Python would find by the call's own ``sys.path``, if it is not the process's."""
        key = top, tuple(self.path)
        if key not in self._folder.first:
            self._folder.first[key] = self._search(top)
        return self._folder.first[key]

    def _search(self, top: str) -> Compiled | None:
        if top in sys.builtin_module_names or FrozenImporter.find_spec(top) is not None:
            return None
        known = {*sys.path} - {self._folder.path}
        places = [place for place, entry in enumerate(self.path) if entry in known]
        before, behind = places[0] if places else len(self.path), [entry for entry in self.path if entry not in known]
        first = self._folder.find(top, self.path[:before])
        if first is not None and first.spec.loader is not None and first.code is not None:
            return first
        if top in sys.modules or importlib.util.find_spec(top) is not None:
            return None
        return self._folder.find(top, behind)

    def _load(self, name: str) -> ModuleType:
        if name in self.modules:
            return self.modules[name]
        parent, _, last = name.rpartition(".")
        if parent:
            package = self._load(parent)
            found = self._folder.find(name, list(getattr(package, "__path__", ())))
        else:
            found = self._found(name)
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = self._make(name, found)
        if parent:
            setattr(package, last, module)
        return module

    def _make(self, name: str, found: Compiled) -> ModuleType:
        if found.code is None and found.spec.loader is not None and not found.spec.submodule_search_locations:
            # Not Python, so there is one for all.
            module = importlib.util.module_from_spec(found.spec)
            found.spec.loader.exec_module(module)
            self.modules[name] = module
            return module
        module = ModuleType(name)
        spec = found.spec
        vars(module).update(
            __spec__=spec,
            __loader__=spec.loader,
            __file__=spec.origin,
            __package__=name if spec.submodule_search_locations is not None else name.rpartition(".")[0],
            __builtins__=self.builtins,
        )
        if spec.submodule_search_locations is not None:
            vars(module)["__path__"] = list(spec.submodule_search_locations)
        self.modules[name] = module
        if found.code is not None:
            try:
                exec(found.code, vars(module))  # noqa: S102 (it is the site's script)
            except BaseException:
                self.modules.pop(name, None)
                raise
        return self.modules[name]

    def _load_parts(self, module: ModuleType, names: Sequence[str]) -> None:
        if not hasattr(module, "__path__"):
            return
        for name in getattr(module, "__all__", ()) if "*" in names else names:
            if not hasattr(module, name):
                try:
                    self._load(f"{module.__name__}.{name}")
                except ModuleNotFoundError as error:
                    if error.name != f"{module.__name__}.{name}":
                        raise


def _package(globals: Mapping[str, Any]) -> str:
    package: str | None = globals.get("__package__")
    if package is not None:
        return package
    name: str = globals.get("__name__", "")
    return name if "__path__" in globals else name.rpartition(".")[0]
