"""A driver that answers requests from a script, and writes them down."""

from collections.abc import Callable
from typing import Any

from ringfence.protocol import Call, Effects, Now, Parallel, Sleep
from ringfence.transactions.two_phase import Enlisted

Answers = dict[str, Any]


class Asked(list[str]):
    """Answers requests from a script, and writes them down; the last answer is given again and again."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = {request: list(given) for request, given in answers.items()}
        self.clock = iter(self.answers.get("now", ()))
        self.slept: list[float] = []

    def run(self, steps: Effects[Any]) -> Any:
        resume: Callable[..., Any] = steps.send
        value: Any = None
        while True:
            try:
                effect = resume(value)
            except StopIteration as stop:
                return stop.value
            resume, value = self.perform(steps, effect)

    def perform(self, steps: Effects[Any], effect: Any) -> tuple[Callable[..., Any], Any]:
        if isinstance(effect, Parallel):
            return steps.send, [self.answer(call) for call in effect.calls]
        if isinstance(effect, Sleep):
            self.slept.append(effect.seconds)
            return steps.send, None
        if isinstance(effect, Now):
            return steps.send, next(self.clock)
        answer = self.answer(effect)
        return (steps.throw if isinstance(answer, BaseException) else steps.send), answer

    def answer(self, call: Call) -> Any:
        request = f"{call.operation} {call.target}"
        self.append(request)
        given = self.answers.get(request) or self.answers.get(call.operation) or [None]
        return given.pop(0) if len(given) > 1 else given[0]


def branches(**wrote: bool) -> list[Enlisted]:
    return [Enlisted(name, name, writes) for name, writes in wrote.items()]  # type: ignore[arg-type]
