"""Decode and scale: a 640x480 file, 30 frames a second, to frames of the model's size at the model's rate.

Peers: a PyAV loop that makes an RGB array of every frame and resizes it with Pillow; the same loop with sampling put in
front of the conversion. Limit: decoding alone, which nobody can leave out since frames depend on each other.
"""

from __future__ import annotations

from benchmarks.bench import Bench, installed
from benchmarks.clip import SECONDS
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.interleave import Case, Samples


def stages(bench: Bench) -> list[Stage]:
    import av

    from vljepa_edge.video.source import open_source

    path, what = bench.clip
    video = bench.bundle.manifest.video
    size = video.width, video.height

    def ours() -> int:
        with open_source(path, size=size, resize=video.resize, fps=video.fps) as source:
            return sum(1 for _ in source)

    def decode_only() -> int:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            return sum(1 for _ in container.decode(video=0))

    cases = [Case("video/, sampled, scaled by libswscale", ours), Case("decoding alone", decode_only)]
    missing = installed("PIL")
    if missing is None:
        from PIL import Image

        def every_frame(sampled: bool) -> int:
            kept, due = [], 0.0
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    if sampled and frame.time < due:
                        continue
                    image = Image.fromarray(frame.to_ndarray(format="rgb24")).resize(size, Image.Resampling.BICUBIC)
                    if frame.time >= due:
                        kept.append(image)
                        due += 1 / video.fps
            return len(kept)

        cases.insert(1, Case("PyAV + Pillow, every frame", lambda: every_frame(False)))
        cases.insert(2, Case("PyAV + Pillow, sampled frames only", lambda: every_frame(True)))
    title = f"decode and scale, {SECONDS} s of video"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        alone = next(s for s in samples if s.name == "decoding alone")
        notes = [
            f"The clip: {what}. Ours reads it at {1e3 * SECONDS / samples[0].median:.0f}x real time before the model.",
            "FFmpeg decodes on as many threads as it likes in ours and in decoding alone; PyAV's own default is fewer.",
        ]
        if missing:
            notes.append(f"Pillow peers: {missing}.")
        return Comparison(title, samples, Limit(alone.median, "decoding alone"), tuple(notes))

    return [Stage(title, cases, tell)]
