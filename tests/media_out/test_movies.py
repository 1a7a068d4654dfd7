"""ProRes 4444 mattes, decoded again."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from sa2va_plugin.errors import OutputError

from .conftest import HEIGHT, WIDTH, disc, files_in

FRAMES = range(1001, 1006)


def write_all(writer, source):
    sources = [
        replace(source, frame=frame, plate_frame=frame, timecode=f"01:00:00:0{frame - 1000}") for frame in FRAMES
    ]
    for item in sources:
        writer.write(item, {"man": man(item.frame), "Zoë's ball": np.ones((HEIGHT, WIDTH), np.float32)})
    return sources


def man(frame: int):
    return disc(20 + 3 * (frame - 1001), 30, 12)


def planes(path: Path):
    """(luma as 0..1, alpha as 0..1) of each frame."""
    with av.open(str(path)) as movie:
        for frame in movie.decode(video=0):
            assert frame.format.name == "yuva444p12le"
            luma, alpha = (values(frame.planes[i]) for i in (0, 3))
            yield (luma / 4 - 64) / 876, alpha / 4095


def values(plane: Any):
    return np.frombuffer(plane, "<u2").reshape(HEIGHT, -1)[:, :WIDTH].astype(np.float64)


def test_alpha_comes_back_and_solid_is_solid(make_writer, source, tmp_path):
    writer = make_writer(format="prores")
    movies = writer.finish(write_all(writer, source))
    assert movies == [tmp_path / "out/mattes/shot_010_man.mov", tmp_path / "out/mattes/shot_010_Zoe_s_ball.mov"]
    assert movies == writer.outputs(FRAMES)
    decoded = list(planes(movies[0]))
    assert len(decoded) == len(FRAMES)
    for frame, (luma, alpha) in zip(FRAMES, decoded, strict=True):
        expected = man(frame)
        assert np.abs(alpha - expected).max() < 1 / 1023  # half a step of 10 bits, twice rounded
        assert alpha[expected == 1].min() == 1
        assert alpha[expected == 0].max() == 0
        assert np.abs(luma - expected).max() < 0.01
    for luma, alpha in planes(movies[1]):
        assert alpha.min() == 1
        assert np.abs(luma - 1).max() < 0.005


def test_rate_shape_tags_and_time_code(make_writer, source):
    writer = make_writer(format="prores")
    path = writer.finish(write_all(writer, source))[0]
    with av.open(str(path)) as movie:
        stream = movie.streams.video[0]
        assert stream.frames == len(FRAMES)
        assert stream.average_rate == Fraction(24000, 1001)
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert stream.sample_aspect_ratio == 2
        assert stream.codec_context.codec_tag == "ap4h"
        assert stream.metadata["timecode"] == "01:00:00:01"
        assert movie.metadata["sa2va/objects/man/phrase"] == "the man"
        assert movie.metadata["sa2va/source_file"] == "shot_010.0086.exr"
        frame = next(movie.decode(stream))
        assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (1, 1, 1, 1)
    assert b"secret_client" not in path.read_bytes()


@pytest.mark.parametrize(("fps", "kept"), [(Fraction(30000, 1001), "00:01:00;02"), (Fraction(24), "00:01:00:02")])
def test_drop_frame_where_the_rate_has_it(make_writer, facts, source, fps, kept):
    writer = make_writer(format="prores")
    writer._facts = replace(facts, fps=fps)
    sources = [replace(item, timecode="00:01:00;02") for item in write_all(writer, source)]
    with av.open(str(writer.finish(sources)[0])) as movie:
        assert movie.streams.video[0].metadata["timecode"] == kept
        assert movie.streams.video[0].average_rate == fps


def test_a_killed_job_goes_on_and_the_movie_is_the_same(make_writer, source, tmp_path):
    writer = make_writer(tmp_path / "whole", format="prores")
    whole = writer.finish(write_all(writer, source))
    first, second = make_writer(tmp_path / "parts", format="prores"), make_writer(tmp_path / "parts", format="prores")
    sources = write_all(first, source)
    for path in first.paths(1005):
        path.unlink()
    second.write(sources[-1], {"man": man(1005), "Zoë's ball": np.ones((HEIGHT, WIDTH), np.float32)})
    assert [path.read_bytes() for path in second.finish(sources)] == [path.read_bytes() for path in whole]


def test_a_frame_that_is_gone_makes_no_movie(make_writer, source, tmp_path):
    writer = make_writer(format="prores")
    sources = write_all(writer, source)
    writer.paths(1003)[0].unlink()
    with pytest.raises(OutputError, match="gone or damaged"):
        writer.finish(sources)
    assert not any(name.endswith(".mov") for name in files_in(tmp_path))


def test_other_formats_have_nothing_to_finish(make_writer, source, alphas):
    writer = make_writer(format="exr")
    paths = writer.write(source, alphas)
    assert writer.finish([source]) == []
    assert writer.outputs([1001]) == paths
