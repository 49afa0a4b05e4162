"""What is often named as a video and is none: addresses, arrays, logs, data sets, pictures. What it is, and the way in.

Knows names, folders and the first bytes of files. Opens no video.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

SHOWN = "docs/formats.md (From other recordings) shows how"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,3}")  # pathlib makes one slash of two; a drive has one letter
_ARRAYS = f"write the pictures of one camera into a video; {SHOWN}"
_BAG = f"write the pictures of one topic into a video; {SHOWN}"
_KINDS = {  # suffix: what it is, and the way in
    ".h5": ("an HDF5 file", _ARRAYS),
    ".hdf5": ("an HDF5 file", _ARRAYS),
    ".npz": ("a file of NumPy arrays", _ARRAYS),
    ".npy": ("a NumPy array", _ARRAYS),
    ".pkl": ("a pickle", _ARRAYS),
    ".pickle": ("a pickle", _ARRAYS),
    ".pt": ("a file of torch tensors", _ARRAYS),
    ".mat": ("a MATLAB file", _ARRAYS),
    ".zarr": ("a Zarr store", _ARRAYS),
    ".parquet": ("a Parquet table", f"if it holds pictures, write them into a video; {SHOWN}"),
    ".arrow": ("an Arrow table", f"if it holds pictures, write them into a video; {SHOWN}"),
    ".tfrecord": ("a TFRecord file (RLDS)", f"write the pictures of one episode into a video; {SHOWN}"),
    ".bag": ("a ROS bag", _BAG),
    ".db3": ("a ROS 2 bag", _BAG),
    ".mcap": ("an MCAP log", _BAG),
    ".svo": ("a ZED recording", "export its left picture as MP4 with the maker's ZED_SVO_Editor or SDK"),
    ".svo2": ("a ZED recording", "export its left picture as MP4 with the maker's ZED_SVO_Editor or SDK"),
    ".zip": ("an archive", "unpack it and name the video in it"),
    ".tar": ("an archive", "unpack it and name the video in it"),
    ".gz": ("an archive", "unpack it and name the video in it"),
    ".json": ("a JSON file", "name the video; an annotation goes to --annotations, or after `python -m dataset`"),
    ".jsonl": ("a file of JSON lines", "name the video"),
    ".csv": ("a table", "name the video; `python -m dataset.convert` reads tables of stages"),
    ".txt": ("a text file", "name the video"),
    ".png": ("one picture", "name the folder that holds the numbered pictures"),
    ".jpg": ("one picture", "name the folder that holds the numbered pictures"),
    ".jpeg": ("one picture", "name the folder that holds the numbered pictures"),
}
_BEGINNINGS = {  # first bytes: the suffix of the kind
    b"\x89HDF\r\n\x1a\n": ".hdf5",
    b"\x93NUMPY": ".npy",
    b"PAR1": ".parquet",
    b"ARROW1": ".arrow",
    b"#ROSBAG V": ".bag",
    b"SQLite format 3": ".db3",
    b"\x89MCAP": ".mcap",
    b"PK\x03\x04": ".zip",
    b"\x1f\x8b": ".gz",
}


def is_address(path: str | Path) -> bool:
    """Return whether a path is the address of something elsewhere."""
    return _ADDRESS.match(str(path)) is not None


def foreign_kind(path: str | Path) -> str | None:
    """Return what a path is, if it is no video, and how to get it in; None if it may be a video.

    A folder is foreign if it is a data set: LeRobot, Zarr, RLDS or a ROS 2 bag.
    """
    address = _ADDRESS.match(str(path))
    if address:
        return _address(address.group(1).lower())
    path = Path(path)
    if path.is_dir():
        return _data_set(path)
    suffix = path.suffix.lower()
    if path.is_file():
        try:
            with path.open("rb") as file:
                begins = file.read(16)
        except OSError:
            return None  # the reader says why it cannot be opened
        if suffix not in _KINDS:
            suffix = next((kind for start, kind in _BEGINNINGS.items() if begins.startswith(start)), suffix)
    if suffix not in _KINDS:
        return None
    kind, remedy = _KINDS[suffix]
    return f"is {kind}, not a video; {remedy}"


def _address(scheme: str) -> str:
    if scheme in ("rtsp", "rtmp", "udp", "tcp", "srt"):
        return "is a live stream; record it first: `ffmpeg -i ADDRESS -c copy -t SECONDS my.mp4`"
    if scheme in ("s3", "gs", "hf", "az"):
        return "is in a remote store, and only files are read; copy it to this machine first"
    return "is an address, and only files are read; download it first: `curl -L -o my.mp4 ADDRESS`"


def _data_set(folder: Path) -> str | None:
    """Return what a folder is and the way in, if it is a data set of another program."""
    info = folder / "meta" / "info.json"
    if info.is_file():
        return _lerobot(info)
    if any((folder / name).exists() for name in (".zgroup", ".zarray", "zarr.json")):
        return f"is a Zarr store; {_ARRAYS}"
    if (folder / "metadata.yaml").is_file() and any(folder.glob("*.db3")) | any(folder.glob("*.mcap")):
        return f"is a ROS 2 bag; {_BAG}"
    if (folder / "dataset_info.json").is_file() and any(folder.glob("*.tfrecord*")):
        return f"is an RLDS data set; {_KINDS['.tfrecord'][1]}"
    return None


def _lerobot(info: Path) -> str:
    """Return how to get the videos of a LeRobot data set in: as they are (version 2), or cut into episodes (3)."""
    start = "is a LeRobot data set, which is not read as a whole yet;"
    try:
        version = str(json.loads(info.read_text(encoding="utf-8")).get("codebase_version", ""))
    except (OSError, ValueError, AttributeError):
        version = ""
    videos = info.parent.parent / "videos"
    if version.startswith("v2"):
        folder = next((path.parent for path in sorted(videos.rglob("episode_*.mp4"))), videos / "chunk-000" / "CAMERA")
        return f"{start} name the folder of one camera, which holds one video per episode: {folder}"
    return f"{start} its files hold several episodes each: cut them with ffmpeg; {SHOWN}"
