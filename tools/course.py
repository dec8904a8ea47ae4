"""Copies for a class. `python tools/course.py student OUT` writes the project as students get it: lessons without outputs, and
neither solutions nor the teacher's page. `python tools/course.py class-zip OUT` adds the packages that it needs, so that it
can be installed without a network, and packs all of it. Packages are those for machines like this one, or, with
`--for windows`, for 64-bit Windows with the same version of Python.
Needs nothing but Python 3.11 with pip, so that it runs on Windows too."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"}
FOR_TEACHERS = ("nbs/solutions", "nbs/lessons/teacher.md")
TAKEN = ("ssr_nb", "nbs", "README.md", "README_files", "LICENSE", "SECURITY.md", "settings.ini", "setup.py", "pyproject.toml",
         "constraints.txt", "MANIFEST.in")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "runs", "*.egg-info")
# The packages that lessons are read and run with, beside those of the project itself.
READERS = ("jupyterlab", "setuptools", "wheel")
INSTALL = """{python} -m venv .venv
{bin}python -m pip install --no-index --find-links wheels -c constraints.txt setuptools wheel
{bin}python -m pip install --no-index --find-links wheels -c constraints.txt --no-build-isolation -e . jupyterlab
{bin}jupyter lab nbs/lessons
"""


def without_outputs(notebook: Path) -> None:
    "Take the outputs out of a notebook, so that a prediction is one."
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def student_copy(out: Path) -> Path:
    "Write the project as students get it into a new folder."
    if out.exists():
        raise SystemExit(f"{out} exists; expected a new folder")
    out.mkdir(parents=True)
    for name in TAKEN:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, out / name, ignore=LEFT_OUT)
        elif source.exists():
            shutil.copy2(source, out / name)
    for name in FOR_TEACHERS:
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink(missing_ok=True)
    for lesson in sorted((out / "nbs" / "lessons").glob("*.ipynb")):
        without_outputs(lesson)
    return out


def download(wheels: Path, *what: str) -> None:
    "Let pip download packages in their tried versions into a folder; for what pip can't find, its last lines say what."
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--dest", wheels, "-c", ROOT / "constraints.txt", *what])
    if done.returncode:
        raise SystemExit("pip could not download all packages; its last lines say which one is missing")


def asked_by(wheels: Path) -> dict[str, list[str]]:
    "What each wheel in a folder says that it needs, by the wheel's name."
    asked = {}
    for path in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(path) as packed:
            metadata = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
            head = packed.read(metadata).decode("utf-8").partition("\n\n")[0]
        asked[path.name] = [line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("Requires-Dist:")]
    return asked


def lacking(wheels: Path, system: dict[str, str]) -> list[str]:
    """What the wheels in a folder need on another system and the folder hasn't got; a wheel whose version others don't take
    is removed. pip can choose wheels for another system, but goes by this one in what they need."""
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.specifiers import SpecifierSet
    from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename

    have = {parse_wheel_filename(name)[:2]: [Requirement(need) for need in needs] for name, needs in asked_by(wheels).items()}
    extras, before = {name: {""} for name, _ in have}, None
    while extras != before:  # an extra that one asks of another may bring a third
        before, needed = {name: set(some) for name, some in extras.items()}, {}
        for (name, _), needs in have.items():
            for need in needs:
                if need.marker is None or any(need.marker.evaluate(system | {"extra": extra}) for extra in extras[name]):
                    other = canonicalize_name(need.name)
                    needed[other] = needed.get(other, SpecifierSet()) & need.specifier
                    extras.setdefault(other, {""}).update(need.extras)
    for path in wheels.glob("*.whl"):
        name, version = parse_wheel_filename(path.name)[:2]
        if version not in needed.get(name, SpecifierSet()):
            path.unlink()
            have.pop((name, version))
    return [f"{name}{needed[name]}" for name in needed if name not in {name for name, _ in have}]


def add_wheels(folder: Path, windows: bool = False) -> None:
    "Download what the project needs into `folder`/wheels, for machines like this one or for Windows, and its Python."
    needs = [line for line in (ROOT / "settings.ini").read_text(encoding="utf-8").splitlines() if line.startswith("requirements")]
    wheels, packages = folder / "wheels", [*needs[0].partition("=")[2].split(), *READERS]
    if not windows:
        return download(wheels, *packages)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    chosen = ["--platform", "win_amd64", "--python-version", version, "--only-binary", ":all:"]
    while packages:
        download(wheels, *chosen, "--no-deps", *packages)
        packages = lacking(wheels, WINDOWS)


def class_zip(out: Path, wheels: bool = True, windows: bool = False) -> Path:
    "Pack a student copy with its packages and two scripts that install it without a network."
    with tempfile.TemporaryDirectory() as scratch:
        folder = student_copy(Path(scratch) / "ssr_nb_class")
        if wheels:
            add_wheels(folder, windows)
        (folder / "start.sh").write_text("set -e\n" + INSTALL.format(python="python3.11", bin=".venv/bin/"), encoding="utf-8")
        for_windows = INSTALL.format(python="py -3.11", bin=".venv\\Scripts\\").splitlines()
        (folder / "start.bat").write_text("".join(f"{line} || exit /b 1\r\n" for line in for_windows), encoding="utf-8", newline="")
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                if path.is_file():  # a wheel is packed already
                    packed.write(path, path.relative_to(scratch), zipfile.ZIP_STORED if path.suffix == ".whl" else None)
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("student", "class-zip"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--for", dest="system", choices=("this", "windows"), default="this", help="the machines of the class (class-zip)")
    given = parser.parse_args()
    made = student_copy(given.out) if given.what == "student" else class_zip(given.out, windows=given.system == "windows")
    print(made)
