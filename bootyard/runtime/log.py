"""Logging: constant phrases with fields, for people on a terminal or as JSON lines.

Field names: service, mac, xid, firmware, interface, client, server, boot_file, path, block_size,
window_size, bytes, retransmits, seconds, image, target, snapshot, reason, error.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

from bootyard.runtime.settings import Settings


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Get a logger; the phrase is constant, what varies goes into fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def get_line_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Get a logger for lines that come by the thousand: the same lines, by a shorter way.

    What `configure` said when it was called last counts; before that it is a usual logger.
    """
    if not _line_settings:
        plain: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
        return plain
    processors, level = _line_settings[-1]
    wrapped: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return wrapped


_line_settings: list[tuple[list[structlog.typing.Processor], str]] = []


def configure(settings: Settings, service: str) -> None:
    """Send everything, libraries included, to stderr in one format."""
    as_json = settings.log_format == "json"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
        _name_service(service),
        _escape,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    _line_settings[:] = [([*shared, renderer], settings.log_level)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if as_json else []),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # One line a request is the transfer's own; aiohttp's would be a second one.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _name_service(service: str) -> structlog.typing.Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters: names and classes in packets are anybody's text."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = ascii(value)[1:-1]
    return event
