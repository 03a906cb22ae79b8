"""What the pages tell a reader to do works: code and commands run, links and names lead somewhere.

Every fenced block has one of four languages. ``python`` runs, all blocks of a page in one namespace. ``sh``
holds commands: those of ``facelume`` run if they take seconds, every other one is read by the parser of its
program. ``json`` is loaded. ``text`` is a drawing and must hold no command.
"""

import ast
import importlib
import itertools
import json
import re
import shlex
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from PIL import Image
from scipy.io import savemat

from facelume.cli.main import main, parse

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")])
LANGUAGES = {"python", "sh", "json", "text"}
TAKES_HOURS = {"train", "evaluate"}
PROGRAMS = ("facelume", "python", "pip", "make", "bash", "git")
_READER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Snippet:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Snippet]:
    tokens = _READER.parse(page.read_text(encoding="utf-8"))
    return [
        Snippet(page, token.map[0] + 1, token.info, token.content)
        for token in tokens
        if token.type in {"fence", "code_block"}
    ]


def inline_code(page: Path) -> list[Snippet]:
    tokens = _READER.parse(page.read_text(encoding="utf-8"))
    return [
        Snippet(page, token.map[0] + 1, "", child.content)
        for token in tokens
        if token.type == "inline" and token.map
        for child in token.children
        if child.type == "code_inline"
    ]


def commands(block: Snippet) -> list[list[str]]:
    """The words of each command of a block; comments, continued lines and ``&&`` are understood."""
    lines = block.text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    parts = [list(group) for line in words for is_and, group in _split(line) if not is_and]
    return [without_variables(part) for part in parts if part]


def _split(line: list[str]):
    return itertools.groupby(line, key=lambda word: word in {"&&", "|", ";"})


def without_variables(words: list[str]) -> list[str]:
    """The command behind ``NAME=value`` words; a variable of ours must be one that the package reads."""
    rest = list(itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    for word in words[: len(words) - len(rest)]:
        assert_known_variable(word.partition("=")[0])
    return rest


def assert_known_variable(name: str) -> None:
    if name.startswith("FACELUME_"):
        sources = (ROOT / "src" / "facelume").rglob("*.py")
        assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in sources), name


def argument_parser(script: str):
    """The parser of a tool or a benchmark."""
    assert (ROOT / script).is_file(), f"there is no {script}"
    return importlib.import_module(Path(script).stem).command_line()


def check_python(words: list[str]) -> None:
    if words[1:3] == ["-m", "venv"]:
        assert len(words) == 4
        return
    script = words[1]
    assert script.startswith(("tools/", "benchmarks/", "examples/")), words
    if script.startswith("examples/"):
        assert (ROOT / script).is_file(), f"there is no {script}"
        assert words[2:] == []
    else:
        argument_parser(script).parse_args(words[2:])


def check_pip(words: list[str]) -> None:
    """Extras exist, and a pinned version is the one of constraints.txt."""
    assert words[1] == "install", words
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    for word in words[2:]:
        if word in {"-e", "--no-deps", "."}:
            continue
        wanted = Requirement(word.replace(".[", "facelume[", 1) if word.startswith(".[") else word)
        if wanted.name == "facelume":
            assert wanted.extras <= project["optional-dependencies"].keys(), word
        elif wanted.name in pins:
            assert str(wanted.specifier) == f"=={pins[wanted.name]}", word
        else:
            assert len(wanted.specifier) == 1, f"{word}: say which version, none is pinned in constraints.txt"


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(words[1:]) <= set(targets), words


def check_facelume(words: list[str]) -> None:
    command = parse(words[1:])
    if words[1] not in TAKES_HOURS:
        assert main(words[1:]) == 0, words
    elif words[1] == "train":
        assert (ROOT / words[3]).is_file(), f"there is no run file {words[3]}"
        assert command is not None


CHECKS = {"python": check_python, "pip": check_pip, "make": check_make, "facelume": check_facelume}


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder as a reader has it: a photo, and the official files of a licensed face model, in miniature."""
    Image.open(ROOT / "examples" / "astronaut.png").save(tmp_path / "photo.jpg", quality=95)
    write_small_bfm2009(tmp_path / "models" / "bfm2009")
    monkeypatch.setenv("FACELUME_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_small_bfm2009(folder: Path) -> None:
    """``BFM_model_front.mat`` of a curved sheet with 80, 64 and 80 components."""
    folder.mkdir(parents=True)
    x, y = np.meshgrid(np.linspace(-7, 7, 9), np.linspace(8, -10, 9))
    points = np.stack([x, y, 6 - 0.05 * x**2 - 0.02 * y**2], -1).reshape(-1, 3) / 10  # decimetres
    corner = np.arange(81).reshape(9, 9)
    a, b, c, d = (
        part.ravel() for part in (corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:])
    )
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]) + 1.0
    rng = np.random.default_rng(0)
    savemat(
        folder / "BFM_model_front.mat",
        {
            "meanshape": points.reshape(1, -1),
            "meantex": np.tile([200.0, 150.0, 120.0], 81)[None],
            "idBase": rng.normal(0, 0.01, (243, 80)),
            "exBase": rng.normal(0, 0.01, (243, 64)),
            "texBase": rng.normal(0, 3.0, (243, 80)),
            "tri": triangles,
            "tri_mask2": triangles,
            "keypoints": rng.permutation(81)[:68][None] + 1.0,
            "frontmask2_idx": np.arange(1.0, 82.0)[:, None],
            "skinmask": np.ones((1, 81)),
            "point_buf": np.ones((81, 8)),
        },
    )


@pytest.mark.parametrize("block", [b for page in PAGES for b in blocks(page)], ids=str)
def test_every_block_has_a_language_that_is_checked(block):
    assert block.language in LANGUAGES, f"{block}: say ```python, ```sh, ```json or ```text"
    if block.language == "text":
        lines = [line.split() for line in block.text.splitlines()]
        assert [words for words in lines if words and words[0] in {*PROGRAMS, "$"}] == []
    if block.language == "json":
        json.loads(block.text)
    if block.language == "python":
        ast.parse(block.text)
    if block.language == "sh":
        assert {Path(words[0]).name for words in commands(block)} <= CHECKS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_blocks_work(page, workplace):
    for block in blocks(page):
        for words in commands(block) if block.language == "sh" else []:
            try:
                CHECKS[Path(words[0]).name](words)
            except SystemExit as end:
                pytest.fail(f"{block}: {' '.join(words)}: refused with status {end.code}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run_and_shapes_are_what_comments_say(page, workplace):
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language != "python":
            continue
        code = compile("\n" * block.line + block.text, str(page), "exec")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # licensed models say what they lack
            exec(code, names)
        for expression, shape in shape_comments(block.text):
            value = eval(expression, names)
            assert ", ".join(map(str, value.shape)) == shape, f"{block}: {expression}"


def shape_comments(code: str) -> list[tuple[str, str]]:
    """Expressions and shapes of lines such as ``albedo = f()  # (3, 256, 256) linear``."""
    found = re.findall(r"^(?:(\w+) = .*?|([\w.]+))\s+# \((\d[\d, ]*)\)", code, flags=re.MULTILINE)
    return [(assigned or expression, shape) for assigned, expression, shape in found]


