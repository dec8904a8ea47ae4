"""What a figure was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, str | int]:
    "Processor, cores and the versions that matter, without names or paths of the machine."
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines()
                    if line.startswith("model name")), cpu)
    return ({"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}
            | {p: version(p) for p in ("torch", "transformers", "trl", "peft")})


def graphics(device: str) -> dict[str, str | float]:
    "The device that torch computes on; of a GPU its name, its memory and the CUDA that torch was built for."
    import torch

    if torch.device(device).type != "cuda":
        return {"device": device}
    return {"device": torch.cuda.get_device_name(device), "cuda": torch.version.cuda,
            "device_memory_gb": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1)}
