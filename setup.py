"""Packaging, read from settings.ini: one place says what the package is and needs."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

pins = dict(line.split("==") for line in (here / "constraints.txt").read_text(encoding="utf-8").split() if "==" in line)

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=settings["keywords"].split(),
    url=settings["git_url"],
    author=settings["author"],
    author_email=settings["author_email"],
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        f"Intended Audience :: {settings['audience']}",
        "Natural Language :: English",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=["ssr_nb", "ssr_nb.*"]),
    package_data={"ssr_nb": ["embedded/*", "templates/*", "data/*/*"]},
    include_package_data=True,
    install_requires=settings["requirements"].split(),
    extras_require={
        "dev": (settings["dev_requirements"] + " " + settings["benchmark_requirements"]).split(),
        "docs": settings["docs_requirements"].split(),
        "benchmarks": settings["benchmark_requirements"].split(),
        "ray": settings["ray_requirements"].split(),
        # on a GPU the versions must fit each other, so they are the tried ones and no others
        "gpu": [f"{name}=={pins[name]}" for name in settings["gpu_requirements"].split()],
    },
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
