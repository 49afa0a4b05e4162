import json
import subprocess
import sys
from dataclasses import replace

import pytest
from material import ROOT, TASK, make_annotation, write_video

from dataset.annotation import Stage
from dataset.annotation_file import read_annotation, write_annotation
from dataset.convert import FORMATS, export_annotation, import_outline
from dataset.formats.outline import annotation_from_outline, contiguous, outline_of

STAGES = (
    Stage('grasp "it", quickly\nand well', 0, 9),
    Stage("", 9, 12, excluded=True),
    Stage("lift, drop", 12, 20, falls_back_to=1),
    Stage("waiting", 20, 22, excluded=True),
    Stage("grasp it", 22, 30),
)


@pytest.fixture
def annotation(video, tmp_path):
    annotation = replace(make_annotation(video, 40), stages=STAGES, reason="it's in: été", annotator="alice")
    return replace(annotation, video=str(video))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("outcome", [{}, {"success": False, "final_progress": 37.5, "reason": None}])
def test_nothing_is_lost_there_and_back(annotation, video, tmp_path, form, outcome):
    annotation = replace(annotation, **outcome)
    write_annotation(tmp_path / "a.json", annotation)
    other = tmp_path / "other"
    other.write_text(export_annotation(tmp_path / "a.json", form), encoding="utf-8")
    outline = import_outline(other, form, video)
    assert outline == outline_of(annotation)
    back = annotation_from_outline(outline, video, tmp_path / "b.json")
    assert (back.stages, back.fingerprint, back.num_frames) == (annotation.stages, annotation.fingerprint, 40)


@pytest.mark.parametrize("form", ["via", "csv"])
def test_times_of_a_variable_rate_survive(tmp_path, form):
    video = write_video(tmp_path / "v.mkv", 8, times=[0, 10, 500, 520, 530, 900, 2000, 2001])
    annotation = make_annotation(video, 1, 3, 6, 8)
    write_annotation(tmp_path / "a.json", annotation)
    (tmp_path / "other").write_text(export_annotation(tmp_path / "a.json", form))
    assert import_outline(tmp_path / "other", form, video).stages == annotation.stages


def test_a_via_project_made_by_hand(video, tmp_path):
    """One choice attribute, times between frames, a gap, no word about task and outcome."""
    project = {
        "project": {}, "config": {}, "view": {"7": {"fid_list": [3]}},
        "file": {"3": {"fid": 3, "fname": "folder/demo.mp4", "type": 4, "loc": 1, "src": ""}},
        "attribute": {
            "1": {"aname": "action", "anchor_id": "FILE1_Z2_XY0", "type": 4, "options": {"0": "open", "1": "close"}}
        },
        "metadata": {
            "a": {"vid": "7", "flg": 0, "z": [0.79, 1.2], "xy": [], "av": {"1": "1"}},
            "b": {"vid": "7", "flg": 0, "z": [0, 0.405], "xy": [], "av": {"1": "0"}},
        },
    }  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps(project))
    outline = import_outline(tmp_path / "p.json", "via", video)
    assert outline.stages == (Stage("open", 0, 10), Stage("close", 20, 30))
    with pytest.raises(ValueError, match="does not contain task, outcome; add --task --outcome"):
        annotation_from_outline(outline, video, tmp_path / "a.json")
    made = annotation_from_outline(replace(outline, task="t", success=True), video, tmp_path / "a.json")
    assert made.stages == (Stage("open", 0, 10), Stage("", 10, 20, excluded=True), Stage("close", 20, 30))


def test_a_label_studio_export_made_by_hand(video, tmp_path):
    """Frames count from 1 and neighbours share their boundary frame."""
    rows = [
        {"type": "timelinelabels", "value": {"ranges": [{"start": 10, "end": 30}], "timelinelabels": ["close"]}},
        {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 10}], "timelinelabels": ["open"]}},
    ]
    other = {"data": {"video": "/data/upload/1/77aa-other.mp4"}, "annotations": []}
    task = {"data": {"video": "/data/upload/1/0a1b2c3d-demo.mp4"}, "annotations": [{"result": rows}]}
    (tmp_path / "export.json").write_text(json.dumps([other, task]))
    outline = import_outline(tmp_path / "export.json", "label_studio", video, project_fps=25)
    assert contiguous(outline.stages) == (Stage("open", 0, 10), Stage("close", 10, 30))


