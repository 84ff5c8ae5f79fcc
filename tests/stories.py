"""Compositions whose names are those of the recipe's parts, of an option's noun, and of each other's classes."""

from datetime import date, timedelta
from decimal import Decimal
from enum import Enum

from pydantic import BaseModel, Field, HttpUrl, computed_field, field_validator

from chains import Choice, Composition, Part, Request

STORY_WISHES = {"child": "Mina", "likes": "owls"}
TOPIC = {"topic": "tides"}


class StoryRequest(Request):
    """A request with two required texts, and fields without a description."""

    child: str = Field(title="Child", min_length=1, max_length=60, json_schema_extra={"x-ko": {"title": "아이"}})
    likes: str = Field(title="Likes", min_length=3, max_length=500)
    age: int = Field(5, ge=1, le=12, title="Age")
    is_scary: bool = False


BEDTIME = Composition(
    name="bedtime",
    title={"en": "A bedtime story", "ko": "잠자리 이야기"},
    request=StoryRequest,
    system="You tell stories to children of {age}. Answer in {language_name}.",
    parts=(
        Choice(
            "plots",
            "{child} {likes} {is_scary}: propose four plots, each with title and plot.",
            title={"en": "Other stories", "ko": "다른 이야기"},
            gives={"story_title": "title", "plot": "plot"},
            options=4,
            role="fast",
            noun="story",
        ),
        Part("hero", "<title>{story_title}</title> Describe the hero.", title={"en": "Hero", "ko": "주인공"}),
        Part("story", "<hero>{hero}</hero> <plot>{plot}</plot> Tell the story.", title={"en": "Story", "ko": "이야기"}),
        Part("lullaby", "<story>{story}</story> Write a lullaby.", title={"en": "Lullaby", "ko": "자장가"}),
    ),
)


class LectureRequest(Request):
    """A request with one field."""

    topic: str


LECTURE = Composition(
    name="lecture",
    request=LectureRequest,
    system="You write lectures.",
    parts=(
        Choice("ideas", "{topic}: propose three lectures.", gives=("choice", "why")),  # the name of the default noun
        Part("intro", "<choice>{choice}</choice> Introduce the lecture."),
        Part("steps", "<intro>{intro}</intro> {why} List the steps of the lecture."),
    ),
)


class Guest(BaseModel):
    name: str
    age: int | None = None


class PartyRequest(Request):
    """A request with a date, objects and texts in lists, and a field of two types."""

    on: date
    guests: list[Guest] = Field([])
    colours: list[str] = Field([])
    rounds: int | list[int] = 3


PARTY = Composition(
    name="party",
    request=PartyRequest,
    system="You plan parties.",
    parts=(
        Part(
            "invitation",
            "<on>{on}</on><guests>{guests}</guests> In {colours}: write an invitation for {rounds} rounds.",
        ),
    ),
)


class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


class FairRequest(Request):
    """A request with values that JSON has no types for, and with a field that is computed."""

    name: str = Field(alias="fairName")
    moods: set[Mood] = Field(default_factory=set[Mood])
    budget: Decimal = Decimal("100.50")
    page: HttpUrl | None = None
    length: timedelta = timedelta(hours=2)
    rooms: tuple[int, str] = (1, "hall")
    guests: int = 10

    @computed_field
    @property
    def is_big(self) -> bool:
        return self.guests > 20


FAIR = Composition(
    name="fair",
    request=FairRequest,
    system="You plan fairs.",
    parts=(Part("plan", "{name} {moods} {budget} {page} {length} {rooms} {guests}"),),
)


class PatchRequest(Request):
    """A request whose field has an alias and a validator."""

    ticket: str = Field(alias="theTicket", min_length=2, max_length=9)

    @field_validator("ticket")
    @classmethod
    def check_ticket(cls, ticket: str) -> str:
        if "-" not in ticket:
            raise ValueError("A ticket looks like ABC-123.")
        return ticket


PATCH = Composition(
    name="patch", request=PatchRequest, system="You review patches.", parts=(Part("review", "Review {ticket}."),)
)
