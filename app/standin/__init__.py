"""An OpenAI-compatible server that composes recipes by rule, used when no provider's key is set.

It is no language model and says so wherever it shows. Everything in front of it is the real path.
"""

from app.standin.answer import MODEL_ID
from app.standin.server import run, serving, standin_app

__all__ = ["MODEL_ID", "run", "serving", "standin_app"]
