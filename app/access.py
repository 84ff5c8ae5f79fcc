"""Who may use the server, as the settings say."""

from app.compositions import place_of
from app.server.guard import Access, shared_paths
from app.server.hosts import AllowedHosts
from app.settings import Settings


def access_of(settings: Settings) -> Access:
    """Raises `ConfigError`."""
    prefixes = [place_of(each).prefix for each in settings.load_compositions().values()]
    return Access(
        tokens=settings.token_source(),
        hosts=AllowedHosts(settings.allowed_hosts),
        origins=settings.origins(),
        is_open=settings.open,
        shared=shared_paths(prefixes) if settings.share_links else None,
    )
