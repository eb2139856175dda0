"""How committed work wakes the loops that carry it out."""

import asyncio


class Signals:
    """One per application. `writes`: there may be a write to send. `actions`: there may be one to carry out.
    `attention`: there may be a conflict to look at, an import to run, stages of the CRM to read, or a pipeline to start
    with. `mapping`: stages may have to be read with another mapping. `people`: users of the CRM may have come with an
    import. `resume`: a person asks to try at once what is held back. `unfit`: objects of the CRM that lack something
    and must not be written."""

    def __init__(self) -> None:
        self.writes = asyncio.Event()
        self.actions = asyncio.Event()
        self.attention = asyncio.Event()
        self.mapping = asyncio.Event()
        self.people = asyncio.Event()
        self.resume = asyncio.Event()
        self.unfit: frozenset[str] = frozenset()