def label_studio_export(folder, *ranges, **data):
    rows = [
        {"type": "timelinelabels", "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [f"s{start}"]}}
        for start, end in ranges
    ]
    path = folder / "export.json"
    path.write_text(json.dumps([{"data": {"video": "demo.mp4", **data}, "annotations": [{"result": rows}]}]))
    return path


def test_label_studio_counts_frames_at_a_rate_of_its_own(video, tmp_path):
    """The video has 40 frames in 1.6 s; at 50 frames per second its second half begins at frame 41 of 80."""
    path = label_studio_export(tmp_path, (1, 40), (41, 60))
    with pytest.raises(ValueError, match=r"does not say .* has 25; add --project_fps: the frameRate .* 24 if none"):
        import_outline(path, "label_studio", video)
    halves = (Stage("s1", 0, 20), Stage("s41", 20, 30))
    assert import_outline(path, "label_studio", video, project_fps=50).stages == halves
    named = label_studio_export(tmp_path, (1, 40), (41, 60), fps="50")  # frameRate="$fps"
    assert import_outline(named, "label_studio", video).stages == halves
    slow = write_video(tmp_path / "slow.mp4", 40, fps=24)
    plain = label_studio_export(tmp_path, (1, 20))  # the rate that Label Studio takes by itself
    assert import_outline(plain, "label_studio", slow).stages == (Stage("s1", 0, 20),)
    with pytest.raises(ValueError, match="--project_fps is for label_studio"):
        import_outline(path, "csv", video, project_fps=50)


def test_names_and_outcomes_of_other_tools_in_any_case(video, tmp_path):
    annotation = replace(make_annotation(video, 10, 30, success=False, final_progress=37.5), video=str(video))
    write_annotation(tmp_path / "a.json", annotation)
    for form, changes in (
        ("via", [('"stage"', '"Stage"'), ('"outcome"', '"Outcome"'), ('"final_progress"', '"Final progress"')]),
        ("label_studio", [('"outcome"', '"Outcome"')]),
    ):
        text = export_annotation(tmp_path / "a.json", form)
        for old, new in [*changes, ('"not done"', '"Not_Done"'), ('"37.5"', '"37,5 %"')]:
            text = text.replace(old, new)
        (tmp_path / "other").write_text(text)
        outline = import_outline(tmp_path / "other", form, video)
        assert (outline.success, outline.final_progress, len(outline.stages)) == (False, 37.5, 2)
        (tmp_path / "other").write_text(text.replace("Not_Done", "failed"))
        with pytest.raises(ValueError, match='outcome: "failed"; write done or not done'):
            import_outline(tmp_path / "other", form, video)


def test_frames_and_times_outside_the_video_are_refused(video, tmp_path):
    with pytest.raises(ValueError, match="starts at frame 0; Label Studio counts from 1"):
        import_outline(label_studio_export(tmp_path, (0, 20), fps=25), "label_studio", video)
    with pytest.raises(ValueError, match=r"begins or ends at 2\.4 s, and the video lasts from 0 to 1\.60 s"):
        import_outline(label_studio_export(tmp_path, (1, 60), fps=25), "label_studio", video)
    write_annotation(tmp_path / "a.json", replace(make_annotation(video, 10, 30), video=str(video)))
    project = json.loads(export_annotation(tmp_path / "a.json", "via"))
    project["metadata"]["1_stage002"]["z"] = [0.4, 1.62]  # a player may round the end up
    (tmp_path / "p.json").write_text(json.dumps(project))
    assert import_outline(tmp_path / "p.json", "via", video).stages[1].end == 40
    project["metadata"]["1_stage002"]["z"] = [0.4, 12.5]
    (tmp_path / "p.json").write_text(json.dumps(project))
    with pytest.raises(ValueError, match=r"p\.json: a segment begins or ends at 12\.5 s, and the video lasts"):
        import_outline(tmp_path / "p.json", "via", video)
    (tmp_path / "t.csv").write_text("subtask,last_frame\nopen,99\n")
    outline = replace(import_outline(tmp_path / "t.csv", "csv", video), task="t", success=True)
    with pytest.raises(ValueError, match="ends at frame 100, but the video has 40 frames"):
        annotation_from_outline(outline, video, tmp_path / "b.json")


TABLE = (
    "Subtask;First Frame;Last frame;EXCLUDED;Final progress;Outcome\r\n"
    "öffnen;0;9,00;No;37,5 %;Not Done\r\n;;;;;\r\nweg; ;29;;;\r\n;;;;;\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode("utf-8-sig"),
        b"sep=;\r\n" + TABLE.encode(),
        b"\r\n" + TABLE.encode(),
        TABLE.replace(";", "\t").encode("utf-16"),  # Excel's "Unicode text"
        TABLE.replace("9,00", "9.0").replace("37,5 %", "37.5").replace(";", ",").encode(),
        TABLE.replace("\r\n", "\r").encode(),
    ],
    ids=["semicolons", "with a hint", "after an empty row", "tabs in UTF-16", "commas", "old line ends"],
)
def test_tables_as_spreadsheets_write_them(video, tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    outline = import_outline(tmp_path / "t.csv", "csv", video)
    assert outline.stages == (Stage("öffnen", 0, 10), Stage("weg", 10, 30))
    assert (outline.success, outline.final_progress) == (False, 37.5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TABLE.encode("latin-1"), 'row 2 holds a letter that is not UTF-8; save the table as "CSV UTF-8"'),
        (b"PK\x03\x04 workbook", 'the file is a workbook; save the sheet as "CSV UTF-8"'),
        (b"\r\n", "the table is empty; its first row names the columns subtask, last_frame"),
        (b"text,end\nopen,9\n", "lacks the column subtask and last_frame; its first row names the columns text, end;"),
        (b"subtask,last_frame,exclude\nopen,9,yes\n", 'has a column "exclude"; did you mean excluded'),
        (b"subtask,last_frame\nopen, then close,9\n", "row 2 has more cells than columns; put texts"),
        (b"subtask,last_frame,task\na,9,open\nb,19,close\n", 'row 3, column task: "close", but row 2 says "open"'),
        (b"subtask,last_frame,fps\na,9,50\n", "counted at 50 frames per second, and demo.mp4 has 25"),
        (b"video,subtask,last_frame\ndemo.mp4,a,9\nb.mp4,a,9\n,b,19\n", "row 4, column video: empty"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_with_a_remedy(video, tmp_path, data, message):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(ValueError) as caught:
        import_outline(tmp_path / "t.csv", "csv", video)
    assert message in str(caught.value)


def test_a_table_of_several_videos(video, tmp_path):
    table = "video,subtask,last_frame\nC:\\clips\\demo.mp4,a,9\n/clips/other.mp4,b,5\ndemo.mp4,c,19\n"
    (tmp_path / "t.csv").write_text(table)
    assert [stage.subtask for stage in import_outline(tmp_path / "t.csv", "csv", video).stages] == ["a", "c"]


def test_a_table_needs_two_columns(video, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("subtask,last_frame\nopen,9\nclose,29\n")
    assert import_outline(table, "csv", video).stages == (Stage("open", 0, 10), Stage("close", 10, 30))
    for text, message in (
        ("subtask\nopen\n", "lacks the column last_frame"),
        ("subtask,last_frame\nopen,soon\n", 'row 2, column last_frame: "soon"; write a whole number'),
        ("subtask,last_frame,outcome\nopen,9,maybe\n", 'column outcome: "maybe"; write done or not done'),
        ("video,subtask,last_frame\nx.mp4,open,9\n", r"holds no row of demo\.mp4"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            import_outline(table, "csv", video)


def test_overlaps_are_refused_and_marks_follow_their_stage():
    with pytest.raises(ValueError, match='segment 2 "b" starts at frame 5, before the previous one ends at frame 10'):
        contiguous([Stage("a", 0, 10), Stage("b", 5, 20)])
    filled = contiguous([Stage("a", 3, 10), Stage("b", 10, 20, falls_back_to=1), Stage("c", 25, 30, falls_back_to=3)])
    assert [stage.falls_back_to for stage in filled] == [None, None, 2, None, 5]


@pytest.mark.parametrize("form", FORMATS)
def test_other_files_are_refused_by_name(video, tmp_path, form):
    path = tmp_path / "strange.json"
    for content in ("{}", "[]", "[3]", '{"metadata": 3, "file": 1, "view": {"a": 1}, "attribute": 2}', "nothing"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"strange\.json: "):
            import_outline(path, form, video)


@pytest.mark.slow
def test_the_command(video, tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "dataset.convert", *map(str, words)], cwd=ROOT, capture_output=True, text=True
        )

    write_annotation(tmp_path / "a.json", replace(make_annotation(video, 10, 30), video=str(video)))
    table, back = tmp_path / "a.csv", tmp_path / "b.json"
    assert "wrote" in run(tmp_path / "a.json", "--to", "csv", "--output", table).stdout
    result = run(table, "--from", "csv", "--video", video, "--output", back)
    assert result.returncode == 0, result.stderr
    assert read_annotation(back).task == TASK
    assert "2 stages of 40 frames" in result.stdout
    for output in (table, video):
        assert "is also read" in run(table, "--from", "csv", "--video", video, "--output", output).stderr
    table.write_text("subtask,last_frame\nopen,9\n")
    result = run(table, "--from", "csv", "--video", video, "--output", back)
    assert result.returncode == 2 and "--task --outcome" in result.stderr
