"""The training pipeline's steps for a pipeline that may decide against training: then their outputs are None."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, cast, get_args, get_origin

from zenml import step
from zenml.materializers import BuiltInMaterializer
from zenml.steps import BaseStep

from facerecon.retraining.plan import Plan
from steps import evaluate as evaluating
from steps import export as exporting
from steps import promote as promoting
from steps import publish as publishing
from steps import train as training


def optional(original: BaseStep) -> BaseStep:
    """``original`` with an input ``plan``, if it has none: it runs if the plan trains, else its outputs are None.

    All else about the step stays: its name, cache policy, tracker and materializers.
    """
    signature = inspect.signature(original.entrypoint, eval_str=True)
    annotations = _outputs(signature.return_annotation)
    function = cast(Callable[..., Any], original.entrypoint)
    run = (_one if len(annotations) == 1 else _two)(function, "plan" in signature.parameters)
    returned = [_or_none(annotation) for annotation in annotations]
    parameters = [
        p.replace(annotation=_input_or_none(p.annotation)) for p in signature.parameters.values() if p.name != "plan"
    ]
    plan = inspect.Parameter("plan", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Plan)
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [plan, *parameters], return_annotation=returned[0] if len(returned) == 1 else _tuple_of(returned)
    )
    run.__name__ = run.__qualname__ = original.name
    run.__doc__ = original.entrypoint.__doc__
    chosen = original.configuration
    materializers: dict[str, Any] = {
        name: [*own.materializer_source, BuiltInMaterializer]
        for name, own in chosen.outputs.items()
        if own.materializer_source
    }
    decorate = step(
        enable_cache=chosen.enable_cache,
        cache_policy=chosen.cache_policy,
        experiment_tracker=chosen.experiment_tracker,
        output_materializers=materializers or None,
    )
    return decorate(run)


def _one(function: Callable[..., Any], takes_plan: bool) -> Callable[..., Any]:
    def run(plan: Plan, **inputs: Any) -> Any:
        return function(**inputs, **({"plan": plan} if takes_plan else {})) if plan.trains else None

    return run


def _two(function: Callable[..., Any], takes_plan: bool) -> Callable[..., Any]:
    # ZenML sees by the source of a function whether it has several outputs
    def run(plan: Plan, **inputs: Any) -> Any:
        first, second = function(**inputs, **({"plan": plan} if takes_plan else {})) if plan.trains else (None, None)
        return first, second

    return run


def _outputs(annotation: Any) -> tuple[Any, ...]:
    """The annotation of each output of a step."""
    return get_args(annotation) if get_origin(annotation) is tuple else (annotation,)


def _tuple_of(annotations: list[Any]) -> Any:
    return tuple[tuple(annotations)]  # type: ignore[misc]  # it is made, not written


def _or_none(annotation: Any) -> Any:
    """An output's annotation, its name beside it, with None as a further value."""
    kind, *beside = get_args(annotation)
    return Annotated[kind | None, *beside]


def _input_or_none(annotation: Any) -> Any:
    return annotation | None


train = optional(training.train)
evaluate = optional(evaluating.evaluate)
export = optional(exporting.export)
promote = optional(promoting.promote)
publish = optional(publishing.publish)
