"""The documentation site is built without a warning, shows every public name, and its Python runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.testing import MemoryReactorClock

import agi_monitor
import agi_monitor.testing
from agi_monitor.agi.listening import AgiService
from docs import examples

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
API = DOCS / "api"
PAGES = sorted(DOCS.rglob("*.md"))
PUBLIC = {f"agi_monitor.{name}": getattr(agi_monitor, name) for name in agi_monitor.__all__} | {
    f"agi_monitor.testing.{name}": getattr(agi_monitor.testing, name) for name in agi_monitor.testing.__all__
}


# ---- the site ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as a browser gets them."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(folder / "trees")]
    built = subprocess.run([*command, str(DOCS), str(folder / "html")], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_the_site_is_built(site: Path) -> None:
    """Every page is there, in its navigation too, and what is drawn is drawn."""
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}
    built = {page.relative_to(site).with_suffix("").as_posix() for page in site.rglob("*.html")}
    assert pages <= built
    front = (site / "index.html").read_text()
    assert [
        page for page in sorted(pages - {"index"}) if f'href="{page}.html"' not in front and "/" not in page
    ] == []
    assert any(site.glob("_images/*.svg"))


def opened(page: Path, folder: Path) -> str:
    """A page as a real browser has it after its scripts have run."""
    subprocess.run([REPOSITORY / "contrib" / "setup" / "browser.sh"], check=True, capture_output=True)
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder}"]
    command = ["chromium", *options, "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_browser_shows_it(site: Path, tmp_path: Path) -> None:
    """Code has a button to copy it, options have their hyphens, and a type is a type."""
    front = opened(site / "howto" / "write-a-handler.html", tmp_path)
    assert front.count('class="copybtn') >= 10
    options = re.sub(r"<[^>]+>", "", (site / "reference" / "cli.html").read_text())
    assert "--config" in options
    assert "–config" not in options
    testing = re.sub(r"<[^>]+>", "", (site / "api" / "testing.html").read_text())
    assert re.search(r"happened: list\[str\]¶?\s+Everything, in one order: commands and answers", testing)
    assert "Type:" not in testing
    assert "Unreleased" in (site / "changelog.html").read_text()


def test_a_method_is_described_with_its_parameters(site: Path) -> None:
    """What the docstring says is on the page, as a list."""
    page = re.sub(r"<[^>]+>", "", (site / "api" / "session.html").read_text())
    described = page[page.index("get_data(prompt") :]
    assert re.search(r"Parameters:\s+prompt -+ a sound.*timeout -+ seconds of silence", described, re.DOTALL)


def test_every_public_name_has_an_entry() -> None:
    """Each name that can be imported is described, and nothing else is."""
    described = re.findall(r"^\.\. auto(?:class|function|exception|data):: ([\w.]+)", _api(), re.MULTILINE)
    assert sorted(described) == sorted(PUBLIC)


def _api() -> str:
    text = "\n".join(page.read_text() for page in sorted(API.glob("*.md")))
    return re.sub(r"^\.\. autofunction:: agi_monitor\.pytest_plugin\..*$", "", text, flags=re.MULTILINE)


# ---- docstrings ----------------------------------------------------------------------------------------


def described(docstring: str) -> set[str]:
    """The parameters that a docstring describes."""
    _, _, after = docstring.partition("Parameters:\n")
    part = re.split(r"^\s*(?:Returns|Raises|Yields):$", after, flags=re.MULTILINE)[0]
    return set(re.findall(r"^\s*(\w+): ", part, re.MULTILINE))


def undescribed(name: str, public: Any) -> Iterator[str]:
    """What the docstrings of a public thing, and of its methods, leave out."""
    if isinstance(public, Enum) or (inspect.isclass(public) and issubclass(public, Enum)):
        return
    if not (inspect.isclass(public) or inspect.isfunction(public)):
        return
    docstring = inspect.getdoc(public) or ""
    if not docstring:
        yield name
    is_protocol = getattr(public, "_is_protocol", False)
    takes_nothing = inspect.isclass(public) and (issubclass(public, Exception) or is_protocol)
    for parameter in () if takes_nothing else inspect.signature(public).parameters:
        if parameter not in ("self", "cls") and parameter not in described(docstring):
            yield f"{name}({parameter})"
    for method_name, function in methods_of(public) if inspect.isclass(public) else ():
        yield from undescribed(f"{name}.{method_name}", function)


def methods_of(public: type) -> Iterator[tuple[str, Any]]:
    """The public methods of a class and of those of ours that it stands on, each where it is defined first."""
    ours = [one for one in public.__mro__ if one is public or one.__module__.startswith("agi_monitor.")]
    for one in ours:
        for name, method in vars(one).items():
            function = getattr(method, "__func__", method)
            overrides = any(hasattr(base, name) for base in one.__mro__[1:])
            if not name.startswith("_") and inspect.isfunction(function) and not overrides:
                yield name, function


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_described(name: str) -> None:
    """A public function, class or method says what each of its parameters is."""
    assert list(undescribed(name, PUBLIC[name])) == []


def test_a_parameter_that_nobody_described_is_found() -> None:
    """It may be of a function, of a method, or of a method that is inherited."""

    class Half:
        """Half.

        Parameters:
            one: the first.
        """

        def __init__(self, one: int, two: int) -> None: ...

        def step(self, far: int) -> None:
            """Step."""

    class Whole(Half):
        """Whole.

        Parameters:
            one: the first.
            two: the second.
        """

    Whole.__module__ = Half.__module__ = "agi_monitor.halves"
    assert list(undescribed("Half", Half)) == ["Half(two)", "Half.step(far)"]
    assert list(undescribed("Whole", Whole)) == ["Whole.step(far)"]


# ---- code in pages -------------------------------------------------------------------------------------


def test_pages_show_the_examples_as_they_are() -> None:
    """What is read is what is tested."""
    assert [page.relative_to(REPOSITORY).as_posix() for page in examples.stale()] == []
    shown = set(re.findall(r"^<!-- contrib/examples/(\S+)", "\n".join(p.read_text() for p in PAGES), re.MULTILINE))
    there = {
        path.relative_to(REPOSITORY / "contrib" / "examples").as_posix()
        for folder in ("tutorial", "recipes")
        for path in (REPOSITORY / "contrib" / "examples" / folder).glob("*.*")
    }
    assert shown == there


def test_an_example_that_changed_is_found(tmp_path: Path) -> None:
    """An old block is filled again, and a section that is not there is an error."""
    page = "<!-- contrib/examples/tutorial/extensions.conf -->\n```ini\nold\n```\n"
    assert "exten => 700,1," in examples.filled(page)
    assert examples.sections("[a]\nx\n\n[b]\ny\n", ["b"]) == "[b]\ny\n"
    with pytest.raises(LookupError, match="no section c"):
        examples.sections("[a]\nx\n", ["c"])


BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The Python that a page shows and no example file holds."""
    return [
        found[1]
        for found in BLOCK.finditer(page.read_text())
        if not page.read_text()[: found.start()].endswith("-->\n")
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_python_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block runs behind the ones before it; a server starts on a reactor without ports; its tests pass."""
    served: list[AgiService] = []

    def serve(handler: Any, listen: str = "tcp:4573", *, use_asyncio: bool = False, **options: Any) -> None:
        reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
        service = AgiService(handler, listen, reactor=reactor, use_asyncio=use_asyncio, **options)
        service.startService()
        served.append(service)

    monkeypatch.setattr(agi_monitor, "serve", serve)
    text = "\n".join(blocks(page))
    # Annotations of handlers are looked up in the module that a function says it is of.
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(compile(text, page.name, "exec"), vars(module))  # noqa: S102 - a page of this project
    tests: list[Callable[[], None]] = [found for name, found in vars(module).items() if name.startswith("test_")]
    for test in tests:
        test()
    assert text.count("\nserve(") == len(served)
    assert served or tests


MODULES = sorted({getattr(public, "__module__", "agi_monitor.testing") for public in PUBLIC.values()})


def test_the_examples_in_docstrings_hold() -> None:
    """What a docstring shows at a prompt is what Python says."""
    tried = 0
    for name in MODULES:
        with capture_logs():
            result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        tried += result.attempted
    assert tried > 0
