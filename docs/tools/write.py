"""Write config.yaml, its JSON schema and the reference pages from the package's own definitions."""

from pathlib import Path

from reference import PAGES

ROOT = Path(__file__).parents[2]

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
        print(name)
