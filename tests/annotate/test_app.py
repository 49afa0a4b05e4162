import re
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from material import ROOT, TASK

from annotate import Store, build_app
from annotate.page_files import PageScripts


@pytest.fixture(scope="module")
def client(video):
    with TestClient(
        build_app(Store.open([video], TASK, video.parent / "labels")), base_url="http://127.0.0.1"
    ) as client:
        yield client


def test_the_page_holds_the_editor_and_names_no_other_host(client):
    page = client.get("/").text
    assert "stage-timeline" in page
    scripts = PageScripts()
    assert f"page/{scripts.version}/start.js" in page
    reply = client.get(f"/page/{scripts.version}/episode.js")
    assert "class Episode" in reply.text
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
    for host in ("fonts.googleapis.com", "fonts.gstatic.com"):
        assert f'href="https://{host}/css' not in page


def test_no_file_of_the_machine_is_served(client):
    for path in (
        "/gradio_api/file=/etc/passwd",
        f"/gradio_api/file={ROOT / 'pyproject.toml'}",
        "/gradio_api/file=pyproject.toml",
        "/gradio_api/file=../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/..%2f..%2fetc%2fpasswd",
    ):
        reply = client.get(path)
        assert reply.status_code in (403, 404), path
        assert "root:" not in reply.text
        assert "[project]" not in reply.text


def test_every_script_is_served_and_nothing_is_written_beside_the_code(client):
    folder = Path(ROOT / "annotate")
    version = PageScripts().version
    scripts = sorted(path.name for path in folder.glob("page/*.js"))
    assert "start.js" in scripts
    for name in scripts:
        text = client.get(f"/page/{version}/{name}").text
        assert text == (folder / "page" / name).read_text(encoding="utf-8")
        for imported in re.findall(r'from "\./(.+?)"', text):
            assert imported in scripts
    assert not list(folder.rglob("*.pyi"))


def test_an_old_page_gets_no_script_of_another_version(client):
    version = PageScripts().version
    assert client.get("/page/0123456789abcdef/start.js").status_code == 404
    for name in ("timeline.html", "none.js", "..%2fapp.py"):
        assert client.get(f"/page/{version}/{name}").status_code == 404


def test_a_changed_script_has_another_address(monkeypatch, tmp_path):
    shutil.copytree(ROOT / "annotate" / "page", tmp_path / "page")
    monkeypatch.setattr("annotate.page_files._FOLDER", tmp_path / "page")
    before = PageScripts().version
    assert before == PageScripts().version
    with (tmp_path / "page" / "urls.js").open("a") as file:
        file.write("// changed\n")
    assert PageScripts().version != before


def test_templates_hold_no_placeholder_that_would_run_text():
    template = (ROOT / "annotate" / "page" / "timeline.html").read_text(encoding="utf-8")
    assert "${" not in template
    assert "{{" not in template
    for path in (ROOT / "annotate" / "page").glob("*.js"):
        script = path.read_text(encoding="utf-8")
        assert "innerHTML" not in script
        assert "insertAdjacentHTML" not in script
