"""One shot through the starter engine: survey once, then every frame once, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import NOTHING, FrameResult, ObjectTrack, ShotSession, Verdict
from sa2va_core.media.frames import FrameSource, Picture

from . import cast as casting
from . import memory
from .cast import Cast
from .motion import motion
from .networks import Networks
from .segment import logit, segment
from .sheet import Box, Sheet, padded
from .track import Track, associate
from .words import Query, parse

#: A frame counts as showing the object from this presence on.
_VISIBLE = 0.4
#: Things smaller than this share of the picture's short side get a close look by the detector.
_SMALL = 0.25


class Wish:
    """An object's phrase and its negative phrases, as indices into the session's queries."""

    def __init__(self, spec: ObjectSpec, queries: list[Query]) -> None:
        self.name = spec.name
        self.wanted = _index(queries, parse(spec.phrase))
        self.unwanted = [_index(queries, parse(p)) for p in spec.negative_phrases]


def _index(queries: list[Query], query: Query) -> int:
    if query not in queries:
        queries.append(query)
    return queries.index(query)


class StarterSession(ShotSession):
    def __init__(
        self,
        networks: Networks,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None,
    ) -> None:
        self._networks, self._source = networks, source
        self._queries: list[Query] = []
        self._wishes = [Wish(spec, self._queries) for spec in objects]
        self._groups = list(dict.fromkeys(q.classes for q in self._queries))
        self._kinds = [next(q.kind for q in self._queries if q.classes == g) for g in self._groups]
        self._memory = (
            memory.Memory(seen=[[] for _ in objects]) if state is None else memory.unpack(state, len(objects))
        )

    def run(self) -> Iterator[FrameResult]:
        if self._memory.cast is None:
            self._memory.cast = casting.survey(self._networks, self._source, self._queries, self._groups)
        frames = list(self._source.frames)
        for picture in self._source.stream(frames[self._memory.done :]):
            yield self._frame(picture, self._memory.cast)

    def state(self) -> dict[str, NDArray[np.generic]] | None:
        return None if self._memory.cast is None else memory.pack(self._memory)

    def verdicts(self) -> Mapping[str, Verdict]:
        assert self._memory.cast is not None
        made = {}
        for wish, seen in zip(self._wishes, self._memory.seen, strict=True):
            choice = self._memory.cast.choices[wish.wanted]
            frames = tuple(seen)
            if not frames:
                reason = choice.reason if choice.state == "not in shot" else f"Not found in any frame. {choice.reason}"
                made[wish.name] = Verdict("not in shot", reason)
            else:
                made[wish.name] = Verdict(choice.state, choice.reason, frames)
        return made

    def _frame(self, picture: Picture, cast: Cast) -> FrameResult:
        m = self._memory
        sheet = Sheet(picture.rgb)
        moved = None if m.grey is None else motion(m.grey, sheet)
        if moved is not None:
            for track in m.tracks:
                track.predict(moved)
        self._find(sheet, cast)
        self._cut_out(sheet, moved, cast)
        m.grey = sheet.grey
        m.done += 1
        objects = {wish.name: self._object(wish, sheet, cast) for wish in self._wishes}
        for seen, track in zip(m.seen, objects.values(), strict=True):
            if track.presence >= _VISIBLE:
                seen.append(picture.frame)
        return FrameResult(picture, objects)

    def _find(self, sheet: Sheet, cast: Cast) -> None:
        """One pass of the detector for all objects, then matching, group by group."""
        m = self._memory
        kinds = frozenset().union(*self._groups)
        found = (
            self._networks.detect(sheet, self._windows(sheet, cast), kinds, casting.FLOORS["thing"]) if kinds else []
        )
        tracks: list[Track] = []
        for g, classes in enumerate(self._groups):
            mine = [d for d in found if d.kind in classes]
            if not classes:
                mine = cast.skin.regions(sheet) if cast.skin is not None else []
            tracks += associate([t for t in m.tracks if t.group == g], mine, sheet, g, cast.looks[g])
        m.tracks = tracks

    def _windows(self, sheet: Sheet, cast: Cast) -> list[Box]:
        """Where the detector looks on this frame: everywhere, close to small things, and one tile in turn."""
        m = self._memory
        windows = [sheet.frame_box]
        short = min(sheet.shape)
        searching = False
        for g, kind in enumerate(self._kinds):
            if kind == "skin":
                continue
            wanted = [t for t in m.tracks if t.group == g and self._wanted(t, cast)]
            for t in wanted[:3]:
                side = float(max(t.box[2:] - t.box[:2]))
                if side < _SMALL * short or t.misses:
                    box = padded(t.box, 2.0 if side < _SMALL * short else 0.4, square=True)
                    windows.append(box)
            searching |= not wanted and len(cast.looks[g]) > 0
        if searching:
            ways = casting.tiles(sheet)
            windows += ways[m.done % len(ways) :][:1] if ways else []
        return windows

    def _wanted(self, track: Track, cast: Cast) -> bool:
        return any(
            q.classes == self._groups[track.group] and (c.members is None or track.member in c.members)
            for q, c in zip(self._queries, cast.choices, strict=True)
        )

    def _cut_out(self, sheet: Sheet, moved, cast: Cast) -> None:
        m = self._memory
        for g, kind in enumerate(self._kinds):
            group = [t for t in m.tracks if t.group == g]
            named = {t.member for t in group}
            absent = [x for i, x in enumerate(cast.looks[g]) if i not in named] if kind == "person" else []
            together = any(
                c.members is None and q.classes == self._groups[g]
                for q, c in zip(self._queries, cast.choices, strict=True)
            )
            for track in group:
                if self._wanted(track, cast) or kind == "person":
                    rivals = [t for t in group if t is not track]
                    segment(self._networks, sheet, moved, kind, track, rivals, [] if together else absent, cast.skin)

    def _object(self, wish: Wish, sheet: Sheet, cast: Cast) -> ObjectTrack:
        mask, presence = self._union(wish.wanted, cast)
        if mask is None:
            return ObjectTrack.absent(presence)
        for query in wish.unwanted:
            other, _ = self._union(query, cast)
            if other is not None:
                mask = np.minimum(mask, 1 - other)
        return ObjectTrack(np.maximum(logit(mask), NOTHING).astype(np.float32), presence)

    def _union(self, query: int, cast: Cast):
        choice = cast.choices[query]
        g = self._groups.index(self._queries[query].classes)
        tracks = [
            t
            for t in self._memory.tracks
            if t.group == g and (choice.members is None or t.member in choice.members) and t.presence >= 0.2
        ]
        if not tracks:
            return None, 0.0
        mask = np.maximum.reduce([t.mask for t in tracks])
        return mask, max(t.presence for t in tracks)
