"""VIA projects: the JSON of the VGG video annotator, version 3, with temporal segments in seconds.

Knows that format; `outline` connects it with annotations. Stages are temporal segments (`z`) with their text in the
first attribute; task and outcome are attributes of the file.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np

from dataset.formats.outline import Outline, marked_text, nearest_edge, read_number, read_outcome, stage_from_marked

SEGMENT, WHOLE_FILE = "FILE1_Z2_XY0", "FILE1_Z0_XY0"  # what an attribute is attached to
_STAGE, _FALLS_BACK = "stage", "falls_back_to"
_FILE_FIELDS = ("task", "outcome", "reason", "final_progress", "annotator")
_TEXT, _VIDEO, _LOCAL = 1, 4, 1  # VIA's numbers for a text attribute, a video, a file chosen by hand


def to_via(outline: Outline, video: str, edges: np.ndarray) -> dict[str, Any]:
    """Return a VIA project of one video.

    Args:
        outline: What to write.
        video: Name of the video.
        edges: `outline.frame_edges` of it.
    """
    names = (_STAGE, _FALLS_BACK, *_FILE_FIELDS)
    number = {name: str(place) for place, name in enumerate(names, start=1)}
    attributes = {
        number[name]: {
            "aname": name,
            "anchor_id": WHOLE_FILE if name in _FILE_FIELDS else SEGMENT,
            "type": _TEXT,
            "desc": "",
            "options": {},
            "default_option_id": "",
        }
        for name in names
    }
    metadata = {}
    for place, stage in enumerate(outline.stages, start=1):
        values = {number[_STAGE]: marked_text(stage)}
        if stage.falls_back_to is not None:
            values[number[_FALLS_BACK]] = str(stage.falls_back_to)
        span = [round(float(edges[stage.start]), 4), round(float(edges[stage.end]), 4)]
        metadata[f"1_stage{place:03d}"] = {"vid": "1", "flg": 0, "z": span, "xy": [], "av": values}
    file_values = {
        "task": outline.task,
        "outcome": None if outline.success is None else "done" if outline.success else "not done",
        "reason": outline.reason,
        "final_progress": None if outline.final_progress is None else repr(outline.final_progress),
        "annotator": outline.annotator,
    }
    values = {number[name]: value for name, value in file_values.items() if value is not None}
    metadata["1_outcome"] = {"vid": "1", "flg": 0, "z": [], "xy": [], "av": values}
    return {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": PurePath(video).stem,
            "creator": "Onetake",
            "created": 0,
            "data_format_version": "3.1.2",
            "vid_list": ["1"],
        },
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
        "attribute": attributes,
        "file": {"1": {"fid": "1", "fname": video, "type": _VIDEO, "loc": _LOCAL, "src": video}},
        "metadata": metadata,
        "view": {"1": {"fid_list": ["1"]}},
    }


def from_via(document: Any, video: str, edges: np.ndarray) -> Outline:
    """Read one video of a VIA project; times go to the nearest frame.

    The stage text is the attribute named "stage", or the only text or choice attribute of segments.

    Args:
        document: The project.
        video: Name of the video; a project of one video is used under any name.
        edges: `outline.frame_edges` of the video.

    Raises:
        ValueError: It is no VIA 3 project, or does not hold the video or any segment of it.
    """
    if not isinstance(document, dict) or not {"metadata", "file", "view", "attribute"} <= document.keys():
        raise ValueError("the file is no VIA 3 project; save one with VIA's video annotator (Save project, JSON)")
    view = _view_of(document, PurePath(video).name)
    attributes = document["attribute"]
    file_names = {key: _attribute_name(row) for key, row in attributes.items() if row.get("anchor_id") == WHOLE_FILE}
    text_key = _text_attribute(attributes)
    back_key = next((key for key, row in attributes.items() if _attribute_name(row) == _FALLS_BACK), None)
    stages = []
    file_values: dict[str, str] = {}
    for row in document["metadata"].values():
        if str(row.get("vid")) != view:
            continue
        if len(row.get("z", [])) == 2:
            text = str(row["av"].get(text_key, ""))
            text = str(attributes[text_key].get("options", {}).get(text, text))  # choices store the number of an option
            start, end = (nearest_edge(edges, float(time)) for time in row["z"])
            back = row["av"].get(back_key)
            stages.append(stage_from_marked(text, start, end, int(back) if back else None))
        elif not row.get("z"):
            file_values |= {file_names[key]: value for key, value in row["av"].items() if key in file_names}
    if not stages:
        raise ValueError(f"the project holds no temporal segment of {PurePath(video).name}; mark its stages in VIA")
    return Outline(
        tuple(sorted(stages, key=lambda stage: stage.start)),
        file_values.get("task"),
        read_outcome(file_values.get("outcome"), "outcome"),
        file_values.get("reason"),
        read_number(file_values.get("final_progress"), "final_progress"),
        file_values.get("annotator"),
    )


def _attribute_name(row: dict[str, Any]) -> str:
    """Return the name of an attribute as it is compared: in small letters, with underscores."""
    return "_".join(str(row.get("aname")).lower().split())


def _view_of(document: dict[str, Any], video: str) -> str:
    """Return the id of the view that shows the video."""
    names = {
        key: PurePath(str(document["file"][str(view["fid_list"][0])]["fname"])).name
        for key, view in document["view"].items()
        if view.get("fid_list")
    }
    for key, name in names.items():
        if name == video or len(names) == 1:
            return str(key)
    raise ValueError(f"the project holds {', '.join(names.values()) or 'no video'}, not {video}; name one of them")


def _text_attribute(attributes: dict[str, Any]) -> str:
    of_segments = [key for key, row in attributes.items() if row.get("anchor_id") == SEGMENT]
    named = [key for key in of_segments if _attribute_name(attributes[key]) == _STAGE]
    others = [key for key in of_segments if _attribute_name(attributes[key]) != _FALLS_BACK]
    if len(named) == 1 or len(others) == 1:
        return (named or others)[0]
    names = ", ".join(str(attributes[key].get("aname")) for key in of_segments) or "none"
    raise ValueError(f'segments have the attributes {names}; name the one that holds the sub-task "{_STAGE}" in VIA')
