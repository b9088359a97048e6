"""Output folders whose files say where they come from, as those of a real run do, and hold next to nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from bumpscope.config.experiment import Config
from bumpscope.config.section import canonical_json
from bumpscope.store.lineage import OF_A_RUN, OF_SENSITIVITY, Lineage, origins
from bumpscope.store.manifest import described
from whole_files import table_at


def write_folder(root: Path, config: Config) -> Path:
    """Every file of an experiment but those of `snakemake sensitivity`."""
    jobs = [job for job in Lineage(config).jobs() if job.step not in OF_SENSITIVITY]
    expected = origins(jobs)
    for job in jobs:
        about = {"version": "0", "run": job.subject if job.step in OF_A_RUN else ""}
        about |= {"config": canonical_json(job.settings()), **expected[job.outputs[0]]._asdict()}
        for path in job.outputs:
            text = config.in_force() if path == "config.json" else path
            write_file(root / path, path, text, about)
    return root


def write_file(file: Path, path: str, text: str, about: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        told = {f"bumpscope.{key}": value for key, value in {"table": table_at(path), **about}.items()}
        pq.write_table(pa.table({"number": [1]}).replace_schema_metadata(told), file)
    elif file.suffix == ".safetensors":
        save_file({"raw.w": np.zeros(1)}, file, about | {"step": file.stem.removeprefix("step=")})
    else:
        with described(about, file):
            file.write_text(text, encoding="utf-8")
