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
from .motion import Motion, motion
from .networks import FLOOR, Detection, Networks
from .segment import logit, segment
from .sheet import Box, Map, Sheet, area, overlap, padded
from .track import Track, associate
from .words import Query, parse

#: A frame counts as showing the object from this presence on.
_VISIBLE = 0.4
#: Tracks fainter than this are left out of the matte.
_FAINT = 0.2
#: The detector looks at the whole picture every so many frames, to find what is new.
_EVERYWHERE = 4
#: Things not found at first that get a second, close look, at most, on one frame.
_CLOSE_LOOKS = 3
#: Least detector score of a thing that was expected where it was found.
_EXPECTED = 0.12


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
            elif choice.state == "not in shot":
                made[wish.name] = Verdict("found", f"Seen, though not in the surveyed frames. {choice.reason}", frames)
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
        objects = {wish.name: self._object(wish, cast) for wish in self._wishes}
        for seen, track in zip(m.seen, objects.values(), strict=True):
            if track.presence >= _VISIBLE:
                seen.append(picture.frame)
        return FrameResult(picture, objects)

    def _find(self, sheet: Sheet, cast: Cast) -> None:
        """One pass of the detector for all objects, then matching, group by group."""
        m = self._memory
        found = self._detections(sheet, cast)
        tracks: list[Track] = []
        for g, classes in enumerate(self._groups):
            mine = [d for d in found if d.kind in classes]
            if not classes:
                mine = cast.skin.regions(sheet) if cast.skin is not None else []
            tracks += associate(
                [t for t in m.tracks if t.group == g], mine, sheet, g, cast.looks[g], self._kinds[g] == "thing"
            )
        m.tracks = tracks

    def _detections(self, sheet: Sheet, cast: Cast) -> list[Detection]:
        """Look around what is followed, now and then everywhere; then once more, closely, at what was not found."""
        m = self._memory
        kinds = frozenset().union(*self._groups)
        if not kinds:
            return []
        followed = [t for t in m.tracks if self._kinds[t.group] != "skin" and self._wanted(t, cast)]
        sought = [
            g
            for g, kind in enumerate(self._kinds)
            if kind != "skin" and len(cast.looks[g]) and all(t.group != g for t in followed)
        ]
        everywhere = m.done % _EVERYWHERE == 0 or bool(sought) or not followed
        found = self._networks.detect(sheet, _windows(followed, sheet, everywhere), kinds, FLOOR)
        missing = [t for t in followed if not any(d.kind in self._groups[t.group] and _near(d, t) for d in found)]
        # Where a thing is expected, weaker evidence will do.
        looks = [window for t in missing[:_CLOSE_LOOKS] for window in _close(t, sheet)]
        closely = self._networks.detect(sheet, looks, kinds, _EXPECTED)
        found += [d for d in closely if d.score >= FLOOR or any(_near(d, t) for t in missing)]
        ways = casting.tiles(sheet) if sought else []
        if m.done and ways:
            ways = [ways[m.done % len(ways)]]
        found += self._networks.detect(sheet, ways, kinds, FLOOR)
        return found

    def _wanted(self, track: Track, cast: Cast) -> bool:
        return any(
            q.classes == self._groups[track.group] and (c.members is None or track.member in c.members)
            for q, c in zip(self._queries, cast.choices, strict=True)
        )

    def _cut_out(self, sheet: Sheet, moved: Motion | None, cast: Cast) -> None:
        m = self._memory
        for g, kind in enumerate(self._kinds):
            group = [t for t in m.tracks if t.group == g]
            named = {t.member for t in group}
            absent = [x for i, x in enumerate(cast.looks[g]) if i not in named] if kind == "person" else []
            wanted = [t for t in group if self._wanted(t, cast)]
            for track in group:
                # A neighbour's mask is needed too: it says which pixels are not the wanted one's.
                beside = any(overlap(padded(track.box, 0.15), padded(t.box, 0.15)) > 0 for t in wanted)
                if track in wanted or (kind == "person" and beside):
                    rivals = [t for t in group if t is not track and (kind == "person" or t.contends(track))]
                    segment(self._networks, sheet, moved, kind, track, rivals, absent, cast.skin)

    def _object(self, wish: Wish, cast: Cast) -> ObjectTrack:
        mask, presence = self._union(wish.wanted, cast)
        if mask is None:
            return ObjectTrack.absent(presence)
        for query in wish.unwanted:
            other, _ = self._union(query, cast)
            if other is not None:
                mask = np.minimum(mask, 1 - other)
        return ObjectTrack(np.maximum(logit(mask), NOTHING).astype(np.float32), presence)

    def _union(self, query: int, cast: Cast) -> tuple[Map | None, float]:
        choice = cast.choices[query]
        g = self._groups.index(self._queries[query].classes)
        tracks = [
            t
            for t in self._memory.tracks
            if t.group == g and (choice.members is None or t.member in choice.members) and t.presence >= _FAINT
        ]
        if not tracks:
            return None, 0.0
        if choice.members is None and self._queries[query].count is not None:
            tracks = sorted(tracks, key=lambda t: -t.hits)[: self._queries[query].count]
            return np.maximum.reduce([t.mask for t in tracks]), max(t.presence for t in tracks)
        # Of all there are, it does not matter whose a pixel is.
        masks = [t.whole if choice.members is None and t.whole is not None else t.mask for t in tracks]
        return np.maximum.reduce(masks), max(t.presence for t in tracks)


def _windows(followed: Sequence[Track], sheet: Sheet, everywhere: bool) -> list[Box]:
    """One window around all large things, or the whole picture; one closely around each of a few small things."""
    windows = [_square(_centre(t), 3.5 * _side(t)) for t in followed if _small(t, sheet)][:_CLOSE_LOOKS]
    large = [t.box for t in followed if not _small(t, sheet)]
    if large and not everywhere:
        low, high = np.min([b[:2] for b in large], axis=0), np.max([b[2:] for b in large], axis=0)
        around = padded(np.concatenate([low, high]), 0.2, square=True)
        side = max(around[2] - around[0], 0.4 * min(sheet.shape))
        everywhere = side > 0.9 * max(sheet.shape)
        windows.append(_square((low + high) / 2, side))
    if everywhere:
        windows = [w for w in windows if w[2] - w[0] < 0.9 * min(sheet.shape)] + [sheet.frame_box]
    return windows


def _close(track: Track, sheet: Sheet) -> list[Box]:
    """Windows around a thing that was not found: wider the longer it is gone, a small one in two sizes."""
    if not _small(track, sheet):
        return [_square(_centre(track), 1.8 * _side(track))]
    return [_square(_centre(track), k * _side(track) * (1 + 0.2 * track.misses)) for k in (2.8, 5.5)]


def _side(track: Track) -> float:
    return float(max(track.box[2:] - track.box[:2]))


def _small(track: Track, sheet: Sheet) -> bool:
    return _side(track) < 0.25 * min(sheet.shape)


def _centre(track: Track) -> NDArray[np.float64]:
    return (track.box[:2] + track.box[2:]) / 2


def _square(centre: NDArray[np.float64], side: float) -> Box:
    return np.concatenate([centre - side / 2, centre + side / 2])


def _near(detection: Detection, track: Track) -> bool:
    a, b = detection.box, track.box
    away = np.hypot(*((a[:2] + a[2:]) - (b[:2] + b[2:]))) / 2
    return bool(away < (1.6 + 0.5 * track.misses) * max(b[2:] - b[:2]) and 0.4 < area(a) / max(area(b), 1) < 2.5)
