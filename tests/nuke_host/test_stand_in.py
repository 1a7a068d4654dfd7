"""The stand-in refuses what Nuke would hang on, crash on, or pass over in silence."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest


def _elsewhere(call: Any) -> Exception | None:
    """Call on another thread; what it raised."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_unknown_classes_knobs_and_values(fake: Any) -> None:
    with pytest.raises(RuntimeError, match="unknown command"):
        fake.nodes.Reed()
    read = fake.nodes.Read()
    with pytest.raises(NameError, match="flie"):
        read["flie"]
    with pytest.raises(ValueError, match="no value"):
        read["on_error"].setValue("blak")
    with pytest.raises(TypeError):
        read["first"].setValue("1001")
    with pytest.raises(AssertionError, match="backslash"):
        read["file"].setValue("P:\\plates\\sh.####.exr")
    with pytest.raises(ValueError, match="no channel"):
        fake.nodes.Copy()["from0"].setValue("man.alpha")
    with pytest.raises(AssertionError, match="no curves"):
        fake.nodes.Roto()["curves"].fromScript("{{{v x3f99999a} {f 0} {n {layer Root}}}}")
    with pytest.raises(ValueError, match="no such view"):
        fake.nodes.Write()["views"].setValue("left")
    assert read.knob("flie") is None


def test_threads(fake: Any) -> None:
    read = fake.nodes.Read()
    for call in (
        lambda: read["first"].setValue(2),
        lambda: read["first"].value(),
        fake.root,
        lambda: fake.message("x"),
    ):
        assert "off the main thread" in str(_elsewhere(call))
    with pytest.raises(AssertionError, match="hangs"):
        fake.executeInMainThread(print, ())
    knob = read["first"]
    assert _elsewhere(lambda: fake.executeInMainThread(knob.setValue, (7,))) is None
    assert read["first"].value() == 1, "not before the event loop runs"
    fake._STATE.pump()
    assert read["first"].value() == 7


def test_every_function_but_that_for_other_threads_is_the_main_threads(fake: Any) -> None:
    functions = {
        name: call for name, call in vars(fake).items() if inspect.isfunction(call) and not name.startswith("_")
    }
    assert len(functions) >= 20
    del functions["executeInMainThread"]
    for name, call in functions.items():
        wanted = [p for p in inspect.signature(call).parameters.values() if p.default is p.empty]
        given = [None for p in wanted if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert "off the main thread" in str(_elsewhere(lambda call=call, given=given: call(*given))), name


def test_deleted_nodes(fake: Any) -> None:
    read = fake.nodes.Read()
    fake.delete(read)
    with pytest.raises(ValueError, match="not attached"):
        read.name()


def test_without_a_window_there_is_no_event_loop_and_no_message(fake: Any) -> None:
    fake._reset(gui=False)
    assert "nothing would run it" in str(_elsewhere(lambda: fake.executeInMainThread(print)))
    with pytest.raises(AssertionError, match="without a window"):
        fake.message("hello")


def test_what_is_not_there_yet(fake: Any) -> None:
    group, read = fake.nodes.Group(), fake.nodes.Read()
    with pytest.raises(AssertionError, match="input 0"):
        group.setInput(0, read)
    write = fake.nodes.Write()
    with pytest.raises(NameError, match="file type"):
        write["datatype"]


def test_connections_stay_inside_their_group(fake: Any) -> None:
    group, read = fake.nodes.Group(), fake.nodes.Read()
    with group:
        copy = fake.nodes.Copy()
    with pytest.raises(AssertionError, match="input 0"):
        copy.setInput(0, read)
