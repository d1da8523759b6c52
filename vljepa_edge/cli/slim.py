"""`vljepa slim`: remove the parts of OpenVINO that this runtime never loads, where every megabyte counts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.support.install import pip_install

UNUSED = {
    "*_intel_gpu_plugin.*": "GPU device",
    "cache.json": "tuning cache of the GPU device",
    "*_intel_npu_plugin.*": "NPU device",
    "*_tensorflow_frontend.*": "TensorFlow reader",
    "*_tensorflow_lite_frontend.*": "TensorFlow Lite reader",
    "*_pytorch_frontend.*": "PyTorch reader",
    "*_paddle_frontend.*": "Paddle reader",
    "*_jax_frontend.*": "JAX reader",
    "*_gguf_frontend.*": "GGUF reader",
}
"""Files of OpenVINO's libs folder. The runtime reads ONNX and runs on the CPU device, nothing else."""


def openvino_libraries() -> Path | None:
    """Where OpenVINO's shared libraries lie, without importing it; None when it is not installed from a wheel."""
    spec = importlib.util.find_spec("openvino")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((folder for place in places if (folder := Path(place) / "libs").is_dir()), None)


def unused_files(folder: Path) -> dict[Path, str]:
    """The files in `folder` that the runtime never loads, and what each is for."""
    return {path: what for pattern, what in UNUSED.items() for path in sorted(folder.glob(pattern))}


def slim(
    apply: Annotated[bool, typer.Option("--apply", help="Remove them. Without it, they are only listed.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Free about 75 MB of an installation: OpenVINO's GPU and NPU devices and its readers of other formats.

    They are files of the package openvino, so other programs in the same environment lose them too;
    `pip install --force-reinstall openvino` brings them back.

    \b
    Examples:
      vljepa slim
      vljepa slim --apply
      vljepa slim --apply --json
    """
    folder = openvino_libraries()
    found = unused_files(folder) if folder is not None else {}
    sizes = {path: path.stat().st_size for path in found}
    if apply:
        for path in found:
            path.unlink()
    total = sum(sizes.values())
    if as_json:
        rows = [{"file": str(path), "bytes": sizes[path], "what": what} for path, what in found.items()]
        print_json({"removed": apply, "bytes": total, "files": rows})
        return
    out = console()
    for path, what in found.items():
        out.print(f"{sizes[path] / 1e6:6.1f} MB  {path.name}  ({what})")
    if not found:
        out.print("nothing to remove: OpenVINO has no parts here that the runtime doesn't use")
    elif apply:
        out.print(f"removed {total / 1e6:.1f} MB; `{pip_install('--force-reinstall', 'openvino')}` brings them back")
    else:
        out.print(f"{total / 1e6:.1f} MB can go; `vljepa slim --apply` removes them")
