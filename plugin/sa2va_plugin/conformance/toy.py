"""The smallest host: a panel of text, a document that is a dictionary. An example for adapters of real hosts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..client import Client
from ..errors import Sa2vaError
from ..jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot
from ..session import Session, View
from .suite import HostUnderTest


class ToyHost(View, HostUnderTest):
    def __init__(self, folder: str, command: Sequence[str], document: Optional[str] = None) -> None:
        self._document: dict[str, Any] = json.loads(document) if document else {"mattes": [], "saved": {}}
        self._text, self._fields, self._offers = "", ("", "", "", "", ""), False
        self._client = Client("toy host 1.0", folder, command)
        self._session = Session(self._client, self, self._document["saved"])

    # The panel

    def fill_in(self, plate: str, name: str, phrase: str, folder: str, engine: str) -> None:
        self._fields = (plate, name, phrase, folder, engine)

    def press_run(self) -> None:
        plate, name, phrase, folder, engine = self._fields
        try:
            objects = (ObjectSpec(name, phrase),)
            self._session.run(JobSpec(Shot(plate, fps=24.0), objects, Outputs(folder), EngineSpec(engine)))
        except Sa2vaError as error:
            self._text = str(error)

    def press_cancel(self) -> None:
        self._session.cancel()

    def press_go_on(self) -> None:
        self._offers = False
        self._session.go_on()

    def tick(self) -> None:
        self._session.tick()

    def close(self) -> str:
        self._client.close()
        return json.dumps(self._document)

    @property
    def busy(self) -> bool:
        return self._session.busy

    @property
    def offers_go_on(self) -> bool:
        return self._offers

    @property
    def shown(self) -> str:
        return self._text

    @property
    def mattes(self) -> Sequence[str]:
        return self._document["mattes"]

    # What the session tells

    def progress(self, text: str, fraction: Optional[float]) -> None:
        self._text = text if fraction is None else f"{text} ({fraction:.0%})"

    def finished(self, manifest: str) -> None:
        folder, frame = Path(manifest).parent, json.loads(Path(manifest).read_text("utf-8"))["frames"][0]
        files = (name for name in frame["files"] if name.startswith("mattes/"))
        self._document["mattes"] = [str(folder / name.replace(f".{frame['frame']:04d}.", ".####.")) for name in files]
        self._text = "Done."

    def failed(self, error: Sa2vaError) -> None:
        self._text = str(error)

    def lost(self, message: str, hint: str) -> None:
        self._offers = True
        self._text = f"{message}\n{hint}"

    def remember(self, saved: Mapping[str, Any]) -> None:
        self._document["saved"] = dict(saved)
