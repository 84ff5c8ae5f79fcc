"""A run as Markdown, from its state."""

from app.runs.state import RunState
from chains.parts.composition import Composition
from chains.parts.events import Alternate, Fragment, PartEnd, PartEvent, Proposal
from chains.parts.markdown import MarkdownWriter


def run_markdown(composition: Composition, state: RunState) -> str:
    """Returns the parts in reading order. Parts that have not ended are included as far as they have been written."""
    writer = MarkdownWriter(composition, state.request.language)
    return "".join(writer.write(event) for event in _final_events(composition, state))


def _final_events(composition: Composition, state: RunState) -> list[PartEvent]:
    events: list[PartEvent] = []
    others = [option for index, option in enumerate(state.options) if index != state.picked]
    if state.options:
        events.append(Proposal(state.options, state.picked or 0))
    ends = state.ends()
    for part in composition.reading_order:
        if part is composition.choice:
            events += [Alternate(part.name, option) for option in others]
        elif text := state.text_of(part.name):
            events.append(Fragment(part.name, text))
        message = state.parts[part.name].message if part.name in state.parts else None
        events.append(PartEnd(part.name, ends.get(part.name, "cut_off"), message=message))
    return events
