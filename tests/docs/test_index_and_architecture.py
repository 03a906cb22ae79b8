"""Every page can be found from the index, and the page of the architecture shows every room."""

from pathlib import Path

import facelume

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def test_the_index_links_every_page_and_the_readme_links_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [page.name for page in PAGES if page.name != "index.md" and f"]({page.name})" not in index]
    assert missing == []
    assert "](docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_room_of_the_package_is_on_the_page_of_the_architecture():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("## The rooms")[1].split("\n## ")[0]
    package = Path(facelume.__file__).parent
    rooms = {
        path.stem for path in package.glob("*") if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    missing = {room for room in rooms - {"__init__"} if f"`{room}`" not in table}
    assert missing == set()


def test_no_page_or_tool_names_a_place_outside_the_repository():
    folders = ("docs", "tools", "tests", "examples", "benchmarks", "src")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    texts = [path for path in files if path.suffix in {".py", ".md", ".json"} and path != Path(__file__)]
    outside = "../" + "shared"
    found = [path.name for path in texts if outside in path.read_text(encoding="utf-8")]
    assert found == []
