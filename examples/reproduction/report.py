"""Take in finished runs, and make the tables and figures of the reproduction from `results` and nothing else.

    python examples/reproduction/report.py                                    # prints the tables
    python examples/reproduction/report.py --add output/reproduction --results mine      # takes in runs, and prints
    python examples/reproduction/report.py --pages PAGE.md                    # writes tables into a page
    python examples/reproduction/report.py --figures FOLDER --experiments paper-96px

A page has the markers `<!-- begin: NAME -->` and `<!-- end: NAME -->`, between which a table is put. With `--root`, the
figures have predictions too, of the runs that left them below `--runs`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from paper.data import add_data_arguments, load_faces
from paper.figures import write_ced, write_overlays
from paper.records import read_records
from paper.results import Results
from paper.settings import EXPERIMENTS, load_experiments
from paper.tables import Report, make_blocks

RESULTS = Path(__file__).parent / "results"

_BLOCK = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
_MARKER = re.compile(r"<!-- (?:begin|end): .*?-->")


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_arguments(arguments)
    experiments = load_experiments([EXPERIMENTS, *([args.file] if args.file else [])])
    results = Results.load(args.results)
    if args.add:
        new = [results.add(record, experiments) for record in read_records(args.add)]
        print(f"{sum(new)} of {len(new)} runs are new", file=sys.stderr)
        results.save(args.results)
    if not results.runs:
        print(f"Expected finished runs. Received: none in {args.results}", file=sys.stderr)
        return 1
    report = Report(results, experiments)
    if args.figures is not None:
        write_figures(report, args)
        return 0
    blocks = make_blocks(report)
    if not args.pages:
        print("\n\n".join(f"## {name}\n\n{text}" for name, text in blocks.items() if text))
    return max((update_page(page, blocks, args.check) for page in args.pages), default=0)


def update_page(path: Path, blocks: Mapping[str, str], check: bool) -> int:
    """Fill the blocks of a page, or only check that they are current; gives the exit status."""
    before = path.read_text(encoding="utf-8")
    after = fill_blocks(before, blocks)
    if before == after:
        return 0
    if check:
        print(f"{path} is not what the results give; run this without --check", file=sys.stderr)
        return 1
    path.write_text(after, encoding="utf-8")
    return 0


def fill_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """Put texts between the markers of a page.

    Args:
        page: Markdown. It may lack blocks.
        blocks: texts by name.

    Returns:
        The page, the same outside of its blocks.

    Raises:
        ValueError: If a marker has no partner, or a block is unknown.
    """
    found = list(_BLOCK.finditer(page))
    if 2 * len(found) != len(_MARKER.findall(page)):
        raise ValueError(
            "Each '<!-- begin: NAME -->' needs its '<!-- end: NAME -->', and nothing else between. "
            f"Received: {_MARKER.findall(page)}"
        )
    unknown = [match[2] for match in found if match[2] not in blocks]
    if unknown:
        raise ValueError(f"The blocks are {list(blocks)}. Received: {unknown}")

    def filled(match: re.Match[str]) -> str:
        text = blocks[match[2]]
        return f"{match[1]}\n{text}\n\n{match[3]}" if text else f"{match[1]}{match[3]}"

    return _BLOCK.sub(filled, page)


def write_figures(report: Report, args: argparse.Namespace) -> None:
    """Write what can be drawn, and say where."""
    for groups in report.by(lambda group: (group.experiment, group.train, group.backend)):
        settings = groups[0].settings
        if args.experiments and groups[0].experiment not in args.experiments:
            continue
        written = write_ced(groups, args.figures)
        if args.root is not None or settings.dataset == "synthetic":
            faces = load_faces(args, settings.dataset, settings.image_size)
            written += write_overlays(groups, faces, args.runs, args.figures)
        print(*written, sep="\n")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of runs.csv and errors.npz")
    parser.add_argument("--add", nargs="+", type=Path, help="folders with files of finished runs to take in")
    parser.add_argument("--file", type=Path, help="more experiments, as in experiments.toml")
    parser.add_argument("--pages", nargs="+", type=Path, default=[], help="pages whose blocks are rewritten")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    parser.add_argument("--figures", type=Path, help="folder to write figures to")
    parser.add_argument("--experiments", nargs="+", help="whose figures are drawn; all if not given")
    parser.add_argument("--runs", type=Path, default=Path("output/reproduction"), help="with predictions")
    add_data_arguments(parser)
    args = parser.parse_args(arguments)
    if args.check and not args.pages:
        parser.error("--check needs --pages, the pages to check")
    return args


if __name__ == "__main__":
    sys.exit(main())
