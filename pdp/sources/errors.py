"""The one way in which a source's words can be wrong: they cannot be read."""


class MalformedSignal(Exception):
    """A body that a source sent cannot be read as signals; nothing of it is applied.

    `problem` is a sentence for the sender: what is wrong and how to put it right. `field` is the
    path of the member that it is about (`signals[3].risk`), empty for the body as a whole.
    """

    def __init__(self, problem: str, field: str = "") -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.problem = problem
        self.field = field
