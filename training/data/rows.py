"""A list of samples that takes no memory of its own: an Arrow file without a name, which every worker maps.

A million samples as Python objects are a gigabyte in each worker. Here a sample is made when it is asked for.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import IO, Any

import pyarrow as pa

from vljepa_edge.training.data.sample import Sample

_TEXTS = pa.list_(pa.string())
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("media", pa.string()),
        ("target", pa.string()),
        ("query", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("text_key", pa.string()),
        ("also", _TEXTS),
        ("negatives", _TEXTS),
        ("video", pa.string()),
    ]
)
_BATCH = 8192  # rows that are written at once


class Rows:
    """Samples by index. A worker that gets these shares the pages of the one file; a pickle has all of them."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        """Raises OSError where the folder for temporary files is full."""
        file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as these rows
        with pa.ipc.new_file(file, _SCHEMA) as sink:
            columns: list[list[Any]] = [[] for _ in _SCHEMA]
            for sample in samples:
                for column, name in zip(columns, _SCHEMA.names, strict=True):
                    column.append(getattr(sample, name))
                if len(columns[0]) == _BATCH:
                    sink.write_batch(_batch(columns))
                    columns = [[] for _ in _SCHEMA]
            if columns[0]:
                sink.write_batch(_batch(columns))
        file.flush()
        self._open(file)

    def _open(self, file: IO[bytes]) -> None:
        self._file = file
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(pages))
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._batches = [dict(zip(_SCHEMA.names, batch.columns, strict=True)) for batch in batches]
        self._count: int = sum(batch.num_rows for batch in batches)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(f"no sample {index} in {self._count}")
        at = index % _BATCH
        row = {name: column[at].as_py() for name, column in self._batches[index // _BATCH].items()}
        return Sample(**{**row, "also": tuple(row["also"]), "negatives": tuple(row["negatives"])})

    def text_key(self, index: int) -> str:
        """The key of a sample's target, without the rest of the sample."""
        batch, row = self._batches[index // _BATCH], index % _BATCH
        key = batch["text_key"][row].as_py()
        return str(batch["target"][row].as_py() if key is None else key)

    def __reduce__(self) -> tuple[Any, ...]:
        self._file.seek(0)
        return _from_bytes, (self._file.read(),)


def _batch(columns: list[list[Any]]) -> pa.RecordBatch:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _opened(file: IO[bytes]) -> Rows:
    rows = Rows.__new__(Rows)
    rows._open(file)
    return rows


def _from_bytes(data: bytes) -> Rows:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.flush()
    return _opened(file)


def _from_handle(handle: Any) -> Rows:
    return _opened(open(handle.detach(), "rb", closefd=True))


def _for_worker(rows: Rows) -> tuple[Any, ...]:
    return _from_handle, (DupFd(rows._file.fileno()),)


ForkingPickler.register(Rows, _for_worker)
