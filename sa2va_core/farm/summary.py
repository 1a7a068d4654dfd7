"""What a batch came to: ``summary.csv`` for spreadsheets, ``summary.html`` to look at (one file, pictures inside)."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
from sa2va_plugin.errors import JobSpecError

from sa2va_core.jobs import manifest
from sa2va_core.media.atomic import write_bytes

from .batch import ShotState

_COLUMNS = ("shot", "object", "phrase", "verdict", "reason", "frames", "score", "state", "error", "folder")
TABLE = "summary.csv"
_THUMBNAIL_WIDTH = 480
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;background:#1c1c1e;color:#e8e8ea;margin:2em auto;max-width:1200px;padding:0 1em}
table{border-collapse:collapse;width:100%}td,th{padding:.5em .7em;border-top:1px solid #3a3a3d;vertical-align:top;
text-align:left}a{color:#8ab4ff}img{width:400px;display:block;border-radius:3px}.found,.done{color:#7fd18b}
.not,.failed{color:#ff8a80}.ambiguous,.cancelled,.waiting{color:#ffbe3c}small{color:#a0a0a5}
"""


def keep_apart(sheet: Path, folder: Path) -> None:
    """Raise JobSpecError where the summary in ``folder`` would take the place of the sheet."""
    table = folder / TABLE
    if table.exists() and table.samefile(sheet):
        raise JobSpecError(
            f"The summary of the batch would take the place of the sheet: {table}",
            "Choose another output folder, or rename the sheet.",
        )


def write(folder: Path, states: Sequence[ShotState]) -> tuple[Path, Path]:
    """Write both files; returns their paths. Raises OutputError."""
    table, page = folder / TABLE, folder / "summary.html"
    # A byte order mark, or Excel takes it for another encoding.
    write_bytes(table, ("\ufeff" + _csv(states)).encode())
    write_bytes(page, _html(states).encode())
    return table, page


def _rows(state: ShotState) -> Iterator[tuple[str, ...]]:
    error = "" if state.error is None else f"{state.error.message} {state.error.hint}".strip()
    for item in state.job.spec.objects:
        verdict = state.verdicts.get(item.name)
        told = ("", "", "") if verdict is None else (verdict.state, verdict.reason, manifest.ranges(verdict.frames))
        score = f"{state.scores[item.name]:.2f}" if item.name in state.scores else ""
        yield state.job.shot, item.name, item.phrase, *told, score, state.state, error, state.job.shot


def _csv(states: Sequence[ShotState]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for state in states:
        writer.writerows([_safe(cell) for cell in row] for row in _rows(state))
    return out.getvalue()


def _safe(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return "'" + cell if cell.startswith(("=", "+", "-", "@", "\t")) else cell


def _html(states: Sequence[ShotState]) -> str:
    counts = {how: sum(state.state == how for state in states) for how in ("done", "failed", "cancelled")}
    told = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
    rows = "".join(_html_row(state) for state in states)
    return (
        f'<!doctype html><meta charset="utf-8"><title>Mattes: {len(states)} shots</title><style>{_STYLE}</style>'
        f"<h1>{len(states)} shots: {told}</h1><table><tr><th>shot<th>frames<th>objects<th>look</tr>{rows}</table>\n"
    )


def _html_row(state: ShotState) -> str:
    e = html.escape
    shot = e(state.job.shot)
    objects = []
    for _, name, phrase, verdict, reason, frames, score, *_ in _rows(state):
        kind = verdict.split(" ")[0]
        on = f" on {e(frames)}" if frames else ""
        on += f", QC score {score}" if score else ""
        objects.append(
            f"<p><b>{e(name)}</b> <small>{e(phrase)}</small><br>"
            f'<span class="{kind}">{e(verdict)}</span>{on}<br><small>{e(reason)}</small></p>'
        )
    if state.error is not None:
        objects.append(f'<p class="failed">{e(state.error.message)}<br><small>{e(state.error.hint)}</small></p>')
    warnings = "".join(f"<p><small>{e(text)}</small></p>" for text in state.warnings)
    return (
        f'<tr><td><b>{shot}</b><br><span class="{state.state}">{state.state}</span>'
        f"<td>{state.done}/{state.total}<td>{''.join(objects)}{warnings}<td>{_look(state)}</tr>"
    )


def _look(state: ShotState) -> str:
    """The contact sheet, small, leading to the whole one."""
    sheet = state.folder / "contact_sheet.png"
    image = cv2.imread(str(sheet)) if state.scores and sheet.is_file() else None
    if image is None:
        return ""
    report = html.escape(f"{state.job.shot}/report.html")
    height = round(image.shape[0] * _THUMBNAIL_WIDTH / image.shape[1])
    small = cv2.resize(image, (_THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
    data = base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()).decode()
    link = html.escape(f"{state.job.shot}/contact_sheet.png")
    picture = f'<a href="{link}"><img alt="contact sheet" src="data:image/jpeg;base64,{data}"></a>'
    return f'{picture} <a href="{report}">QC</a>'
