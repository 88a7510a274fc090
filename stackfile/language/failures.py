"""What goes wrong in template code, as errors of ours: what it was, and through which templates it came."""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from stackfile.errors import Place, StackError
from stackfile.language.sandbox import MissingError, Outside
from stackfile.language.template import SCOPE_HINTS, undefined

_SCALAR = ("<template>", "<unknown>")
"""What Jinja calls a template that is no file."""


def translated(error: Exception) -> StackError:
    """The error that a person gets; with a place only where the exception says it itself."""
    if isinstance(error, StackError):
        return error
    if isinstance(error, MissingError) and error.known:
        return undefined(error.name, error.known, None)
    if isinstance(error, UndefinedError):
        hint = SCOPE_HINTS.get(error.name, "") if isinstance(error, MissingError) else ""
        return StackError("template-undefined", error.message or "undefined", hint=hint)
    if isinstance(error, Outside):
        hint = "give it as an argument where the macro is called"
        return StackError("template-undefined", error.message or "undefined", hint=hint)
    if isinstance(error, TemplateSyntaxError):
        return StackError("template-syntax", "not a template", cause=error.message or "")
    if isinstance(error, TemplateNotFound):
        return StackError("file-not-found", f"no such template: {error.name}", hint="names start in the project")
    if isinstance(error, SecurityError):
        return StackError("template-failed", "not allowed in a template", cause=str(error))
    if isinstance(error, RecursionError | MemoryError | OverflowError):
        return StackError("template-limit", "the template asks for too much")
    message = "the template failed" if not isinstance(error, TemplateError) else "not a template"
    return StackError("template-failed", message, cause=str(error))


def steps(error: BaseException, in_scalar: Callable[[int], Place]) -> list[Place]:
    """Where template code was, innermost first: lines of files, and `in_scalar(line)` of the scalar it began in."""
    found: list[Place] = []
    traceback = error.__traceback__
    while traceback is not None:
        known = traceback.tb_frame.f_globals
        if template := known.get("__jinja_template__"):
            found.append(_place(template.filename, template.get_corresponding_lineno(traceback.tb_lineno), in_scalar))
        elif "__jinja_exception__" in known:
            # Jinja has put its own frame in place of that of the generated code.
            found.append(_place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno, in_scalar))
        traceback = traceback.tb_next
    if isinstance(error, TemplateSyntaxError):
        found.append(_place(error.filename, error.lineno, in_scalar))
    return list(dict.fromkeys(reversed(found)))


def _place(file: str | None, line: int, in_scalar: Callable[[int], Place]) -> Place:
    return in_scalar(line) if file is None or file in _SCALAR else Place(file, line)
