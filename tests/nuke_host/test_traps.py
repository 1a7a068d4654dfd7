"""What others fell into in Nuke: the list of all such traps that we know, and the tests that no other file has."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import actions, batch, knobs, scene

from .conftest import HOST
from .nuke_under_test import NukeUnderTest, run, until
from .test_plates import write_half

TESTS = Path(__file__).parent
#: Trap -> file and test, from this folder.
TRAPS = {
    "executeInMainThread() on the main thread hangs": "test_stand_in.test_threads",
    "nodes and knobs are the main thread's": "test_stand_in.test_threads",
    "nuke -t has no event loop for deferred calls": (
        "test_stand_in.test_without_a_window_there_is_no_event_loop_and_no_message"
    ),
    "tools that work in the window alone are of no use to a farm": "test_job.test_a_whole_job_in_batch",
    "a progress bar stays as long as its object": "test_while_running.test_nukes_own_progress_bar_cancels",
    "a node is renamed while its job runs": "test_while_running.test_a_node_that_is_renamed_meanwhile_gets_its_mattes",
    "a node is deleted while its job runs": "test_while_running.test_a_node_that_is_deleted_meanwhile",
    "a pasted node has its original's job": "test_while_running.test_a_copy_of_a_node_leaves_the_job_to_the_original",
    "closing Nuke loses the job": "test_while_running.test_a_script_that_is_closed_and_opened_again_in_one_nuke",
    "status lines fill the undo list and dirty the script": "test_while_running.test_the_status_line_is_no_edit",
    "Indie and Non-commercial let Python touch ten nodes": "test_while_running.test_indie_limits_are_kept",
    "they let it walk over none": "test_job.test_indie_and_non_commercial_name_their_nodes",
    "a button runs inside its group": "test_traps.test_a_button_runs_inside_the_group_and_yet_nodes_come_beside_it",
    "a menu makes nodes outside the group that the artist works in": (
        "test_results.test_a_new_node_comes_where_the_artist_works"
    ),
    "nodes of one group cannot feed those of another": "test_traps.test_a_node_inside_a_group",
    "nuke.execute() while Nuke renders": "test_traps.test_nuke_renders_one_thing_at_a_time",
    "a cancelled render is an exception like others": "test_plates.test_a_cancelled_render_leaves_no_trace",
    "proxy mode gives small pictures": "test_plates.test_proxy_mode_is_left_out_of_it_and_put_back",
    "a temporary render leaves nodes, a selection, a dirty script": (
        "test_plates.test_an_input_with_effects_is_rendered_as_linear_half"
    ),
    "raw PNG of linear pixels has the wrong colour": "test_traps.test_what_is_rendered_is_linear_half_float",
    "a Write leaves out the view that was asked for": (
        "test_plates.test_the_second_view_is_rendered_though_a_new_write_has_another"
    ),
    "the viewer's view gets into a path": "test_plates.test_views_and_expressions_together",
    "file knobs hold TCL": "test_plates.test_tcl_in_the_plates_path_and_brackets_in_folders",
    "brackets in folders are TCL to a file knob": "test_plates.test_tcl_in_the_plates_path_and_brackets_in_folders",
    "variables of Nuke 16 in paths": "test_plates.test_a_graph_scope_variable_in_paths",
    "paths of another system": "test_plates.test_the_studios_filename_filters",
    "backslashes in paths": "test_stand_in.test_unknown_classes_knobs_and_values",
    "# and % in folders are frame numbers and views": (
        "test_bad_input.test_a_folder_with_a_token_is_refused_though_evaluating_hides_it"
    ),
    "a clip that starts at another frame, or is offset": (
        "test_reads.test_a_moved_clip_keeps_comp_numbers_for_its_results"
    ),
    "expressions on frames": "test_reads.test_expressions_on_frames_are_rendered",
    "what stands before and after a clip": "test_reads.test_frames_outside_the_clip_are_those_that_nuke_shows",
    "missing frames get made-up mattes": "test_reads.test_missing_frames_follow_the_reads_policy",
    "the whole range instead of the frames that were asked for": (
        "test_reads.test_a_plain_read_is_passed_by_path_with_its_own_numbers"
    ),
    "names of colour spaces carry tabs, roles and defaults": "test_reads.test_colour_knobs_carry_more_than_a_name",
    "$OCIO wins over the script": "test_traps.test_ocio_of_the_environment_wins_over_the_scripts_knobs",
    "colour knobs of Root differ between versions": "test_traps.test_colour_knobs_that_a_version_lacks",
    "log curves that only Nuke knows": "test_reads.test_curves_that_only_nuke_knows_are_rendered",
    "loose channels and odd names fall into the layer other": "test_layers.test_any_objects_are_layers_of_their_own",
    "a layer of that name is in the script, with other channels": (
        "test_results.test_a_layer_of_that_name_is_in_the_script_already"
    ),
    "layers that Nuke has already, and Ci": "test_layers.test_the_rules_as_foundry_wrote_them",
    "parts of different size are not read; one line a block": "test_results.test_layers_are_such_that_nuke_shows_each",
    "a colour transform on mattes": "test_results.test_mattes_come_as_layers_by_a_raw_read_and_a_copy",
    "a Copy has four pairs": "test_results.test_many_objects_take_four_layers_a_copy",
    "mattes that a Read shows are overwritten": "test_results.test_a_new_run_never_writes_where_a_read_looks",
    "a gizmo is missing where the script is rendered": "test_results.test_rendering_needs_nothing_of_ours",
    "Roto shapes are drawn over the plate's alpha": (
        "test_results.test_roto_comes_beside_the_node_and_an_earlier_one_stays"
    ),
    "Roto is y up, with the plate's height": "test_acceptance.test_its_splines_draw_its_disc_with_a_hole",
    "handles count from their point, shapes end with their span": (
        "../splines/test_exports.test_nuke_text_draws_the_same_on_every_frame_by_an_own_reading_of_the_grammar"
    ),
    "what stands first in a Roto is on top": (
        "../splines/test_exports.test_in_nuke_what_stands_first_is_on_top_so_a_hole_stands_before_its_shape"
    ),
    "a Roto of many edits is many steps of undo": "test_traps.test_bringing_mattes_in_is_one_step_of_undo",
    "an import in menu.py keeps Nuke from starting": (
        "test_package.test_a_broken_package_does_not_keep_nuke_from_starting"
    ),
    "numpy and packages in Nuke's Python": "test_package.test_it_loads_with_nothing_installed",
    "init.py runs on the farm": "test_package.test_it_loads_with_nothing_installed",
    "Qt's binding changed with Nuke 16": "test_traps.test_no_callback_for_all_nodes_no_qt_no_walk_in_the_window",
    "callbacks for all nodes": "test_traps.test_no_callback_for_all_nodes_no_qt_no_walk_in_the_window",
    "Nuke's environment breaks another Python": "../protocol/test_launcher.test_what_belongs_to_the_host_is_left_out",
    "closing Nuke ends a worker that others use": "test_traps.test_nothing_in_the_package_ends_a_process",
    "Nuke takes a last argument for a range": "test_traps.test_nuke_takes_a_last_argument_that_looks_like_a_range",
    "the package nuke is something else": "test_traps.test_the_package_nuke_is_never_asked_for",
}


def test_every_known_trap_has_its_test() -> None:
    for trap, place in TRAPS.items():
        file, _, name = place.rpartition(".")
        assert f"\ndef {name}(" in (TESTS / f"{file}.py").read_text("utf-8"), trap


def test_a_button_runs_inside_the_group_and_yet_nodes_come_beside_it(host: NukeUnderTest, fake: Any) -> None:
    host.node["result"].setValue("layers + Cryptomatte")
    run(host)
    fake.delete(fake.toNode("Sa2VA1_crypto"))
    host.press("use_run")
    assert fake.toNode("Sa2VA1_crypto").parent() is fake.root()
    assert host.node.node("Sa2VA1_crypto") is None


def test_a_node_inside_a_group(host: NukeUnderTest, fake: Any) -> None:
    """What is temporary and what comes beside it is in that group; batch finds it by its full name."""
    group = fake.nodes.Group(name="Shot")
    with group:
        inside = fake.nodes.Input(name="Input1")
        inside.setSelected(True)
        node: Any = actions.create()
        fake.nodes.Output(inputs=[node])
    group.setInput(0, host.read)
    other: Any = host.node
    node["engine"].setValues(other["engine"].values())
    for name in ("objects", "engine", "output"):
        node[name].setValue(knobs.text(other, name))
    node["result"].setValue("layers + Cryptomatte")
    node["range"].setValue("custom")
    node["first"].setValue(1001)
    node["last"].setValue(1002)
    made: list[Any] = []

    def rendered(path: str, frame: int) -> None:
        made.extend(each.parent() for each in group.nodes() if each.Class() == "Write")
        write_half(path, frame)

    fake._STATE.render = rendered
    node["generate"].execute()
    until(host, lambda: not host.busy)
    assert knobs.text(node, "status").startswith("Done"), knobs.text(node, "status")
    assert set(made) == {group}
    assert node.node("Mattes") is not None
    assert group.node("Sa2VA1_crypto") is not None
    assert fake.toNode("Sa2VA1_crypto") is None
    fake.scriptSaveAs(str(host._script), 1)
    fake._reset(gui=False)
    fake._STATE.render = write_half
    assert batch.main([str(host._script), "--node", "Shot.Sa2VA1"]) == 0


def test_what_is_rendered_is_linear_half_float(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))
    seen: dict[str, Any] = {}

    def rendered(path: str, frame: int) -> None:
        write = fake.toNode("Sa2VA_render")
        seen.update({name: write[name].value() for name in ("file_type", "datatype", "raw", "channels", "views")})
        write_half(path, frame)

    fake._STATE.render = rendered
    run(host)
    assert seen == {"file_type": "exr", "datatype": "16 bit half", "raw": True, "channels": "rgb", "views": "main"}


def test_nothing_in_the_package_ends_a_process() -> None:
    """Several Nukes share a worker, which ends by itself when nobody wants it."""
    for path in Path(HOST).rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
        assert not names & {"kill", "killpg", "terminate", "shut_down_worker", "Popen"}, path


def test_the_package_nuke_is_never_asked_for() -> None:
    """On the package index that name deletes folders."""
    settings = tomllib.loads((TESTS.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *settings["dependencies"],
        *(need for extra in settings["optional-dependencies"].values() for need in extra),
    ]
    assert "nuke" not in {re.split(r"[^\w-]", need)[0] for need in wanted}


def test_bringing_mattes_in_is_one_step_of_undo(host: NukeUnderTest, fake: Any) -> None:
    run(host)
    before = fake._STATE.undos
    host.press("use_run")
    assert fake._STATE.undos == before + 1


def test_colour_knobs_that_a_version_lacks(fake: Any) -> None:
    """Which of them Root has differs from version to version: none is asked for by [], which raises."""
    for name in (
        "colorManagement",
        "OCIO_config",
        "customOCIOConfigPath",
        "OCIOConfigPath",
        "workingSpaceLUT",
        "int8Lut",
    ):
        del fake.root()._knobs[name]
    assert scene.colour() == scene.reads.Colour()


def test_ocio_of_the_environment_wins_over_the_scripts_knobs(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake.root()
    root["colorManagement"].setValue("OCIO")
    root["OCIO_config"].setValue("custom")
    root["customOCIOConfigPath"].setValue("/show/config.ocio")
    root["workingSpaceLUT"].setValue("scene_linear")
    assert scene.colour().config == "/show/config.ocio"
    with monkeypatch.context() as patched:
        patched.setenv("OCIO", "/site/config.ocio")
        assert scene.colour() == scene.reads.Colour(True, "", "scene_linear"), "the worker is told $OCIO by itself"


def test_nuke_renders_one_thing_at_a_time(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))
    fake._STATE.executing = True
    host.press_run()
    assert "Generate again when it has ended" in host.shown
    assert not host.busy
    assert knobs.text(host.node, "pending") == ""


@pytest.mark.parametrize("like_a_range", ["1001-1010", "1001", "1-10x2"])
def test_nuke_takes_a_last_argument_that_looks_like_a_range(like_a_range: str) -> None:
    """So the batch has none: one that comes through is an error, not a range that Nuke may have eaten."""
    with pytest.raises(SystemExit) as ended:
        batch.main(["shot.nk", like_a_range])
    assert ended.value.code == 2


def test_no_callback_for_all_nodes_no_qt_no_walk_in_the_window() -> None:
    """Global callbacks slow every script down, Qt changed its name with Nuke 16, Indie stops at ten nodes."""
    called: dict[str, set[str]] = {}
    imported = set()
    for path in Path(HOST).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nuke":
                called.setdefault(node.attr, set()).add(path.name)
            elif isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    assert len(called) > 30
    assert not [name for name in called if name.startswith(("addKnob", "addOn", "addUpdate", "addBefore", "addAfter"))]
    assert called["allNodes"] == {"batch.py"}, "which refuses to in Indie and Non-commercial"
    assert not imported & {"PySide2", "PySide6", "PyQt5", "Qt", "numpy", "nukescripts"}
