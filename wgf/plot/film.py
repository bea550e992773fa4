"""A run as a film: a frame a snapshot."""

import io
import pathlib
import shutil
import subprocess

import numpy as np

from wgf import checks
from wgf.plot import histories, panels
from wgf.plot.style import STYLE
from wgf.plot.views import View, profile
from wgf.record import directory

ENDINGS = (".gif", ".mp4")


def movie(solution, path: str | pathlib.Path, rate: int = 12, frames: int = 200) -> None:
    """Write a film of a run: the measure with its marginals beside the objective.

    Parameters
    ----------
    solution : Solution or stored run
    path : path
        ``.gif``, written by pillow, or ``.mp4``, written by ffmpeg.
    rate : int
        Frames a second.
    frames : int
        At most so many snapshots, evenly chosen.

    Raises
    ------
    InputError
        For another ending, and for ``.mp4`` where there is no ffmpeg.
    """
    path = pathlib.Path(path)
    rate = checks.whole("movie rate", rate, minimum=1, maximum=60)
    frames = checks.whole("movie frames", frames, minimum=1)
    if path.suffix not in ENDINGS:
        raise checks.InputError(f"movie: {path} ends in neither .gif nor .mp4, choose one")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise checks.InputError(
            f"movie: no ffmpeg is installed to write {path}, install it or write a .gif"
        )
    images = _frames(solution, frames)
    if path.suffix == ".gif":
        _gif(images, path, rate)
    else:
        _mp4(images, path, rate)


def _frames(solution, limit):
    """Yield the frames as arrays of shape ``(height, width, 3)``."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    index = np.unique(np.linspace(0, len(solution.times) - 1, limit).astype(int))
    scene = _Scene(solution, index)
    with matplotlib.rc_context(STYLE):
        for k in index:
            # even numbers of pixels, which mp4 asks for
            figure = Figure(figsize=(8, 3.6), dpi=100)
            canvas = FigureCanvasAgg(figure)
            scene.draw(figure, int(k))
            canvas.draw()
            yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


class _Scene:
    """What stays the same from frame to frame: the box, the colours, the curve."""

    def __init__(self, solution, index):
        self.view = view = View([(solution.snapshots[0].kind, solution)])
        # of a long film a few snapshots say how large the box must be
        few = index[np.unique(np.linspace(0, len(index) - 1, 20).astype(int))]
        measures = [view.see(view.run.snapshots[int(k)]) for k in few]
        # with an amplitude first, the plane of the next two axes
        self.plane = view.planes[-1 if len(view.names) == 3 else 0]
        if len(self.plane) == 1:
            heights = np.concatenate([profile(measure, 0)[0] for measure in measures])
            self.limits = 1.05 * min(heights.min(), 0.0), 1.05 * max(heights.max(), 1e-300)
            return
        self.box = panels.bounds([[("", measure)] for measure in measures], self.plane)
        self.norm = panels.scale_of(measures, self.plane, linear=True)

    def draw(self, figure, k):
        view, time = self.view, self.view.run.times[k]
        ax, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
        measure, title = view.see(view.run.snapshots[int(k)]), f"t = {time:.4g}"
        if len(self.plane) == 1:
            panels.line_panel(ax, [(view.label, measure)], 0, view.names[0], colours=view.colours)
            ax.set(ylim=self.limits, title=title, ylabel=f"mass per unit {view.names[0]}")
        else:
            panels.joint(ax, view, measure, self.plane, self.norm, self.box, title)
        histories.objectives(right, view)
        right.get_legend().remove()
        columns = view.run.diagnostics
        at = np.interp(time, columns["t"], columns["objective"])
        right.plot([max(time, right.get_xlim()[0])], [at], "ok", ms=5, clip_on=False)


def _gif(images, path, rate):
    from PIL import Image

    first, *rest = [Image.fromarray(image).quantize(128) for image in images]
    # the last frame stays for two seconds before the film begins again
    durations = [1000 // rate] * len(rest) + [2000]
    film = io.BytesIO()
    first.save(film, "gif", save_all=True, append_images=rest, duration=durations, loop=0)
    directory.replace(path, film.getvalue())


def _mp4(images, path, rate):
    first = next(images)
    height, width, _ = first.shape
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
    command += ["-pix_fmt", "yuv420p", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            for image in (first, *images):
                process.stdin.write(image.tobytes())
        except BrokenPipeError:
            pass
        _, trouble = process.communicate()
    if process.returncode:
        words = " ".join(trouble.decode(errors="replace").split())
        raise checks.InputError(f"movie: ffmpeg could not write {path} ({words}), write a .gif")