def test_shape_comments_are_found():
    code = "a = f(2)  # (3, 4) linear\nface.albedo  # (5, 5, 3)\nb = 1  # (see below)\n"
    assert shape_comments(code) == [("a", "3, 4"), ("face.albedo", "5, 5, 3")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_running_text_exist_with_their_options(page, capsys):
    for snippet in inline_code(page):
        for words in spelled_out(snippet.text.split()):
            if words[0] == "facelume" and len(words) > 1:
                said = help_of_facelume(words[1:], capsys)
            elif words[0] == "python" and words[1:2] != ["-m"]:
                said = argument_parser(words[1]).format_help()
            elif words[0] == "make":
                check_make(words)
                continue
            else:
                continue
            missing = [w for w in words if re.match(r"--[a-z]", w) and not re.search(rf"{w}\b", said)]
            assert missing == [], f"{snippet}: {snippet.text}"


def spelled_out(words: list[str]) -> list[list[str]]:
    """``train {a,b} X`` as the two commands it stands for."""
    options = [re.fullmatch(r"\{(.*)\}", word) for word in words]
    choices = [found[1].split(",") if found else [word] for word, found in zip(words, options, strict=True)]
    return [list(chosen) for chosen in itertools.product(*choices)]


def help_of_facelume(words: list[str], capsys) -> str:
    """The help of a command; the second word of ``train`` must be in it."""
    subcommands = [] if words[0] == "--help" else words[:1]
    with pytest.raises(SystemExit) as end:
        parse([*subcommands, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0, words
    assert subcommands != ["train"] or all(word in said for word in words[1:2]), words
    return said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_named_alone_belong_to_some_command(page, capsys):
    named = {s.text.split()[0] for s in inline_code(page) if re.match(r"--[a-z]", s.text)}
    if named:
        commands = re.findall(r'subcommand\("([\w-]+)"\)', (ROOT / "src/facelume/cli/main.py").read_text())
        tools = [*(ROOT / "tools").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
        said = [help_of_facelume([name], capsys) for name in commands]
        said += [argument_parser(path.relative_to(ROOT).as_posix()).format_help() for path in tools]
        assert {name for name in named if not any(re.search(rf"{name}\b", text) for text in said)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_modules_and_variables_that_a_page_names_exist(page):
    homes = (ROOT, ROOT / "src/facelume", ROOT / "tools")
    for snippet in inline_code(page):
        text = snippet.text.partition("::")[0]
        if re.fullmatch(r"(src|tests|tools|docs|benchmarks|examples)/[\w./-]*", text) or re.fullmatch(
            r"[\w/]+/\w+\.py", text
        ):
            assert any((home / text).exists() for home in homes), f"{snippet}: there is no {text}"
        elif re.fullmatch(r"facelume(\.\w+)+(\(\))?", text):
            assert resolves(text.removesuffix("()")), f"{snippet}: there is no {text}"
        for variable in re.findall(r"\bFACELUME_[A-Z_]+\b", text):
            assert_known_variable(variable)


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module of the package or something in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return all(hasattr(found := getattr(found, name, None), "__class__") for name in parts[count:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(page):
    tokens = _READER.parse(page.read_text(encoding="utf-8"))
    inner = [child for token in tokens for child in token.children or []]
    targets = [str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inner]
    for target in filter(None, targets):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The names that headings get where Markdown is shown."""
    tokens = _READER.parse(page.read_text(encoding="utf-8"))
    titles = [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_one_version_of_each_build_dependency_is_named_everywhere():
    texts = [*PAGES, *(ROOT / "tools").rglob("*.py")]
    found: dict[str, set[str]] = {}
    for path in texts:
        for name, version in re.findall(r"\b(anny|mediapipe)==([\d.]*\d)", path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(version)
    assert {name: len(versions) for name, versions in found.items()} == {"anny": 1, "mediapipe": 1}
