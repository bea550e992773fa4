"""A run as a film: a frame a snapshot."""

import io
import pathlib
import shutil
import subprocess

import numpy as np

from wgf import checks
from wgf.measures.density import Density
from wgf.measures.mesh import is_phase
from wgf.plot import copies, histories, panels
from wgf.plot.style import STYLE, axis_names, kind
from wgf.record import directory
from wgf.record.solution import in_phase_space

ENDINGS = (".gif", ".mp4")


def movie(solution, path, rate=12, frames=200):
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
        self.solution = solution = in_phase_space(solution)
        self.names, self.label = axis_names(solution), kind(solution)
        # of a long film a few snapshots say how large the box must be
        few = index[np.unique(np.linspace(0, len(index) - 1, 20).astype(int))]
        states = [[(self.label, solution.snapshots[int(k)])] for k in few]
        # the two axes with the widest spread are the last ones of a problem with amplitude first
        first = len(self.names) >= 3 and not is_phase(self.names)
        self.plane = (1, 2) if first else (0, 1)
        measures = [state[0][1] for state in states]
        self.signed = copies.on_copies([solution])
        if self.signed:
            self.names = self.names[1:]
            self.plane = copies.planes(self.names)[0]
            self.norm = copies.shared_norm(measures, self.plane)
            return
        if len(self.names) == 1:
            self.top = max(_height(measure) for measure in measures)
            return
        self.box = panels.bounds(states, self.plane)
        density = isinstance(measures[0], Density)
        self.norm = panels.colours(
            [panels.projection(m, self.plane).values for m in measures] if density else []
        )

    def draw(self, figure, k):
        left, right = figure.subfigures(1, 2, width_ratios=[1.3, 1])
        time = self.solution.times[k]
        state = [(self.label, self.solution.snapshots[k])]
        title = f"t = {time:.4g}"
        if self.signed:
            copies.frame(left, state, self.plane, self.names, self.norm, title)
        elif len(self.names) == 1:
            ax = left.subplots()
            panels.line_panel(ax, state, self.names[0])
            ax.set_ylim(0, 1.05 * self.top)
            ax.set_title(title)
        else:
            panels.joint(left, state, self.plane, self.names, self.norm, self.box, title)
        ax = right.subplots()
        histories.objectives(ax, [(self.label, self.solution)])
        ax.get_legend().remove()
        columns = self.solution.diagnostics
        at = np.interp(time, columns["t"], columns["objective"])
        ax.plot([max(time, ax.get_xlim()[0])], [at], "o", color="black", ms=5, clip_on=False)


def _height(measure):
    if isinstance(measure, Density):
        return measure.values.max()
    counts, edges = np.histogram(measure.points[:, 0], 40, weights=measure.weights)
    return counts.max() / (edges[1] - edges[0])


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
