"""What is wrong with a policy or rules document, said so that it can be mended."""

from dataclasses import dataclass

from pdp.domain.errors import DomainError


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: where (`line` counts from 1), what is wrong, the value, and the fix."""

    file: str
    line: int
    path: str
    problem: str
    value: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: {self.path}" if self.path else f"{self.file}:{self.line}"
        value = f", got {self.value}" if self.value else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{place}: {self.problem}{value}{fix}"


class MalformedPolicy(DomainError):
    """A document is refused as a whole; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
