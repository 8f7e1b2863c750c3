"""The README tells the truth: its tables come from the code, its commands exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from console.cli.app import app
from console.docs import with_tables

ROOT = Path(__file__).parents[2]
DEPLOY = sorted(page.relative_to(ROOT) for page in (ROOT / "deploy").glob("*.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_code() -> None:
    assert with_tables(README) == README, "run: .venv/bin/python -m console.docs README.md"
    assert "safelight_proxy_verdict_seconds" in README
    assert "`proxy.listen`" in README


def test_every_command_in_the_readme_exists() -> None:
    root = get_command(app)
    named = set(re.findall(r"(?<![\w/-])safelight ((?:[a-z]+ ?){1,2})", README.replace(".venv/bin/", "")))
    assert named
    for words in (name.split() for name in named):
        commands = getattr(root, "commands", {})
        assert words[0] in commands, words
        inner = getattr(commands[words[0]], "commands", None)
        if inner is not None and len(words) > 1:
            assert words[1] in inner, words


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`(?:[A-Z]+=\w+ )*make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", *map(str, DEPLOY)])
def test_what_a_page_links_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#]*)(?:#([^)]*))?\)", text):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            named = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in named, f"{target}#{anchor}"
