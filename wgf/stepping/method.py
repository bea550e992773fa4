"""What a method declares, and the one function that refuses a pair of method and problem."""

from __future__ import annotations

from typing import Any, ClassVar

from wgf import checks, parallel
from wgf.flows import GradientFlow
from wgf.functional import forms
from wgf.measures.base import Measure
from wgf.stepping.stepper import Stepper

EVERY = (
    forms.Composed,
    forms.Linear,
    forms.Local,
    forms.Pairwise,
    forms.General,
)

# methods that follow strengths in time
TIMED = {
    "density": "wgf.FiniteVolume()",
    "particles": "wgf.RungeKutta(), wgf.ForwardBackward(), wgf.Langevin() or wgf.Baoab()",
}


class Method:
    """Base of all methods: what it takes is data, how it steps is a `Stepper`.

    A method of the user declares these attributes, writes `stepper`, and is found by `solve`
    once it is registered, see `wgf.stepping.register`.

    Attributes
    ----------
    title : str
        The method in words, as messages begin.
    flow : type
        The equation that it solves.
    measure : {"density", "particles"}
        What it solves for.
    forms : tuple of types
        Forms of terms that it takes, see `wgf.functional.forms`.
    smooth : bool
        Whether the functional must be differentiable in the point.
    timed : bool
        Whether strengths may depend on time.
    remedies : dict
        What to do about a form that it does not take, and under ``"kink"`` about a kink.
    """

    title: ClassVar[str] = "method"
    flow: ClassVar[type] = GradientFlow
    measure: ClassVar[str] = "density"
    forms: ClassVar[tuple[type, ...]] = EVERY
    smooth: ClassVar[bool] = False
    timed: ClassVar[bool] = False
    remedies: ClassVar[dict[Any, str]] = {}

    def check(self, flow: Any, start: Measure) -> None:
        """Refuse what only this method refuses."""

    def stepper(self, flow: Any, start: Measure, world: Any) -> Stepper:
        """Return a stepper at the start.

        Parameters
        ----------
        flow, start
            Already checked by `require`.
        world : wgf.parallel.Serial or wgf.parallel.Ranks
            The ranks that share the work.
        """
        raise TypeError(f"{type(self).__name__} gives no stepper, define it")

    def prepare(self, flow: Any, start: Measure, world: Any = None) -> Stepper:
        """Return a stepper at the start after refusing what the method does not take."""
        require(self, flow, start)
        return self.stepper(flow, start, parallel.world() if world is None else world)


def require(method: Method, flow: Any, start: Measure) -> None:
    """Refuse, in one sentence, a problem that a method does not take; nothing is built.

    Raises
    ------
    InputError
        For another flow, another kind of measure, a form of a term or a kink that the method does
        not take, and what `Method.check` refuses.
    """
    title = method.title
    checks.instance(f"{title} flow", flow, method.flow)
    checks.instance(f"{title} start", start, Measure.kinds[method.measure])
    flow.axis_names(start)
    functional = flow.functional
    for name, term in zip(functional.part_names, functional.terms):
        form = term.form()
        if not isinstance(form, method.forms):
            raise checks.InputError(f"{title}: the term {name} {_remedy(method.remedies, form)}")
        if isinstance(form, forms.General) and method.measure not in form.supports:
            raise checks.InputError(
                f"{title}: the term {name} has no form on a mesh, use particles or a wgf.Risk"
                if method.measure == "density"
                else f"{title}: the term {name} has no form for particles, use a density"
            )
        if method.smooth and not term.smooth:
            remedy = method.remedies.get("kink", "use wgf.ForwardBackward()")
            raise checks.InputError(
                f"{title}: the term {name} is not smooth and this method needs its gradient, "
                f"{remedy}"
            )
        if term.timed and not method.timed:
            raise checks.InputError(
                f"{title}: the term {name} has a strength that depends on time, which this method "
                f"does not follow, use {TIMED[method.measure]}"
            )
        if isinstance(form, forms.Diffusion | forms.Power) and form.strength < 0:
            raise checks.InputError(
                f"{title}: the term {name} has the strength {form.strength:g}, with which nothing "
                "is stable, give a strength of at least 0"
            )
    method.check(flow, start)


def _remedy(remedies: dict[Any, str], form: forms.Form) -> str:
    """Return why and what to do: the sentence of the nearest class of the form."""
    for kind in type(form).__mro__:
        if kind in remedies:
            return remedies[kind]
    return f"has the form {type(form).__name__.lower()}, which it does not take, use another method"
