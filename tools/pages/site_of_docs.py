"""Builds a site of the pages in docs/ that needs no network, with every option and every docstring, and an llms.txt.

Needs the extra docs, which `make docs` installs. Pages open from the folder; to search in them wants a server, such as
`python -m http.server --directory site`. A link that leads nowhere, or anything that a page would load from
elsewhere, is an error, and what was built before stays.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

import reference
from navigation import INDEX, ROOT, sections, summary
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError, UsageError

OutOption = Annotated[Path, typer.Option(help="Folder of the site; one that is there is replaced.")]
CONFIG = Path(__file__).with_name("zensical.toml")
_MODULES = (reference.ROOT_MODULE, *reference.MODULES)
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>(?!\w+:)[^)#\s]+)(?P<anchor>#[^)]*)?\)")
_REMOTE = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?![^>]*\brel=[\"']?(?:canonical|alternate|next|prev)\b)[^>]*\bhref=[\"']?(?:https?:)?//"
    r"|@import\s+[\"'(]?(?:url\()?[\"']?(?:https?:)?//|\burl\([\"']?(?:https?:)?//",
    re.IGNORECASE,
)


def main(out: OutOption = ROOT / "site") -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        stage(place / "pages")
        (place / CONFIG.name).write_text(configuration(), encoding="utf-8")
        built = build(place)
        for file in built.rglob("*"):
            if file.suffix in (".html", ".css") and (found := remote(file.read_text(encoding="utf-8"))):
                raise PayAttentionError(f"{file.relative_to(built)} would load from elsewhere: {found}")
        for page in (place / "pages").rglob("*.md"):  # as llms.txt names them: text without the site around it
            shutil.copyfile(page, built / page.relative_to(place / "pages"))
        (built / "llms.txt").write_text(for_language_models(), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(built, out)
    print(f"{out / 'index.html'}: {len(list(out.rglob('*.html')))} pages")


def stage(place: Path) -> None:
    """Writes all pages to one folder, linked among each other, with the files that they link to."""
    (place / "python").mkdir(parents=True)
    for page, name in staged_pages().items():
        text = relinked(page, place)
        if name == "command-line.md":
            text = text.replace("<!-- options -->", f"## Every option\n\n{reference.options()}")
        (place / name).write_text(text, encoding="utf-8")
    for module in _MODULES:
        (place / f"python/{module}.md").write_text(reference.directives(module), encoding="utf-8")


def staged_pages() -> dict[Path, str]:
    """Every page of the repository, with its name in the site."""
    beside = {page: f"{page.stem.lower()}.md" for page in (ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")}
    listed = {page: page.name for page in sorted((ROOT / "docs").glob("*.md"))}
    return {**listed, **beside, ROOT / "README.md": "readme.md"}


def relinked(page: Path, place: Path) -> str:
    """A page's text whose links lead to pages of the site, and to copies of the files that it names."""

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found["text"], (page.parent / found["target"]).resolve(), found["anchor"] or ""
        if target in staged_pages():
            return f"{text}({staged_pages()[target]}{anchor})"
        if not target.exists():
            raise PayAttentionError(f"{page.relative_to(ROOT)}: {found['target']} is not there")
        if target.is_dir():  # a site has no listing of it
            return text[1:-1]
        own = target.relative_to(ROOT)
        own = own.relative_to("docs") if own.parts[0] == "docs" else Path("files") / own
        (place / own).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, place / own)
        return f"{text}({own.as_posix()}{anchor})"

    blocks = re.split(r"(^```.*?^```$)", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return "".join(block if block.startswith("```") else _LINK.sub(link, block) for block in blocks)


def configuration() -> str:
    """The builder's settings, with the navigation of docs/index.md."""
    navigation: list[Any] = [{"Home": INDEX.name}]
    for section in sections():
        entries: list[Any] = [{page.title: staged_pages()[page.file]} for page in section.pages]
        navigation.append({section.title: [_with_modules(entry) for entry in entries]})
    return (
        CONFIG.read_text(encoding="utf-8")
        .replace("nav = []", f"nav = {_toml(navigation)}")
        .replace("SRC", str(ROOT / "src"))
    )


def _with_modules(entry: dict[str, str]) -> dict[str, Any]:
    """The page on Python has those of the modules below it."""
    ((title, name),) = entry.items()
    modules = [{module.removeprefix("payattention."): f"python/{module}.md"} for module in _MODULES]
    return entry if name != "python.md" else {title: [name, *modules]}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(own)}" for key, own in value.items()) + "}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)


def build(place: Path) -> Path:
    """Runs the builder, which stops at its first warning, and gives the folder that it wrote."""
    program = Path(sys.executable).with_name("zensical")
    if not program.is_file():
        raise UsageError("the site needs the package zensical: make docs, or pip install 'payattention[docs]'")
    done = subprocess.run(
        [program, "build", "--strict", "--clean", "--config-file", CONFIG.name],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or "arning" in done.stdout + done.stderr:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise PayAttentionError("the site was not built: see above")
    return place / "site"


def remote(text: str) -> str | None:
    """The first thing that a browser would load from elsewhere for a page or a style; None where there is none."""
    found = _REMOTE.search(text)
    return None if found is None else text[found.start() : found.end() + 60]


def for_language_models() -> str:
    """The site's llms.txt: a list of its pages as text, by section, with what each is about."""
    lines = ["# payattention", "", f"> {summary()}"]
    for section in sections():
        lines += ["", f"## {section.title}", ""]
        lines += [f"- [{page.title}]({staged_pages()[page.file]}): {page.note}" for page in section.pages]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    run_script(main)
