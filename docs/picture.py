"""Takes the screenshot in README.md: the page in Debian's Chromium while the stand-in writes a recipe.

Usage: make picture. Needs the packages chromium and fonts-noto-cjk.
"""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from app.main import create_app
from app.settings import Settings
from tests.servers import serving

OUT = Path(__file__).with_name("page.png")


def main() -> None:
    app = create_app(Settings(standin_ttft_ms=250, standin_tokens_per_s=60, standin_seed=1))
    with serving(app) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1180})
        page.goto(url)
        page.get_by_role("textbox").fill("beef flank, onions, peppers")
        page.get_by_role("button", name="Generate").click()
        page.wait_for_function("() => document.querySelectorAll('[data-part=ingredients] li').length >= 7")
        page.screenshot(path=OUT)
        browser.close()


if __name__ == "__main__":
    main()
