"""A composition whose request has a field of every kind, without a choice."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from chains import Composition, Part, Request


class Source(BaseModel):
    name: str
    year: int = 0


class Answers(Request):
    topic: str = Field(title="Topic", min_length=2, max_length=80)
    notes: str = Field(default="", title="Notes")
    tone: Literal["plain", "formal"] = Field(default="plain", title="Tone")
    audience: Literal["children", "adults"] | None = Field(default=None, title="Audience")
    length: float = Field(default=1.5, title="Length", gt=0, le=10)
    tags: list[str] = Field(default=[], title="Tags")
    sources: list[Source] = Field(default=[], title="Sources")
    is_public: bool = Field(default=False, title="Public")
    due: date | None = Field(default=None, title="Due")


QUESTIONNAIRE = Composition(
    name="questionnaire",
    request=Answers,
    system="Answer in {language_name}.",
    parts=(
        Part("text", "{topic}|{notes}|{tone}|{audience}|{length}|{tags}|{sources}|{is_public}|{due}"),
        Part("summary", "Sum up: {text}"),
    ),
)
