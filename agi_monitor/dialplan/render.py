"""From a site to the text of its dialplan files and of its account for manager.conf."""

from __future__ import annotations

import io
import traceback
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError

from agi_monitor.dialplan.compiled import Compiled
from agi_monitor.dialplan.filters import FILTERS, RefusedValue, Text
from agi_monitor.dialplan.lint import Problem, control_characters, lint, source_of
from agi_monitor.dialplan.lint_account import lint_account
from agi_monitor.dialplan.lint_pjsip import lint_pjsip
from agi_monitor.dialplan.loader import TemplateLoader
from agi_monitor.dialplan.site import Site
from agi_monitor.dialplan.view import view
from agi_monitor.errors import RenderError
from agi_monitor.model import Flavour

DIALPLAN = "agi-monitor.conf"
SAMPLE = "extensions.conf.sample"
MANAGER = "manager.conf.include"
PJSIP = "pjsip.conf.include"
REALTIME = "realtime.sql"
FILES = (DIALPLAN, SAMPLE, MANAGER, PJSIP, REALTIME)
"""What is rendered, each from the template of its name with ``.j2`` added; only those that the site wants. Only the
first is called ``.conf``, so that ``#include "agi-monitor/*.conf"`` loads nothing else."""

_COMPILED = Compiled()


def render(site: Site, template_directory: Path | None = None) -> Mapping[str, str]:
    """The text of every file of this site, checked by ``lint`` or ``lint_account``.

    Parameters:
        site: what the files are made from.
        template_directory: a folder whose templates take the place of the packaged ones of the same name.

    Returns:
        File name and text. The same site gives the same text: there is no date in it.

    Raises:
        RenderError: a template or a value cannot be used, or the outcome would not be safe. The text names the
            template, the line, the value by its key, and what to do.
    """
    loader = TemplateLoader(template_directory)
    environment = dialplan_environment(loader)
    seen = view(site)
    values = {field.name: getattr(seen, field.name) for field in fields(seen)}
    wanted = [name for name in FILES if is_wanted(name, site)]
    if not wanted:
        raise RenderError("there is nothing to render: asterisk.dialplan is false, and no other part is asked for")
    files = {name: render_one(environment, loader, name, values) for name in wanted}
    for template in loader.unused():
        known = ", ".join(f"{name}.j2" for name in FILES)
        raise RenderError(f"{template}: no template asks for this one; is its name misspelled? Known are {known}")
    for name, text in files.items():
        refuse_problems(environment, name, text, site)
    return MappingProxyType(files)


def is_wanted(name: str, site: Site) -> bool:
    """Whether a site has a file of this name."""
    match name:
        case "agi-monitor.conf" | "extensions.conf.sample":
            return site.dialplan
        case "manager.conf.include":
            return site.manager is not None
        case "pjsip.conf.include":
            return site.pjsip is not None
        case "realtime.sql":
            return site.flavour is Flavour.REALTIME and site.phones is not None
    raise ValueError(f"{name} is not one of {', '.join(FILES)}")


def dialplan_environment(loader: TemplateLoader) -> Environment:
    """Jinja2 as the templates expect it."""
    environment = Environment(
        loader=loader,
        # A name that does not exist is an error: rendered as nothing, it could leave a rule or a secret out.
        undefined=StrictUndefined,
        # The escapes of HTML protect nothing in a dialplan and would damage names; each place has its own filter.
        autoescape=False,  # noqa: S701
        finalize=refuse_unfiltered,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=_COMPILED,
    )
    environment.filters.update(FILTERS)
    return environment


def refuse_unfiltered(value: object) -> object:
    """Refuse a value of the configuration that comes out of ``{{ }}`` as it went in. Filters return plain texts."""
    if isinstance(value, Text):
        raise RefusedValue(value, f"is written without a filter: add the one of its place ({', '.join(FILTERS)})")
    return value


def render_one(environment: Environment, loader: TemplateLoader, name: str, values: Mapping[str, object]) -> str:
    """The text of one file; every error of Jinja2 and of the filters becomes a ``RenderError``."""
    template = f"{name}.j2"
    try:
        # Piece by piece: a list of all pieces is many times as large as the text.
        text = io.StringIO(newline="\n")
        for piece in environment.get_template(template).generate(values):
            text.write(piece)
        return text.getvalue()
    except TemplateSyntaxError as error:
        raise RenderError(
            f"{error.filename or template} line {error.lineno}: {error.message}; fix the template"
        ) from error
    except TemplateNotFound as error:
        raise RenderError(f"{place_of(error, loader, template)}: there is no template {error.message}") from error
    except RefusedValue as error:
        raise RenderError(f"{place_of(error, loader, template)}: {error}") from error
    except RenderError:
        raise
    except TemplateError as error:
        raise RenderError(f"{place_of(error, loader, template)}: {error.message}; fix the template") from error
    except Exception as error:
        # A template is a program: adding a number to a text fails like any other code of the site.
        kind = type(error).__name__
        raise RenderError(f"{place_of(error, loader, template)}: {kind}: {error}; fix the template") from error


def place_of(error: BaseException, loader: TemplateLoader, template: str) -> str:
    """The template and line an error comes from: Jinja2 puts both into the traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in loader.used:
            return f"{frame.filename} line {frame.lineno}"
    return template


def problems_of(name: str, text: str, site: Site) -> tuple[Problem, ...]:
    """What is wrong with a text."""
    match name:
        case "manager.conf.include":
            return lint_account(text)
        case "pjsip.conf.include":
            return lint_pjsip(text)
        case "realtime.sql":
            return tuple(control_characters(source_of(text)))
    foreign = set()
    if site.phones is not None:
        foreign = {site.phones.context, f"Realtime/{site.phones.context}@{site.phones.table}"}
    return lint(text, frozenset(foreign))


def refuse_problems(environment: Environment, name: str, text: str, site: Site) -> None:
    """Refuse a text that is found to have something wrong with it."""
    if problems := problems_of(name, text, site):
        template = environment.get_template(f"{name}.j2").filename
        raise RenderError(
            "\n".join(f"{name} line {problem.line} (made by {template}): {problem.text}" for problem in problems)
        )
