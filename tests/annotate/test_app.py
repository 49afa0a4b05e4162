import pytest
from fastapi.testclient import TestClient
from material import ROOT, TASK

from annotate import Store, build_app
from annotate.app import SCRIPTS


@pytest.fixture(scope="module")
def client(video):
    with TestClient(build_app(Store.open([video], TASK, video.parent / "labels"))) as client:
        yield client


def test_the_page_holds_the_editor_and_names_no_other_host(client):
    page = client.get("/").text
    assert "stage-timeline" in page
    assert "class Episode" in page
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


def test_every_script_is_on_the_page_and_nothing_is_written_beside_the_code(client):
    assert sorted(SCRIPTS) == sorted(path.name for path in (ROOT / "annotate" / "page").glob("*.js"))
    assert not list((ROOT / "annotate").rglob("*.pyi"))


def test_templates_hold_no_placeholder_that_would_run_text():
    template = (ROOT / "annotate" / "page" / "timeline.html").read_text(encoding="utf-8")
    assert "${" not in template
    assert "{{" not in template
    for name in SCRIPTS:
        script = (ROOT / "annotate" / "page" / name).read_text(encoding="utf-8")
        assert "innerHTML" not in script
        assert "insertAdjacentHTML" not in script
