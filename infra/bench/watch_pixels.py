"""Opens a wall in Chromium until a line comes on standard input, then prints for each alert painted the ms since it was accepted."""

from __future__ import annotations

import sys

from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def main(path: str, url: str) -> None:
    with sync_playwright() as p:
        page = p.chromium.launch(executable_path=path, args=FLAGS).new_page(viewport={"width": 1600, "height": 900})
        page.goto(url)
        page.wait_for_selector("html[data-live=live]", state="attached", timeout=40_000)
        page.evaluate("window.__pixels = []")
        sys.stdin.readline()
        print(*[painted - known for _, revision, known, painted in page.evaluate("window.__pixels") if revision == 1])


main(sys.argv[1], sys.argv[2])
