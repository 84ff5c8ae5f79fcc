"""A composition whose Choice needs a part, and with a part that needs the options that were not picked."""

from enum import Enum

from pydantic import Field

from chains import Choice, Composition, Part, Request


class Weather(Enum):
    WET = "wet"
    DRY = "dry"


class MoodRequest(Request):
    topic: str
    tags: list[str] = Field(default=[])
    weather: Weather = Weather.WET
    sounds: list[Weather] = Field(default=[])


MOODS = Composition(
    name="moods",
    request=MoodRequest,
    system="Answer in {language_name}.",
    parts=(
        Part("mood", "Name a mood for <topic>{topic}</topic> <tags>{tags}</tags> {weather} {sounds}."),
        Choice("ideas", "Propose three ideas for this mood as JSON: {mood}", gives=("title", "about")),
        Part("pick", "Write about the idea {title}."),
        Part("why", "Say why these are worse than the idea {title}: {ideas}"),
    ),
)
