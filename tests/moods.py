"""A composition whose Choice needs a part, and with a part that needs the options that were not picked."""

from pydantic import Field

from chains import Choice, Composition, Part, Request


class MoodRequest(Request):
    topic: str
    tags: list[str] = Field(default=[])


MOODS = Composition(
    name="moods",
    request=MoodRequest,
    system="Answer in {language_name}.",
    parts=(
        Part("mood", "Name a mood for <topic>{topic}</topic> <tags>{tags}</tags>."),
        Choice("ideas", "Propose three ideas for this mood as JSON: {mood}", gives=("title", "about")),
        Part("pick", "Write about the idea {title}."),
        Part("why", "Say why these are worse than the idea {title}: {ideas}"),
    ),
)
