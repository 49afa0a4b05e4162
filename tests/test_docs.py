"""What docs/ says is true: messages exist in the code, links lead somewhere, made pages are up to date."""

import ast
import re

import file_tree
import pytest
import recipe_reference
from material import ROOT
from shown_commands import checked_commands

DOCS = ROOT / "docs"
PACKAGES = ("annotate", "dataset", "infer", "train")
QUOTED = re.findall(r"^> `(.+)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
GAP = "\0"  # where a literal of the code has a placeholder


def literals() -> list[str]:
    """Return the text literals of the packages, placeholders of f-strings as gaps."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).glob("**/*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append("".join(v.value if isinstance(v, ast.Constant) else GAP for v in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


@pytest.fixture(scope="module")
def code() -> list[str]:
    return literals()


def test_there_are_messages():
    assert len(QUOTED) > 20


@pytest.mark.parametrize("message", QUOTED)
def test_a_message_that_is_explained_exists_in_the_code(message, code):
    parts = [part.strip(" `\"'") for part in message.split("…")]
    assert any(len(part) > 12 for part in parts), "too vague to be found"
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(literal) for literal in code), message


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere_and_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (DOCS / target).exists(), target
    checked_commands(text)


def test_every_page_and_picture_is_linked():
    pages = [
        ROOT / "README.md",
        *DOCS.glob("*.md"),
        *(ROOT / name / "README.md" for name in ("benchmarks", "recipes/nano")),
    ]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for path in [*DOCS.glob("*.md"), *DOCS.glob("*.png"), *DOCS.glob("schemas/*.json")]:
        assert path.name in text, f"{path.name} is linked from nowhere"


def test_the_recipe_reference_is_up_to_date():
    now = recipe_reference.render()
    assert recipe_reference.PAGE.read_text(encoding="utf-8") == now, "run python tests/recipe_reference.py"


def test_the_file_tree_is_up_to_date():
    assert file_tree.PAGE.read_text(encoding="utf-8") == file_tree.render(), "run python tests/file_tree.py"


def test_the_recipe_reference_describes_every_key():
    for _, section in recipe_reference.SECTIONS:
        texts = recipe_reference.described(section)
        for name in section.__dataclass_fields__:
            assert len(texts[name]) > 5, f"{section.__name__}.{name}"
