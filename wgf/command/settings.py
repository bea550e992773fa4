"""The options of every script, and where a run with them is stored."""

import dataclasses
import pathlib
from typing import Literal

from wgf import checks
from wgf.record.directory import is_run, replace

OPTIONS = "options.json"
SIDES = {"mesh": ("mesh",), "particles": ("particles",), "both": ("mesh", "particles")}


@dataclasses.dataclass
class Settings:
    """The options of every script.

    Parameters
    ----------
    method : {"mesh", "particles", "both"}
        which sides to solve
    particles : int
        draw that many particles from the start; 0 takes one per cell (default: the script's)
    seed : int
        of the particles drawn
    order : {1, 2}
        of the finite volumes
    until : str
        end time, or stationary to end at rest
    log : tuple
        first, last and number of snapshot times that are evenly spaced in their logarithm
    tolerance : float
        at rest the dissipation is at most this part of |F| (default 1e-9)
    gap : float
        at rest the optimality gap is at most this part of |F|; for implicit methods
    from_ : str
        start from the last state of a stored run, RUN, or from that at a time, RUN:TIME
    out : str
        directory of the run (default runs/ and the name of the script)
    overwrite : bool
        replace an existing run
    threads : int
        use at most this many threads (default: one per processor); the numbers are the same
    quiet : bool
        show no progress
    plot : bool
        draw no figure at the end
    dry_run : bool
        write nothing: print sizes, memory, steps, time
    profile : bool
        print where the time went
    """

    method: Literal["mesh", "particles", "both"] = "both"
    particles: int | None = None
    seed: int = 0
    order: Literal[1, 2] | None = None
    until: str | None = None
    log: tuple[float, float, int] | None = None
    tolerance: float | None = None
    gap: float | None = None
    from_: str | None = None
    out: str | None = None
    overwrite: bool = False
    threads: int | None = None
    quiet: bool = False
    plot: bool = True
    dry_run: bool = False
    profile: bool = False

    def stored(self) -> dict:
        """Return what makes the numbers of a run, as JSON holds it."""
        kept = {name: getattr(self, name) for name in (*ALWAYS, *ASKED)}
        return {name: value for name, value in kept.items() if name in ALWAYS or value is not None}


# the settings that are stored with every run, and where they are given
ALWAYS = ("method", "particles", "seed", "order")
ASKED = ("until", "log", "tolerance", "gap", "from_")


class Place:
    """Where a run keeps its sides, its options and its figure; the one place that knows.

    One side lies in the directory itself, both lie in folders below it.
    """

    def __init__(self, out: str | pathlib.Path, names: tuple):
        self.out, self._names, self._folder = pathlib.Path(out), names, pathlib.Path.cwd()

    @property
    def root(self) -> pathlib.Path:
        """The directory, also after the script has changed the working directory."""
        return self.out if pathlib.Path.cwd() == self._folder else self._folder / self.out

    @property
    def sides(self) -> dict[str, pathlib.Path]:
        """The directory of each side by its name."""
        single = len(self._names) == 1
        return {name: self.root if single else self.root / name for name in self._names}

    @property
    def figure(self) -> pathlib.Path:
        return self.root / ("figure.png" if len(self._names) == 1 else "comparison.png")

    def refuse_occupied(self, overwrite: bool) -> None:
        """Refuse a directory that holds something, but to overwrite what such a run leaves.

        Raises
        ------
        InputError
        """
        out, single = self.out, len(self.sides) == 1
        if out.exists() and not out.is_dir():
            raise checks.InputError(f"out: {out} is a file, choose another path")
        held = {path.name for path in out.iterdir()} if out.is_dir() else set()
        if held and not overwrite:
            raise checks.InputError(f"out: {out} exists, choose another path or add --overwrite")
        foreign = sorted(held - {self.figure.name, OPTIONS, *self.sides})
        foreign += [name for name, path in self.sides.items() if name in held and not is_run(path)]
        if foreign and not single:
            raise checks.InputError(
                f"out: {out} holds {foreign[0]}, which no run of both sides leaves there, "
                "choose another path"
            )

    def begin(self, note: str) -> None:
        """Replace the figure, the options and the sides of an older run; the first has begun."""
        from wgf.record.store import Writer

        for path in list(self.sides.values())[1:]:
            if is_run(path):
                Writer(path, overwrite=True).release()
        self.figure.unlink(missing_ok=True)
        replace(self.root / OPTIONS, note.encode())

    def last_snapshot(self, name: str) -> str:
        """Return the path of a side's last snapshot, in words where there is none."""
        files = sorted((self.sides[name] / "snapshots").glob("*.h5"))
        return str(files[-1]) if files else f"none in {self.sides[name]}"
