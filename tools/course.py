"""Copies for a class. `python tools/course.py student OUT` writes the project as students get it: lessons without outputs, and
neither solutions nor the teacher's page. `python tools/course.py class-zip OUT` adds the packages that it needs, so that it
can be installed without a network, and packs all of it.
Needs nothing but Python 3.11 with pip, so that it runs on Windows too: packages are chosen for the machine on which it runs."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def add_wheels(folder: Path) -> None:
    "Download what the project needs into `folder`/wheels, for machines like this one and its Python."
    needs = [line for line in (ROOT / "settings.ini").read_text(encoding="utf-8").splitlines() if line.startswith("requirements")]
    packages = needs[0].partition("=")[2].split()
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--dest", folder / "wheels",
                           "-c", ROOT / "constraints.txt", *packages, *READERS])
    if done.returncode:
        raise SystemExit("pip could not download all packages; its last lines say which one is missing")


def class_zip(out: Path, wheels: bool = True) -> Path:
    "Pack a student copy with its packages and two scripts that install it without a network."
    with tempfile.TemporaryDirectory() as scratch:
        folder = student_copy(Path(scratch) / "ssr_nb_class")
        if wheels:
            add_wheels(folder)
        (folder / "start.sh").write_text("set -e\n" + INSTALL.format(python="python3.11", bin=".venv/bin/"), encoding="utf-8")
        (folder / "start.bat").write_text(INSTALL.format(python="py -3.11", bin=".venv\\Scripts\\").replace("\n", "\r\n"),
                                          encoding="utf-8", newline="")
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    packed.write(path, path.relative_to(scratch))
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("student", "class-zip"))
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    made = student_copy(given.out) if given.what == "student" else class_zip(given.out)
    print(made)
